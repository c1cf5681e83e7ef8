// Package cleaner compacts logs: of the records with one key only the last stays.
//
// Neighbours: storage implements Log for its compacted partitions, swaps the files
// this package writes for the old ones so that a crash leaves one or the other,
// and rebuilds their indexes. Package record below reads and builds the batches,
// producerstate says which producers and transactions matter.
//
// The parts: Make plans from figures alone what of a log is to be cleaned and
// whether it is worth it. OffsetMap remembers the last offset of every key. Filter
// decides batch by batch what stays. Clean runs the three over one log. Cleaner is
// the shell: a bounded number of goroutines that take the dirtiest log first and
// keep to a byte rate.
//
// # What stays
//
//   - Of each key the record with the highest offset. A record without value, a
//     tombstone, stays until a consumer that started from the beginning has had
//     delete.retention.ms to see it: the first cleaning writes that time, the
//     delete horizon, into its batch, a cleaning after it drops the tombstone
//     (KIP-534).
//   - Nothing of an aborted transaction. The marker of a transaction stays until
//     no batch of the transaction is left, and then for as long as a tombstone.
//   - The last batch of every live producer, emptied if need be, since it carries
//     the producer's last sequence number; the last marker if there is no batch,
//     since it carries the epoch.
//   - Everything at and behind the first offset that is not decided: an open
//     transaction, records that are not replicated, the active segment, records
//     younger than min.compaction.lag.ms.
//
// # Invariants
//
//   - A surviving record keeps its offset, timestamp, key, value and headers; a
//     surviving batch its base and last offset, producer fields and leader epoch.
//   - The visible last value of every key is the same before and after. Cleaning
//     what is clean changes nothing.
//   - A batch whose CRC is wrong is never rewritten: the cleaning of that log ends
//     with an error and the log stays as it was.
//   - Memory is bounded by the dedupe buffer, two I/O buffers and the largest
//     batch, per goroutine.
package cleaner
