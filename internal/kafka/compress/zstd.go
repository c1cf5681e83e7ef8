package compress

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdMaxWindow is the largest window a frame may ask for. The reference
	// library writes up to 128 MiB at level 22. It costs no memory here: output is
	// its own history, so memory follows the caller's limit, not the window.
	zstdMaxWindow = 128 << 20
	// zstdWriteWindow is the window of what is written here: more would help only
	// batches above a megabyte, and every pooled encoder holds one.
	zstdWriteWindow = 1 << 20
	// zstdMaxBlock is the most one compressed block may stand for.
	zstdMaxBlock = 128 << 10
	// zstdSlack is the room behind the limit: a block that does not fit any more
	// then starts behind the limit, which tells too large from corrupt.
	zstdSlack = zstdMaxBlock + 1<<10
)

// zstdEncoders holds a pool for each of the library's levels.
var (
	zstdEncoders [zstd.SpeedBestCompression + 1]sync.Pool
	zstdDecoders sync.Pool
)

func compressZstd(dst, src []byte, level int) ([]byte, error) {
	speed := zstd.EncoderLevelFromZstd(level)
	pool := &zstdEncoders[speed]
	enc, _ := pool.Get().(*zstd.Encoder)
	if enc == nil {
		var err error
		// The batch has its own CRC. Frames are written even for no bytes at all:
		// a decoder that is handed nothing has nothing to recognise.
		enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(zstdWriteWindow), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
		if err != nil {
			return dst, fmt.Errorf("creating a zstd encoder: %w", err)
		}
	}
	dst = enc.EncodeAll(src, dst)
	pool.Put(enc)
	return dst, nil
}

func decompressZstd(dst, src []byte, limit int) ([]byte, error) {
	bound, err := zstdBound(src)
	if err != nil {
		return dst, corrupt(Zstd, err)
	}
	dec, _ := zstdDecoders.Get().(*zstd.Decoder)
	if dec == nil {
		dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return dst, fmt.Errorf("creating a zstd decoder: %w", err)
		}
	}
	start := len(dst)
	room := min(bound, limit) + zstdSlack
	dst = slices.Grow(dst, room)
	// The capacity is the limit of what the decoder may write.
	out, err := dec.DecodeAll(src, dst[:start:start+room])
	zstdDecoders.Put(dec)
	switch {
	case len(out)-start > limit || errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return dst, tooLarge(Zstd, limit)
	case err != nil:
		return dst, corrupt(Zstd, err)
	}
	return out, nil
}

// zstdBound walks the headers of the frames and blocks of src and returns how
// much they can decode to at most. It is close to what they do decode to, since
// encoders fill their blocks, and needs no trust in the declared content size,
// which streaming encoders leave out.
func zstdBound(src []byte) (int, error) {
	if len(src) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	total := 0
	for len(src) > 0 {
		var h zstd.Header
		if err := h.Decode(src); err != nil {
			return 0, fmt.Errorf("reading the frame header: %w", err)
		}
		skip := h.HeaderSize
		if h.Skippable {
			skip += int(h.SkippableSize)
		}
		if skip > len(src) {
			return 0, io.ErrUnexpectedEOF
		}
		src = src[skip:]
		if h.Skippable {
			continue
		}
		frame, rest, err := zstdFrameBound(src)
		if err != nil {
			return 0, err
		}
		if h.HasFCS && h.FrameContentSize < uint64(frame) {
			frame = int(h.FrameContentSize)
		}
		total += frame
		src = rest
		if h.HasCheckSum {
			src = src[min(4, len(src)):]
		}
	}
	return total, nil
}

// zstdFrameBound sums the blocks of one frame up to its last. Rest starts behind
// that block.
func zstdFrameBound(src []byte) (bound int, rest []byte, err error) {
	for {
		if len(src) < 3 {
			return 0, nil, io.ErrUnexpectedEOF
		}
		header := int(src[0]) | int(src[1])<<8 | int(src[2])<<16
		last, kind, size := header&1 == 1, header>>1&3, header>>3
		src = src[3:]
		stored := size
		switch kind {
		case 0: // raw
			bound += size
		case 1: // one byte, repeated
			bound += size
			stored = 1
		default: // compressed; 3 is reserved and the decoder refuses it
			bound += zstdMaxBlock
		}
		if stored > len(src) {
			return 0, nil, io.ErrUnexpectedEOF
		}
		src = src[stored:]
		if last {
			return bound, src, nil
		}
	}
}
