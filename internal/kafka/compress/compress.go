// Package compress turns the records part of a batch into its compressed form
// and back: gzip, snappy, lz4 and zstd, the four codecs of the record batch.
//
// Neighbours: package record above it decides when a batch is compressed. This
// package knows bytes only, no batches.
//
// Invariants:
//   - Decompress never produces or allocates more than a small multiple of the
//     limit it was given, whatever the input declares: a decompression bomb costs
//     its limit and ends in ErrTooLarge.
//   - No input panics.
//   - Encoders and decoders are pooled; both functions may be called from any
//     number of goroutines.
//
// The bytes of each codec:
//
//	gzip    RFC 1952, one or more members
//	snappy  written as the Java client does, in the framing of xerial:
//	          82 53 4e 41 50 50 59 00 | version i32 | compatible i32
//	          then per block: length i32 | raw snappy block
//	        read in that framing and as one raw block (librdkafka, Go clients)
//	lz4     LZ4 frame, independent 64 KiB blocks, no checksums
//	zstd    RFC 8878, one or more frames
package compress

import (
	"errors"
	"fmt"
)

// Codec is the compression of a batch as bits 0–2 of its attributes name it.
type Codec int8

// The codecs of the record batch, with the numbers they have on disk.
const (
	None Codec = iota
	Gzip
	Snappy
	Lz4
	Zstd
)

// Errors that Compress and Decompress wrap; compare with errors.Is.
var (
	// ErrUnknownCodec says that the codec's number is not one of the constants.
	ErrUnknownCodec = errors.New("unknown compression codec")
	// ErrCorrupt says that the input is not what the codec would have written.
	ErrCorrupt = errors.New("corrupt compressed data")
	// ErrTooLarge says that the output would have exceeded the caller's limit.
	ErrTooLarge = errors.New("decompressed data exceeds the limit")
	// ErrLevel says that a compression level is outside the codec's range.
	ErrLevel = errors.New("compression level out of range")
)

// The levels Kafka accepts for each codec and what it uses when none is set.
const (
	GzipMinLevel     = 1
	GzipMaxLevel     = 9
	GzipDefaultLevel = -1
	Lz4MinLevel      = 1
	Lz4MaxLevel      = 17
	Lz4DefaultLevel  = 9
	ZstdMinLevel     = -131072
	ZstdMaxLevel     = 22
	ZstdDefaultLevel = 3
)

// String returns the codec's name as compression.type spells it.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case Lz4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec(%d)", int8(c))
}

// Valid tells whether c is one of the five codecs.
func (c Codec) Valid() bool { return c >= None && c <= Zstd }

// ParseCodec returns the codec that compression.type spells as name. "uncompressed"
// is another word for none.
func ParseCodec(name string) (Codec, error) {
	switch name {
	case "none", "uncompressed":
		return None, nil
	case "gzip":
		return Gzip, nil
	case "snappy":
		return Snappy, nil
	case "lz4":
		return Lz4, nil
	case "zstd":
		return Zstd, nil
	}
	return None, fmt.Errorf("%w %q: use none, gzip, snappy, lz4 or zstd", ErrUnknownCodec, name)
}

// DefaultLevel returns the level Kafka uses for the codec when none is set; it is
// 0 for the codecs that have no levels.
func (c Codec) DefaultLevel() int {
	switch c {
	case Gzip:
		return GzipDefaultLevel
	case Lz4:
		return Lz4DefaultLevel
	case Zstd:
		return ZstdDefaultLevel
	}
	return 0
}

// CheckLevel returns an error that wraps ErrLevel and names the allowed range
// unless Kafka accepts the level for the codec.
func (c Codec) CheckLevel(level int) error {
	switch c {
	case Gzip:
		if level == GzipDefaultLevel {
			return nil
		}
		return between(c, level, GzipMinLevel, GzipMaxLevel)
	case Lz4:
		return between(c, level, Lz4MinLevel, Lz4MaxLevel)
	case Zstd:
		return between(c, level, ZstdMinLevel, ZstdMaxLevel)
	}
	return nil
}

func between(c Codec, level, low, high int) error {
	if level < low || level > high {
		return fmt.Errorf("%w: %s level %d is not between %d and %d", ErrLevel, c, level, low, high)
	}
	return nil
}

// Compress appends src in the codec's form to dst and returns the extended
// slice. The level is one that CheckLevel accepts; codecs without levels ignore
// it. Dst and src must not overlap.
func Compress(dst, src []byte, codec Codec, level int) ([]byte, error) {
	if err := codec.CheckLevel(level); err != nil {
		return dst, err
	}
	switch codec {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return compressGzip(dst, src, level)
	case Snappy:
		return compressSnappy(dst, src), nil
	case Lz4:
		return compressLz4(dst, src, level)
	case Zstd:
		return compressZstd(dst, src, level)
	}
	return dst, fmt.Errorf("%w %d", ErrUnknownCodec, int8(codec))
}

// Decompress appends the plain form of src to dst and returns the extended
// slice. More than limit bytes of output end in an error that wraps ErrTooLarge;
// malformed input in one that wraps ErrCorrupt. On an error the returned slice is
// dst, possibly with a different capacity. Dst and src must not overlap.
func Decompress(dst, src []byte, codec Codec, limit int) ([]byte, error) {
	start := len(dst)
	var err error
	switch codec {
	case None:
		if len(src) > limit {
			return dst, tooLarge(codec, limit)
		}
		return append(dst, src...), nil
	case Gzip:
		dst, err = decompressGzip(dst, src, limit)
	case Snappy:
		dst, err = decompressSnappy(dst, src, limit)
	case Lz4:
		dst, err = decompressLz4(dst, src, limit)
	case Zstd:
		dst, err = decompressZstd(dst, src, limit)
	default:
		err = fmt.Errorf("%w %d", ErrUnknownCodec, int8(codec))
	}
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

func tooLarge(c Codec, limit int) error {
	return fmt.Errorf("%w: %s, limit %d bytes", ErrTooLarge, c, limit)
}

func corrupt(c Codec, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err)
}
