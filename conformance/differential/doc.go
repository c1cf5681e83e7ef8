// Package differential sends the same raw requests to Apache Kafka and to Naru and compares the decoded
// answers field by field.
//
// A scenario is a function that talks to one server through a Session and knows nothing of the other. The
// Session turns every answer into an Observation: a map from field paths to texts in which that what may
// differ between two servers (ids, ports, times near now) has been replaced by labels in order of
// appearance. Compare then needs no knowledge of the protocol. Arrays are keyed by what identifies their
// elements, so that the order of an answer's topics does not count.
//
// Codec and record batches are those of Naru's main module: what Kafka answers is thereby also a test of
// the decoder.
package differential
