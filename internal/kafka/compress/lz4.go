package compress

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"
)

type lz4Writer struct {
	w   *lz4.Writer
	out appender
}

type lz4Reader struct {
	r  *lz4.Reader
	in bytes.Reader
}

var (
	lz4Writers sync.Pool
	lz4Readers sync.Pool
)

// lz4Level maps Kafka's levels. Kafka's default, 9, means the fast compressor of
// the Java library; every other level its high compression with that depth.
func lz4Level(level int) lz4.CompressionLevel {
	if level == Lz4DefaultLevel {
		return lz4.Fast
	}
	levels := [...]lz4.CompressionLevel{
		lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
	}
	return levels[min(level, len(levels))-1]
}

func compressLz4(dst, src []byte, level int) ([]byte, error) {
	z, _ := lz4Writers.Get().(*lz4Writer)
	if z == nil {
		z = &lz4Writer{}
		z.w = lz4.NewWriter(&z.out)
	}
	z.out.b = dst
	z.w.Reset(&z.out)
	// The batch has its own CRC, and Java's decoder ignores the content checksum.
	err := z.w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false),
		lz4.ConcurrencyOption(1), lz4.CompressionLevelOption(lz4Level(level)))
	if err == nil {
		_, err = z.w.Write(src)
	}
	if err == nil {
		err = z.w.Close()
	}
	out := z.out.b
	z.out.b = nil
	if err != nil {
		return dst, fmt.Errorf("compressing with lz4: %w", err)
	}
	lz4Writers.Put(z)
	return out, nil
}

func decompressLz4(dst, src []byte, limit int) ([]byte, error) {
	z, _ := lz4Readers.Get().(*lz4Reader)
	if z == nil {
		z = &lz4Reader{}
		z.r = lz4.NewReader(&z.in)
	}
	z.in.Reset(src)
	z.r.Reset(&z.in)
	if len(src) == 0 {
		return dst, corrupt(Lz4, io.ErrUnexpectedEOF)
	}
	dst, err := readAll(dst, z.r, Lz4, limit)
	z.in.Reset(nil)
	// A reader that stopped in the middle keeps a block buffer; Reset returns it.
	z.r.Reset(&z.in)
	lz4Readers.Put(z)
	return dst, err
}
