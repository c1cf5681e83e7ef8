// Package storage keeps the partitions of a node: segment files whose bytes and
// names are Apache Kafka's, with sidecars that are ours.
//
// Purpose: what was appended and reported durable is there after any crash, in
// order and unchanged; appending and reading cost as little as the disk allows.
//
// Neighbours: broker/replica decides when an append is acknowledged and what a
// reader may see; this package only reports [Listener.Appended] and
// [Listener.Durable]. Files are reached through vfs only. The rooms inside: segmentfile
// (a segment and what is known of it), index (where its batches begin), lookup
// (where a read begins and ends), recovery (what
// an unclean stop left), manifest (what a directory knows about itself), syncer,
// syncqueue and journal (how its logs are synced, in which order, and what they share),
// pace (when), datadir (whose directory it is), producerstate (idempotence and
// transactions), cleaner (compaction), future (the copy of a log that is moved to another
// directory), throttle (how fast that and the cleaner may go), trash (what is removed later) and damage (what
// was found broken).
//
// # A log's life
//
// [Open] reads one manifest for each log directory and touches no partition.
// [Manager.Create] adds a partition; its directory is made by its first append.
// [Log.Append] queues: the first caller becomes the writer and writes everything
// queued with one call, so that concurrent producers of a partition share the
// cost. Operations that change the log's structure queue as well, which is what
// makes the writer the single owner of the log's end. A few background
// goroutines, woken on need, sync, seal, delete and checkpoint.
//
// # Files
//
//	<log dir>/.lock                          held while the node runs
//	<log dir>/naru.meta                      identity, see datadir
//	<log dir>/naru.manifest                  partitions and segments, see manifest
//	<log dir>/naru.journal-0, -1             the newest batches of several logs, see journal
//	<log dir>/naru.reserve                   space kept for the day the disk is full
//	<log dir>/<topic>-<partition>/
//	    partition.meta                       topic id, see sidecar
//	    <20 digits>.log                      record batches, as on the wire
//	    <20 digits>.nidx                     sparse index of a sealed segment
//	    <20 digits>.nsnap                    producer state at that offset
//	    <20 digits>.log.deleted              waits for file.delete.delay.ms
//	    <20 digits>.log.cleaned, .log.swap   a compaction under way
//	    <20 digits>.quarantine-<position>    bytes cut off because of damage
//	<log dir>/<topic>-<partition>.<id>-delete/   a deleted partition
//	<log dir>/<topic>-<partition>.<id>-future/   the copy of one that is being moved here
//	<log dir>/<topic>-<partition>.<id>-stray/    another copy was found that reaches further
//
// # Invariants
//
//   - An offset below DurableOffset survives a power cut: it is in a synced segment,
//     or in the synced journal, which recovery puts back. A failed write or sync
//     fails its directory for good: nothing is retried, everything is refused.
//   - Files are the truth after an unclean stop; the manifest may lag behind them
//     but never claims more than was synced, and of a segment never more than its
//     own sync reached.
//   - Damage below what was synced is reported and quarantined, never cut in
//     silence; its offsets are not used again.
//   - A partition that is moved is whole in one of the two directories at any moment, and
//     nothing is appended between its copy's getting its name and the old one's losing it.
//   - No lock is held across I/O, channel operations or callbacks.
package storage
