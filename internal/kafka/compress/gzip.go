package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

type gzipWriter struct {
	w   *gzip.Writer
	out appender
}

type gzipReader struct {
	r  *gzip.Reader
	in bytes.Reader
}

// gzipWriters holds a pool for each level from −1 (default) to 9.
var (
	gzipWriters [GzipMaxLevel + 2]sync.Pool
	gzipReaders sync.Pool
)

func compressGzip(dst, src []byte, level int) ([]byte, error) {
	pool := &gzipWriters[level+1]
	z, _ := pool.Get().(*gzipWriter)
	if z == nil {
		z = &gzipWriter{}
		w, err := gzip.NewWriterLevel(&z.out, level)
		if err != nil {
			return dst, fmt.Errorf("creating a gzip writer: %w", err)
		}
		z.w = w
	}
	z.out.b = dst
	z.w.Reset(&z.out)
	_, err := z.w.Write(src)
	if err == nil {
		err = z.w.Close()
	}
	out := z.out.b
	z.out.b = nil
	if err != nil {
		return dst, fmt.Errorf("compressing with gzip: %w", err)
	}
	pool.Put(z)
	return out, nil
}

func decompressGzip(dst, src []byte, limit int) ([]byte, error) {
	z, _ := gzipReaders.Get().(*gzipReader)
	if z == nil {
		z = &gzipReader{r: new(gzip.Reader)}
	}
	z.in.Reset(src)
	err := z.r.Reset(&z.in)
	if err == nil {
		dst, err = readAll(dst, z.r, Gzip, limit)
	} else {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		err = corrupt(Gzip, err)
	}
	z.in.Reset(nil)
	gzipReaders.Put(z)
	return dst, err
}
