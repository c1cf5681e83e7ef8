// Package runtime runs coordinators: state machines whose memory is the content
// of one partition of an internal topic (__consumer_offsets, __transaction_state,
// __share_group_state).
//
// A coordinator is a pure Core. An event goes in (a Call from a client, a timer
// that fell due, a record read at start), effects come out (records to write,
// calls that are answered, timers). The runtime gives every partition it leads one
// mailbox, a shard, and keeps four promises:
//
//   - Serial. The events of one shard are handled one after the other, in the order
//     in which they were submitted.
//   - Append, wait, answer. The records of all events drained in one go are written
//     as one batch. A call is answered only when the high watermark has passed
//     everything that had been written when the core answered it, so no answer,
//     be it to a read, tells of something that may still be lost.
//   - Replay equals memory. A core changes its memory as it writes its records. If a
//     write fails, memory is thrown away and read again from the log, and everybody
//     who waits gets the error Kafka gives.
//   - Idle costs nothing. A shard has a goroutine only while it has work and a timer
//     only while its core asked for one.
//
// Neighbours: the cores are coordinator/group, coordinator/txn and coordinator/share.
// The log is behind the interface Log, which a replica.TopicLog is; time is behind the
// interface Clock.
//
// Invariants: no lock is held while the log, a core or a callback runs; a call is
// answered exactly once; after a shard was resigned none of its calls is answered
// with success.
package runtime
