// Package deadletter writes what share groups could not process to their dead-letter
// topics (KIP-1191).
//
//	sharefetch ──Letter──▶ queue ──▶ worker ──▶ topic there, and meant for it?
//	     ▲                   ▲          │        source records, if the group wants them
//	     │                   └─ later ──┤        one record batch after the other
//	     └───────────Done───────────────┘
//
// A dead letter is one record for each record that was given up. Its headers say where it
// came from, how often it was delivered and why nobody gets it any more; its key and value
// are the original's if the group's errors.deadletterqueue.copy.record.enable is set and
// the original is still there and fits. The partition is the source's, modulo how many
// the topic has.
//
// A topic is written to only if it is meant for dead letters: its own setting
// errors.deadletterqueue.group.enable says so and its name has the cluster's prefix.
// Otherwise whoever may produce to one topic and set up a share group could write to any.
//
// What fails and may succeed later is tried again a few times, later each time. Then the
// letter is given up and that is logged: the share group goes on, as in Kafka, and the
// records are still in their own topic.
//
// Neighbours: broker/sharefetch above hands letters over, broker/server is the [Cluster].
//
// Invariants: Done is called once for each letter, unless the writer is closed before; a
// few workers at most write at a time, each with one record batch in memory.
package deadletter
