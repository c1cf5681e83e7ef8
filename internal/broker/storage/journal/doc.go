// Package journal is what the partitions of a log directory share so that one
// fdatasync makes the newest batches of all of them durable.
//
// Purpose: a disk that is asked for one sync a partition is asked too often. The
// bytes that were just appended to several segments are written here once more, one
// after the other, and synced together; the segments' own files follow at their
// leisure. After a power cut recovery puts back from here what a segment lost.
//
// Neighbours: syncer decides which logs share a sync, has the segments synced in
// the background, and says when a file's batches are all in synced segments, so that
// the file can begin anew. Files are reached through vfs only.
//
// # Files
//
// <log dir>/naru.journal-0 and naru.journal-1 take turns. A file grows once, and is
// overwritten from then on: a sync that need not change the file's size is cheaper.
// Integers are big-endian:
//
//	0      4         8            16       20
//	+------+---------+------------+--------+
//	| NJRN | version | generation | crc32c |   version u32, crc of the 16 bytes before
//	+------+---------+------------+--------+
//	 0        4        8            16         32          36             44
//	+--------+--------+------------+----------+-----------+--------------+----------+--- - -
//	| length | crc32c | generation | topic id | partition | segment base | position | batches
//	+--------+--------+------------+----------+-----------+--------------+----------+--- - -
//
// An entry says that its batches lie at a position of a segment's file. The length is
// that of the batches, the crc is of all that follows it. An entry without batches
// takes back every earlier entry of its partition, before that is truncated or deleted.
// Both files count their generations together: the newer one begun has the larger.
//
// The first entry that is torn, damaged or of another generation ends a file.
//
// # Invariants
//
//   - The older file is removed before the newer one, which takes entries of it back.
//   - A header is durable before an entry of its generation is written, so that what
//     a file held before is never read again.
//   - What Append returned for is durable.
package journal
