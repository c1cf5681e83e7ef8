package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// Reasons why a buffer is refused. Errors of decoders wrap one of them.
var (
	// ErrTruncated says that the buffer ends inside a value.
	ErrTruncated = errors.New("the buffer ends inside a value")
	// ErrLength says that a length is negative, or longer than its type allows.
	ErrLength = errors.New("a length is out of range")
	// ErrCount says that an array announces more elements than the rest of the
	// buffer could hold.
	ErrCount = errors.New("an array announces more elements than the buffer can hold")
	// ErrElements says that a request names more things than any request may.
	ErrElements = errors.New("a request has too many array elements")
	// ErrNull says that a field which may not be null is null.
	ErrNull = errors.New("a field that may not be null is null")
	// ErrVarint says that a variable-length integer is too long for its type.
	ErrVarint = errors.New("a variable-length integer is too long")
	// ErrTag says that a tagged field is longer than its content.
	ErrTag = errors.New("the size of a tagged field does not match its content")
	// ErrVersion says that a message has no such version.
	ErrVersion = errors.New("the version is not supported")
	// ErrTrailing says that bytes follow a value that should have ended.
	ErrTrailing = errors.New("bytes follow the end of the value")
)

// MaxStringLength is the longest string in bytes, in every encoding: Kafka keeps
// the limit of the classic int16 length for compact strings too.
const MaxStringLength = math.MaxInt16

// Reader reads values one after another from a buffer. The zero Reader is at the
// end of an empty buffer. A Reader is used by one goroutine.
type Reader struct {
	b     []byte // what is left of the value (or tagged field) being read
	slab  []string
	err   error
	start int // capacity of the whole buffer, from which positions are counted
	at    int // position of the first error
	// left is how many array elements may still be read, in a request.
	left    int
	limited bool
}

// NewReader returns a Reader at the start of b. What is read from it aliases b.
func NewReader(b []byte) Reader { return Reader{b: b, start: cap(b)} }

// MaxRequestElements is how many array elements a request may have in all. A
// decoded element takes many times the bytes it takes on the wire, and so does what
// is answered about it; no client needs as many in one request.
const MaxRequestElements = 1 << 17

// NewRequestReader is NewReader for a request, which may have at most
// MaxRequestElements array elements.
func NewRequestReader(b []byte) Reader {
	return Reader{b: b, start: cap(b), left: MaxRequestElements, limited: true}
}

// Err returns the first error, or nil.
func (r *Reader) Err() error { return r.err }

// OK reports whether no error has happened.
func (r *Reader) OK() bool { return r.err == nil }

// Remaining returns the number of bytes that are still to be read; it is 0 after
// an error.
func (r *Reader) Remaining() int { return len(r.b) }

// Rest returns the bytes that are still to be read, aliasing the buffer.
func (r *Reader) Rest() []byte { return r.b[:len(r.b):len(r.b)] }

// Fail makes err the error of the Reader unless it has one.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err, r.at = err, r.start-cap(r.b)
	}
	r.b = nil
}

// Finish returns the error of the Reader, wrapped with the message and version
// that were being read and the position of the error.
func (r *Reader) Finish(message string, version int16) error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("decoding %s version %d: byte %d: %w", message, version, r.at, r.err)
}

