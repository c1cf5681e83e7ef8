package record

import (
	"errors"
	"fmt"
	"math"

	"github.com/naru-stream/naru/internal/kafka/compress"
)

const (
	// DefaultMaxDecompressed is how many bytes the records of one batch may have
	// when decompressed unless the Scratch says otherwise.
	DefaultMaxDecompressed = 256 << 20
	// minRecordSize is the size of a record without key, value and headers: its
	// length, attributes, two deltas, two lengths and the header count.
	minRecordSize = 7
)

// Scratch is the memory compressed batches are decompressed into, reused from
// batch to batch. The zero value is ready to use. One goroutine uses it at a
// time, and records read from a compressed batch are valid until it is used for
// the next.
type Scratch struct {
	// MaxBytes bounds what one batch may decompress to; 0 means
	// DefaultMaxDecompressed.
	MaxBytes int

	buf []byte
}

// Shrink gives the memory back if it has grown beyond maxBytes, for scratches
// that are kept in a pool.
func (s *Scratch) Shrink(maxBytes int) {
	if cap(s.buf) > maxBytes {
		s.buf = nil
	}
}

// Header is one header of a record. A nil value is null.
type Header struct {
	Key   []byte
	Value []byte
}

// Record is one record of a batch, a view of its bytes. Key and Value are nil
// when null.
type Record struct {
	Offset         int64
	Timestamp      int64 // ms, NoTimestamp when not set
	TimestampDelta int64 // as written, from the batch's base timestamp
	OffsetDelta    int32
	Attributes     int8
	Key            []byte
	Value          []byte
	// RawHeaders is the header count and the headers as they lie in the record.
	RawHeaders []byte
}

// Headers returns an iterator over the record's headers.
func (r *Record) Headers() HeaderIterator {
	count, n := varint(r.RawHeaders)
	it := HeaderIterator{rest: r.RawHeaders[n:], left: count}
	if n == 0 || count < 0 || count > int64(len(it.rest)) {
		it.left, it.err = 0, fmt.Errorf("%w: header count %d", ErrInvalid, count)
	}
	return it
}

// CheckHeaders returns an error that wraps ErrInvalid unless the headers are
// well formed and fill the record to its end.
func (r *Record) CheckHeaders() error {
	if len(r.RawHeaders) == 1 && r.RawHeaders[0] == 0 {
		return nil
	}
	it := r.Headers()
	for it.Next() {
	}
	return it.Err()
}

// HeaderIterator walks the headers of one record:
//
//	for it := r.Headers(); it.Next(); { use(it.Header) }
type HeaderIterator struct {
	// Header is the current one after Next returned true.
	Header Header

	rest []byte
	left int64
	err  error
}

// Next reads the next header and tells whether there was one.
func (it *HeaderIterator) Next() bool {
	if it.err != nil {
		return false
	}
	if it.left == 0 {
		if len(it.rest) > 0 {
			it.err = fmt.Errorf("%w: %d bytes behind the last header", ErrInvalid, len(it.rest))
		}
		return false
	}
	it.left--
	var ok bool
	if it.Header.Key, it.rest, ok = nullableBytes(it.rest); !ok || it.Header.Key == nil {
		it.err = fmt.Errorf("%w: malformed header key", ErrInvalid)
		return false
	}
	if it.Header.Value, it.rest, ok = nullableBytes(it.rest); !ok {
		it.err = fmt.Errorf("%w: malformed header value", ErrInvalid)
		return false
	}
	return true
}

// Err returns what ended the iteration early; it wraps ErrInvalid.
func (it *HeaderIterator) Err() error { return it.err }

// Iterator walks the records of one batch in order:
//
//	it, err := b.Iterate(&scratch)
//	for it.Next() { use(&it.Record) }
//	err = it.Err()
type Iterator struct {
	// Record is the current one after Next returned true.
	Record Record

	rest          []byte
	baseOffset    int64
	baseTimestamp int64
	appendTime    int64
	isAppendTime  bool
	left          int32
	prevDelta     int32
	lastDelta     int32
	err           error
}

