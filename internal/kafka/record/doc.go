// Package record reads, checks, patches and builds record batches, the unit in
// which records travel and lie on disk (format v2, "magic" 2).
//
// Neighbours: package compress below packs the records part. Storage, the
// replica, the coordinators and the client stand above; they keep batches as raw
// bytes and use the views of this package instead of decoding them.
//
// A batch is a 61-byte header and the records, all integers big-endian:
//
//	 0 baseOffset           int64   offset of the first record
//	 8 batchLength          int32   bytes from here to the end, size − 12
//	12 partitionLeaderEpoch int32
//	16 magic                int8    2
//	17 crc                  uint32  CRC-32C of everything from byte 21 on
//	21 attributes           int16   bits 0–2 codec, 3 timestamp type (1 = log
//	                                append time), 4 transactional, 5 control,
//	                                6 baseTimestamp is the delete horizon
//	23 lastOffsetDelta      int32   last offset − base offset
//	27 baseTimestamp        int64   ms; the records' deltas count from it
//	35 maxTimestamp         int64   ms
//	43 producerId           int64   −1: none
//	51 producerEpoch        int16   −1: none
//	53 baseSequence         int32   −1: none
//	57 recordCount          int32
//	61 records              compressed as a whole when the codec is not none
//
// One record, its integers zig-zag varints unless said otherwise:
//
//	length · attributes int8 · timestampDelta · offsetDelta ·
//	keyLength (−1: null) key · valueLength (−1: null) value ·
//	headerCount { keyLength key · valueLength (−1: null) value }
//
// Invariants:
//   - No input panics, and no declared length is believed before the bytes are
//     there.
//   - A leader patches baseOffset and partitionLeaderEpoch without touching the
//     CRC, which does not cover them. Every setter that changes covered bytes
//     recomputes it.
//   - A Batch obtained from Next is complete: its accessors never read outside it.
//   - The package keeps no state. Views alias the caller's bytes.
package record
