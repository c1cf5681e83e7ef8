// Package server answers Kafka's requests: one file per API, named by its key, so
// that the folder is the protocol's table of contents.
//
// A frame comes in from broker/network on its connection's goroutine. Handle
// parses the header, finds the API's row and calls its handler. A handler holds no
// state of its own: it asks the rooms below (replica for records, quorum for
// metadata, coordinator/group for groups) and answers.
//
//	network ──frame──▶ Handle ──▶ 00_produce … 75_describe_topic_partitions
//	                                 │            │              │
//	                              replica    coordinator      controller
//
// Which handler may wait: produce, fetch and the group APIs never block the
// connection's goroutine; they answer later, and the network keeps the order of
// answers. One thing does wait: a produce request that begins a transaction in a
// partition, for the transaction coordinator (transactions.go), so that the client's
// next records stay behind. Everything else is answered before the next frame of the same
// connection is looked at, as Kafka does, so that a client sees its own changes.
//
// What is not in the table of api.go is neither advertised nor answered.
//
// Neighbours: below broker/network, broker/replica, broker/storage,
// broker/fetchsession, broker/sharesession, broker/sharefetch (what share groups
// have of this broker), broker/telemetry, broker/purgatory, quorum/*, coordinator/*;
// above package naru, which puts a node together.
package server