// take returns the next n bytes, or nil after failing.
func (r *Reader) take(n int) []byte {
	if n > len(r.b) {
		r.Fail(ErrTruncated)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// Bool reads one byte; every value but 0 is true.
func (r *Reader) Bool() bool { return r.Int8() != 0 }

// Int8 reads one byte.
func (r *Reader) Int8() int8 {
	if len(r.b) < 1 {
		r.Fail(ErrTruncated)
		return 0
	}
	v := int8(r.b[0])
	r.b = r.b[1:]
	return v
}

// Int16 reads two bytes.
func (r *Reader) Int16() int16 { return int16(r.Uint16()) }

// Uint16 reads two bytes.
func (r *Reader) Uint16() uint16 {
	if len(r.b) < 2 {
		r.Fail(ErrTruncated)
		return 0
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

// Int32 reads four bytes.
func (r *Reader) Int32() int32 { return int32(r.Uint32()) }

// Uint32 reads four bytes.
func (r *Reader) Uint32() uint32 {
	if len(r.b) < 4 {
		r.Fail(ErrTruncated)
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// Int64 reads eight bytes.
func (r *Reader) Int64() int64 {
	if len(r.b) < 8 {
		r.Fail(ErrTruncated)
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return int64(v)
}

// Float64 reads eight bytes as an IEEE 754 double.
func (r *Reader) Float64() float64 { return math.Float64frombits(uint64(r.Int64())) }

// UUID reads sixteen bytes.
func (r *Reader) UUID() UUID {
	if len(r.b) < 16 {
		r.Fail(ErrTruncated)
		return UUID{}
	}
	u := UUID(r.b)
	r.b = r.b[16:]
	return u
}

// UVarint reads an unsigned 32-bit integer of at most five bytes.
func (r *Reader) UVarint() uint32 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint32(v)
	}
	return r.longUVarint()
}

func (r *Reader) longUVarint() uint32 {
	var v uint32
	for i := range 5 {
		if i == len(r.b) {
			r.Fail(ErrTruncated)
			return 0
		}
		c := r.b[i]
		v |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i == 4 && c > 0x0f {
				break
			}
			r.b = r.b[i+1:]
			return v
		}
	}
	r.Fail(ErrVarint)
	return 0
}

// length reads the length of bytes or the count of an array; -1 is null.
func (r *Reader) length(flexible bool) int {
	if flexible {
		return int(r.UVarint()) - 1
	}
	return int(r.Int32())
}

// stringBytes reads a string; null is nil.
func (r *Reader) stringBytes(flexible bool) []byte {
	var n int
	if flexible {
		n = int(r.UVarint()) - 1
	} else {
		n = int(r.Int16())
	}
	switch {
	case r.err != nil || n == -1:
		return nil
	case n < 0 || n > MaxStringLength:
		r.Fail(ErrLength)
		return nil
	}
	return r.take(n)
}

// String reads a string that may not be null. It aliases the buffer.
func (r *Reader) String(flexible bool) string {
	p := r.stringBytes(flexible)
	if p == nil {
		r.Fail(ErrNull)
		return ""
	}
	return alias(p)
}

// ClassicStringBytes reads a nullable string in its classic form as bytes that
// alias the buffer; null is nil.
func (r *Reader) ClassicStringBytes() []byte { return r.stringBytes(false) }

// NullableString reads a string; null is nil, and an error unless nullable. The
// string aliases the buffer; the pointer belongs to the caller.
func (r *Reader) NullableString(flexible, nullable bool) *string {
	p := r.stringBytes(flexible)
	if p == nil {
		if !nullable {
			r.Fail(ErrNull)
		}
		return nil
	}
	if len(r.slab) == cap(r.slab) {
		// String headers are allocated in growing groups so that a request with
		// a thousand nullable names costs a handful of allocations.
		r.slab = make([]string, 0, min(max(1, 2*cap(r.slab)), 64))
	}
	r.slab = append(r.slab, alias(p))
	return &r.slab[len(r.slab)-1]
}

// Bytes reads bytes; null is nil, and an error unless nullable. The bytes alias
// the buffer and have no spare capacity.
func (r *Reader) Bytes(flexible, nullable bool) []byte {
	n := r.length(flexible)
	switch {
	case r.err != nil:
		return nil
	case n == -1:
		if !nullable {
			r.Fail(ErrNull)
		}
		return nil
	case n < 0:
		r.Fail(ErrLength)
		return nil
	}
	return r.take(n)
}

// alias returns p as a string without copying it.
func alias(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
