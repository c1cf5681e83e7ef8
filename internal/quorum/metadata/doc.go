// Package metadata is what the cluster knows about itself at one offset of the
// metadata log: brokers, topics, partitions, settings, rights, features.
//
// An Image is that knowledge, immutable. A Delta takes records of the log (the
// types of package metarecord, Kafka's own) and makes the next Image of them;
// it also tells what changed, so that whoever follows the cluster acts on
// changes only. Image.Records turns an image back into records, which is what a
// snapshot holds. Package publish hands images to the rooms of a broker.
//
//	record, record, …          Delta.Apply            publish.Publisher
//	__cluster_metadata-0  ──────────────────▶ Image ─────────────────────▶ replica,
//	        ▲                                   │                          server,
//	        └── snapshot ◀── Image.Records ─────┘                          coordinators
//
// Neighbours: package controller writes the records; packages replica, server
// and the coordinators read images. Pure.
//
// Invariants: an Image and everything it hands out never changes, so any number
// of goroutines read it without locks; replaying Image.Records on an empty image
// gives an equal image; applying a record either succeeds or returns an error
// that makes the delta useless, and never panics. Slices returned by an image
// are shared and must not be written to.
package metadata
