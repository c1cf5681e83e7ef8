// Package controller decides for the cluster: which brokers live, which topics
// exist, who leads what, which settings hold.
//
// It is a pure core. A Core holds the metadata image, takes requests (Kafka's
// own messages) and ticks as events, and answers each with a response and with
// records for the metadata log. Whoever runs it writes the records and lets no
// response out before they are durable.
//
//	Event{now, request} ──▶ Core.Handle ──▶ response
//	Event{now}          ──▶ Core.Tick        │
//	                        Core.Take ──▶ records, image, changes
//
// What Core knows of the cluster is the image that follows from the records and
// nothing else, so replaying the log makes an equal Core. Beside it there is
// only what a new controller may forget: when each broker was last heard of.
//
// Neighbours: package metadata below holds the image; package
// quorum/runtime runs the core on one goroutine; package config validates settings.
//
// Invariants: no clock, no randomness, no goroutine, no I/O (time and new ids
// arrive with the event); a request that is refused leaves no record; the records
// of one topic's creation, change or deletion are consecutive and go into one
// record batch; the elections keep rules R15 to R20 of Kafka's replication
// protocol with eligible leader replicas (KIP-966).
package controller
