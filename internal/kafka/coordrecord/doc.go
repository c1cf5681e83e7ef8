// Package coordrecord holds what the coordinators store in their topics:
// __consumer_offsets (groups), __transaction_state (transactions) and
// __share_group_state (share groups), and what members of classic groups send
// each other through the coordinator (ConsumerProtocol).
//
//	key     int16 type of the record, then the key (version 0)
//	value   int16 version of the value, then the value; null is a tombstone
//
// Kafka numbers types per topic, so that a key is parsed with the Family of its
// topic. Bytes after a key or value are ignored, as in Kafka.
//
// Neighbours: wire below; coordinator/* replays the records.
package coordrecord
