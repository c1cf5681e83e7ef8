// Package producerstate is the memory one partition has of its producers: what
// makes produce requests idempotent and transactions atomic. It is a pure core:
// batches and times in, decisions out.
//
// Neighbours: storage owns one State per log, feeds it every batch, and writes
// its snapshots and aborted-transaction entries into sidecar files. Package record
// below reads the batches.
//
// What it keeps per producer id: the epoch, the last five batches (first and last
// sequence, last offset, timestamp), the coordinator's epoch, and where the open
// transaction starts. Five, because clients have at most five requests in flight
// when idempotent: every batch they may send again is still known.
//
// # Rules
//
//   - A batch equal to one of the last five in epoch, first and last sequence is
//     a duplicate: answered with the original offset and timestamp, not written.
//   - An older epoch is INVALID_PRODUCER_EPOCH. A newer epoch starts at sequence
//     0. The same epoch goes on at last+1, and 0 follows 2^31−1. Anything else is
//     OUT_OF_ORDER_SEQUENCE_NUMBER.
//   - A producer that is not known may start anywhere (KIP-360).
//   - A transactional batch opens a transaction if none is open; a batch outside
//     a transaction while one is open is INVALID_TXN_STATE.
//   - A marker of an older coordinator is TRANSACTION_COORDINATOR_FENCED, one of
//     an older producer epoch INVALID_PRODUCER_EPOCH. Under transaction version 2
//     a marker carries a newer epoch than the transaction it ends (KIP-890); with
//     an equal epoch and nothing open it is a retry and succeeds (KAFKA-19999).
//   - What replicas copy and recovery replays is never refused: the leader has
//     decided.
//   - The last stable offset is where the earliest transaction starts that is
//     open, or ended by a marker that is not yet below the high watermark.
//
// # How the writer of a log uses it
//
// A writer that combines several queued appends into one write gives each its
// offsets and calls Prepare for it, in order. Prepare sees the appends prepared
// before it, so a retry queued behind its original is found. An append it refuses
// or finds to be a duplicate is left out of the write, and leaves no trace. After
// the write the writer calls Commit, or Rollback if the write failed, which takes
// back every Prepare since the last Commit. A duplicate of an append of the same
// round may be answered only after the write.
//
//	for each queued append a, in order:
//	    give a's batches their offsets, starting at the log end
//	    res, err := state.Prepare(a.batches, origin, nowMs)
//	    if err == nil && !res.Duplicate { add a to the write, move the log end }
//	write; aborted := state.Commit()   // or state.Rollback()
//	append aborted to the segment's transaction index
//
// Invariants:
//   - Live state equals the state replayed from any snapshot and the batches
//     behind it, apart from the order in which producers would be forgotten.
//   - The number of producers is bounded; a producer with an open transaction is
//     never forgotten.
//   - Preparing and committing a batch of a known producer does not allocate.
//   - A State is not safe for concurrent use; its log guards it.
package producerstate
