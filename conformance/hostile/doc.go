// Package hostile is a suite of what no client should send: frames with lengths
// that lie, headers and bodies that promise more than they hold, record batches
// that are broken in every field, requests with absurd arguments, and crowds of
// connections that want to exhaust the broker. Its tests speak raw bytes, with
// their own encoder, so that they share no mistake with the broker's.
//
// Every case says what must come back: an answer with an error, or a closed
// connection, as Apache Kafka 4.3.1 does it; where the two may differ the case
// says so and why. After each case a bystander, whose connection has been open
// all the time, must still be served, and the broker's memory must be back near
// where it was.
//
//	go test ./hostile                              # a Naru built from this tree
//	HOSTILE_TARGET=kafka KAFKA_CLASSPATH=… go test ./hostile   # Apache Kafka
//	HOSTILE_ADDR=host:port go test ./hostile       # a running broker
//
// With -v each case prints what it sent and what came back; -table writes
// RESULTS.md from a run against both.
package hostile
