package wire

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/naru-stream/naru/internal/assert"
)

// AppendBool appends one byte.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendInt8 appends one byte.
func AppendInt8(b []byte, v int8) []byte { return append(b, byte(v)) }

// AppendInt16 appends two bytes.
func AppendInt16(b []byte, v int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) }

// AppendUint16 appends two bytes.
func AppendUint16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }

// AppendInt32 appends four bytes.
func AppendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

// AppendUint32 appends four bytes.
func AppendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

// AppendInt64 appends eight bytes.
func AppendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// AppendFloat64 appends eight bytes, an IEEE 754 double.
func AppendFloat64(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(v))
}

// AppendUUID appends sixteen bytes.
func AppendUUID(b []byte, u UUID) []byte { return append(b, u[:]...) }

// AppendUVarint appends an unsigned 32-bit integer in one to five bytes.
func AppendUVarint(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// UVarintSize returns the number of bytes AppendUVarint takes for v.
func UVarintSize(v uint32) int {
	n := 1
	for v >= 0x80 {
		n++
		v >>= 7
	}
	return n
}

// AppendString appends s, which is at most MaxStringLength bytes long.
func AppendString(b []byte, s string, flexible bool) []byte {
	if len(s) > MaxStringLength {
		tooLong(len(s))
	}
	if flexible {
		b = AppendUVarint(b, uint32(len(s))+1)
	} else {
		b = AppendInt16(b, int16(len(s)))
	}
	return append(b, s...)
}

func tooLong(n int) {
	assert.That(false, "a string of %d bytes cannot be sent, the limit is %d", n, MaxStringLength)
}

// AppendNullableString appends *s, or null when s is nil.
func AppendNullableString(b []byte, s *string, flexible bool) []byte {
	switch {
	case s != nil:
		return AppendString(b, *s, flexible)
	case flexible:
		return append(b, 0)
	}
	return append(b, 0xff, 0xff)
}

// Clip returns s cut to the longest valid prefix that a string can carry. It is
// for diagnostic text, which may quote a peer at length.
func Clip(s string) string {
	if len(s) <= MaxStringLength {
		return s
	}
	n := MaxStringLength
	for n > MaxStringLength-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// ClipNullable is Clip for a string that may be nil.
func ClipNullable(s *string) *string {
	if s == nil || len(*s) <= MaxStringLength {
		return s
	}
	clipped := Clip(*s)
	return &clipped
}

// AppendBytes appends p with its length. A nil p is null when nullable, else
// empty.
func AppendBytes(b, p []byte, flexible, nullable bool) []byte {
	b = AppendBytesLen(b, len(p), p == nil && nullable, flexible)
	return append(b, p...)
}

// AppendBytesLen appends the length that precedes n bytes, or null.
func AppendBytesLen(b []byte, n int, null, flexible bool) []byte {
	return AppendArrayLen(b, n, null, flexible)
}

// AppendArrayLen appends the count of an array of n elements, or null.
func AppendArrayLen(b []byte, n int, null, flexible bool) []byte {
	if null {
		n = -1
	}
	if flexible {
		return AppendUVarint(b, uint32(n+1))
	}
	return AppendInt32(b, int32(n))
}

// AppendInt8s appends an array. A nil s is null when nullable, else empty; so
// are the arrays below.
func AppendInt8s(b []byte, s []int8, flexible, nullable bool) []byte {
	b = AppendArrayLen(b, len(s), s == nil && nullable, flexible)
	for _, v := range s {
		b = append(b, byte(v))
	}
	return b
}

// AppendInt16s appends an array.
func AppendInt16s(b []byte, s []int16, flexible, nullable bool) []byte {
	b = AppendArrayLen(b, len(s), s == nil && nullable, flexible)
	for _, v := range s {
		b = AppendInt16(b, v)
	}
	return b
}

// AppendInt32s appends an array.
func AppendInt32s(b []byte, s []int32, flexible, nullable bool) []byte {
	b = AppendArrayLen(b, len(s), s == nil && nullable, flexible)
	for _, v := range s {
		b = AppendInt32(b, v)
	}
	return b
}

// AppendInt64s appends an array.
func AppendInt64s(b []byte, s []int64, flexible, nullable bool) []byte {
	b = AppendArrayLen(b, len(s), s == nil && nullable, flexible)
	for _, v := range s {
		b = AppendInt64(b, v)
	}
	return b
}

// AppendUUIDs appends an array.
func AppendUUIDs(b []byte, s []UUID, flexible, nullable bool) []byte {
	b = AppendArrayLen(b, len(s), s == nil && nullable, flexible)
	for i := range s {
		b = append(b, s[i][:]...)
	}
	return b
}

// AppendStrings appends an array.
func AppendStrings(b []byte, s []string, flexible, nullable bool) []byte {
	b = AppendArrayLen(b, len(s), s == nil && nullable, flexible)
	for _, v := range s {
		b = AppendString(b, v, flexible)
	}
	return b
}

// OpenTags appends the number of tagged fields, which AppendTag counts up. A
// message has fewer than 128 known tags, so the number takes one byte.
func OpenTags(b []byte) (_ []byte, count int) { return append(b, 0), len(b) }

// AppendTag counts one more tagged field and appends its tag and one byte for
// its size; the content follows, then CloseTag with the returned mark.
func AppendTag(b []byte, count int, tag uint32) (_ []byte, mark int) {
	b[count]++
	b = append(AppendUVarint(b, tag), 0)
	return b, len(b)
}

// CloseTag sets the size of the tagged field whose content started at mark.
func CloseTag(b []byte, mark int) []byte {
	size := len(b) - mark
	if size < 0x80 {
		b[mark-1] = byte(size)
		return b
	}
	wider := UVarintSize(uint32(size)) - 1
	b = append(b, make([]byte, wider)...)
	copy(b[mark+wider:], b[mark:])
	AppendUVarint(b[:mark-1], uint32(size))
	return b
}

// CloneNullable returns a copy of *s that no longer keeps alive what it was decoded from,
// or null when s is nil.
func CloneNullable(s *string) *string {
	if s == nil {
		return nil
	}
	c := strings.Clone(*s)
	return &c
}
