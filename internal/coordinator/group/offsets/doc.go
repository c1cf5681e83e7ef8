// Package offsets is the memory of committed offsets: which group has committed
// which offset of which partition, and how that is written to __consumer_offsets.
//
// Records are Kafka's:
//
//	key    int16 1 · group string · topic string · partition int32
//	value  int16 version · OffsetCommitValue, or null: the offset is gone
//
// The version is 1 if the commit carries its own expiry time (OffsetCommit v2-4
// with a retention time) and 4 otherwise, as Kafka 4.3 writes.
//
// Neighbours: internal/coordinator/group owns a Store per partition of the topic and
// decides who may commit. Package coordrecord has the messages.
//
// Invariants: pure memory; a Store holds no empty group and no empty topic, and
// shares no bytes with requests or with the log.
package offsets
