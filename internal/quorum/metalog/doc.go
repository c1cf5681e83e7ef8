// Package metalog writes and reads the metadata log and its snapshots.
//
// The log is an ordinary partition, __cluster_metadata-0, whose batches hold
// framed metadata records (package metarecord) and the control records of the
// quorum; Kafka's kafka-dump-log --cluster-metadata-decoder reads it. A snapshot
// is Kafka's checkpoint file (KIP-630): a file of record batches beside the log,
//
//	<end offset, 20 digits>-<epoch, 10 digits>.checkpoint
//
//	control batch   SnapshotHeader (time of the last contained batch)
//	data batches    the records of metadata.Image.Records
//	control batch   SnapshotFooter
//
// where the end offset is that of the first record not contained, offsets inside
// the file count from 0, and each batch carries its CRC.
//
// Neighbours: packages storage and vfs below keep the bytes; package metadata
// makes images of the records; package runtime above decides when to append and
// when to take a snapshot.
//
// Invariants: Recover either returns the image that follows from everything that
// was durable, or an error; it never skips a record. A snapshot counts only with
// header, footer and every CRC intact, and appears under its name only when it
// is durable.
package metalog
