// Package recovery finds out what an unclean stop left of the partitions of a log
// directory, and puts their files in order.
//
// Purpose: every record that was synced is there again, or its loss is told; what was
// written and not synced is kept as far as it is whole.
//
// Neighbours: package storage reads the manifest, has each [Partition] recovered, several
// at a time, and makes its logs of what it is told. Files are reached through vfs only;
// segmentfile walks over batches, journal has what a segment may have lost, damage takes
// the reports.
//
// # What is believed
//
// The files are the truth. The manifest says from where they have to be checked: what it
// knows was synced. It may lag behind the files; if it is lost everything is checked. On
// the same boot of the machine everything written is there, so that only the chain of
// batches and the last of them are checked.
//
// # A partition's recovery
//
//   - A compaction whose result was ready is completed; other files that were under way
//     are removed.
//   - Of each segment what follows the part that is known is checked, batch by batch.
//     What is torn is cut off at the log's end, and anywhere else put into quarantine.
//   - The last segment gets back from the journal what it lost.
//   - A segment that does not follow the one before it is set aside.
//
// # Invariants
//
//   - Bytes that were synced are never removed: what has no place any more is kept in a
//     quarantine file and reported.
//   - Offsets that were synced once are not used again, even if their records are lost.
//   - A recovery that is interrupted anywhere is done again with the same outcome.
package recovery
