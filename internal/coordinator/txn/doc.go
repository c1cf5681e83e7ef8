// Package txn is the transaction coordinator: the memory of who is in the middle of
// which transaction, kept in __transaction_state.
//
// A Coordinator is what the server talks to: one method per API, which takes the
// request and gives the response to a callback, later and never blocking. The
// transactional ids of one partition of the topic are a core, a pure state machine
// that the runtime feeds with events one at a time.
//
//	          InitProducerId            AddPartitions, AddOffsets
//	(nothing) ──────────────▶ Empty ───────────────────────────▶ Ongoing
//	                            ▲                                 │    │
//	             InitProducerId │                     EndTxn      │    │ EndTxn, timeout,
//	                            │                     commit      ▼    ▼ InitProducerId
//	    CompleteCommit, CompleteAbort ◀── markers ── PrepareCommit, PrepareAbort
//
// The record that says Prepare is the decision: once it is committed the transaction
// will end that way, whatever crashes. Then, and after every load, the shell writes
// markers into the partitions until all have one, and tells the core.
//
// # Rules
//
//   - Nobody is told of a decision before its record is committed.
//   - Markers carry the epoch in which this node leads the partition of the id, so
//     that a coordinator that was replaced cannot end a transaction any more.
//   - Under transaction version 2 (KIP-890) every end raises the producer's epoch, so
//     that a late request of one transaction cannot land in the next. An EndTxn with the
//     epoch before the stored one is therefore a retry, and one with the same epoch is
//     the next end. An epoch that is used up gives way to a new producer id.
//   - Under version 1 the epoch stays, and an EndTxn for what has ended that way is a
//     retry.
//   - Whoever is fenced (a new instance with InitProducerId, a timeout) costs one epoch,
//     never two.
//   - While markers are on their way the next transaction cannot begin: requests wait a
//     moment and are then told CONCURRENT_TRANSACTIONS.
//
// Neighbours: internal/coordinator/runtime runs the core, writes its records and lets
// answers wait until they are committed. Writing markers and making producer ids are
// interfaces that the server implements. Package coordrecord has the records.
//
// Invariants: a core touches no clock, lock or randomness; what it remembers of a
// transactional id is what a replay of its records gives, except the epoch before the
// present one, which Kafka's record does not hold and which only recognizes retries.
package txn
