package compress

import (
	"errors"
	"io"
	"slices"
)

// firstStep is the output room a stream decoder starts with when the caller's
// buffer has none left; it then doubles.
const firstStep = 4 << 10

// readAll appends what r yields to dst, at most limit bytes. Room grows with
// what was really produced, never with what the input declares.
func readAll(dst []byte, r io.Reader, codec Codec, limit int) ([]byte, error) {
	start := len(dst)
	for {
		produced := len(dst) - start
		if produced == limit {
			return dst, expectEnd(r, codec, limit)
		}
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, min(max(produced, firstStep), limit-produced))
		}
		room := min(cap(dst)-len(dst), limit-produced)
		n, err := r.Read(dst[len(dst) : len(dst)+room])
		dst = dst[:len(dst)+n]
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, corrupt(codec, err)
		}
	}
}

// expectEnd tells whether a stream that has filled its limit ends there.
func expectEnd(r io.Reader, codec Codec, limit int) error {
	var one [1]byte
	for range 16 {
		n, err := r.Read(one[:])
		if n > 0 {
			return tooLarge(codec, limit)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return corrupt(codec, err)
		}
	}
	return corrupt(codec, io.ErrNoProgress)
}

// appender is an io.Writer that appends to a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