// Iterate returns an iterator over the batch's records. Compressed records are
// decompressed into scratch, which must not be used for another batch before
// the iteration is over; scratch may be nil if the batch is not compressed. It
// does not check the CRC.
func (b Batch) Iterate(scratch *Scratch) (Iterator, error) {
	it := Iterator{
		rest:          b.RawRecords(),
		baseOffset:    b.BaseOffset(),
		baseTimestamp: b.BaseTimestamp(),
		appendTime:    b.MaxTimestamp(),
		isAppendTime:  b.TimestampType() == LogAppendTime,
		left:          b.Count(),
		prevDelta:     -1,
		lastDelta:     b.LastOffsetDelta(),
	}
	if codec := b.Codec(); codec != compress.None && it.left > 0 {
		var err error
		if it.rest, err = b.decompress(codec, scratch); err != nil {
			return Iterator{}, err
		}
	}
	if it.left < 0 || int(it.left) > len(it.rest)/minRecordSize {
		return Iterator{}, fmt.Errorf("%w: %d records cannot be in %d bytes at offset %d",
			ErrInvalid, it.left, len(it.rest), it.baseOffset)
	}
	return it, nil
}

func (b Batch) decompress(codec compress.Codec, scratch *Scratch) ([]byte, error) {
	if scratch == nil {
		scratch = &Scratch{}
	}
	limit := scratch.MaxBytes
	if limit <= 0 {
		limit = DefaultMaxDecompressed
	}
	out, err := compress.Decompress(scratch.buf[:0], b.RawRecords(), codec, limit)
	scratch.buf = out
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, compress.ErrTooLarge):
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, compress.ErrUnknownCodec):
		err = fmt.Errorf("%w: %w", ErrCodec, err)
	default:
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil, fmt.Errorf("decompressing the batch at offset %d: %w", b.BaseOffset(), err)
}

// Next reads the next record and tells whether there was one.
func (it *Iterator) Next() bool {
	if it.left == 0 || it.err != nil {
		if it.err == nil && len(it.rest) > 0 {
			it.err = fmt.Errorf("%w: %d bytes behind the last record of the batch at offset %d",
				ErrInvalid, len(it.rest), it.baseOffset)
		}
		return false
	}
	it.left--
	r := &it.Record
	rest, ok := r.parse(it.rest)
	if !ok || r.OffsetDelta <= it.prevDelta || r.OffsetDelta > it.lastDelta {
		it.err = fmt.Errorf("%w: malformed record behind offset delta %d of the batch at offset %d",
			ErrInvalid, it.prevDelta, it.baseOffset)
		return false
	}
	it.rest = rest
	it.prevDelta = r.OffsetDelta
	r.Offset = it.baseOffset + int64(r.OffsetDelta)
	if it.isAppendTime {
		r.Timestamp = it.appendTime
	} else {
		r.Timestamp = it.baseTimestamp + r.TimestampDelta
	}
	return true
}

// Err returns what ended the iteration early; it wraps ErrInvalid.
func (it *Iterator) Err() error { return it.err }

// parse reads one record from the start of b.
func (r *Record) parse(b []byte) (rest []byte, ok bool) {
	length, n := varint(b)
	if n == 0 || length < minRecordSize-1 || length > int64(len(b)-n) {
		return nil, false
	}
	body := b[n : n+int(length) : n+int(length)]
	rest = b[n+int(length):]
	r.Attributes = int8(body[0])
	body = body[1:]
	if r.TimestampDelta, n = varint(body); n == 0 {
		return nil, false
	}
	body = body[n:]
	delta, n := varint(body)
	if n == 0 || delta < 0 || delta > math.MaxInt32 {
		return nil, false
	}
	r.OffsetDelta = int32(delta)
	if r.Key, body, ok = nullableBytes(body[n:]); !ok {
		return nil, false
	}
	if r.Value, r.RawHeaders, ok = nullableBytes(body); !ok || len(r.RawHeaders) == 0 {
		return nil, false
	}
	return rest, true
}

// nullableBytes reads a length and that many bytes; length −1 gives nil, and
// length 0 an empty slice that is not nil.
func nullableBytes(b []byte) (v, rest []byte, ok bool) {
	length, n := varint(b)
	if n == 0 || length < -1 || length > int64(len(b)-n) {
		return nil, nil, false
	}
	if length == -1 {
		return nil, b[n:], true
	}
	end := n + int(length)
	return b[n:end:end], b[end:], true
}
