package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestNumbersComeBack(t *testing.T) {
	b := AppendBool(nil, true)
	b = AppendInt8(b, -2)
	b = AppendInt16(b, -3)
	b = AppendUint16(b, 65_000)
	b = AppendInt32(b, math.MinInt32)
	b = AppendUint32(b, math.MaxUint32)
	b = AppendInt64(b, math.MinInt64)
	b = AppendFloat64(b, -0.5)
	b = AppendUUID(b, UUID{1, 2, 3})
	r := NewReader(b)
	if !r.Bool() || r.Int8() != -2 || r.Int16() != -3 || r.Uint16() != 65_000 || r.Int32() != math.MinInt32 ||
		r.Uint32() != math.MaxUint32 || r.Int64() != math.MinInt64 || r.Float64() != -0.5 || r.UUID() != (UUID{1, 2, 3}) {
		t.Errorf("%x is read differently", b)
	}
	if r.Err() != nil || r.Remaining() != 0 {
		t.Errorf("error %v, %d bytes are left", r.Err(), r.Remaining())
	}
}

func TestVarintsComeBackAtEveryLength(t *testing.T) {
	for shift := range 32 {
		for _, v := range []uint32{1<<shift - 1, 1 << shift, 1<<shift + 1} {
			b := AppendUVarint(nil, v)
			if r := NewReader(b); r.UVarint() != v || r.Remaining() != 0 {
				t.Errorf("%d is read differently from %x: %v", v, b, r.Err())
			}
			if UVarintSize(v) != len(b) {
				t.Errorf("%d takes %d bytes, not %d", v, len(b), UVarintSize(v))
			}
		}
	}
}

func TestVarintsHaveAnEnd(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"six bytes":           {bytes.Repeat([]byte{0x80}, 6), ErrVarint},
		"more than 32 bits":   {[]byte{0xff, 0xff, 0xff, 0xff, 0x1f}, ErrVarint},
		"cut off":             {[]byte{0xff, 0xff}, ErrTruncated},
		"nothing":             {nil, ErrTruncated},
		"padded but in range": {[]byte{0x81, 0x80, 0x80, 0x80, 0x00}, nil},
	} {
		r := NewReader(c.b)
		if r.UVarint(); !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
}

func TestStringsBytesAndArraysComeBackInBothForms(t *testing.T) {
	text := "text"
	for _, flex := range []bool{false, true} {
		b := AppendString(nil, "", flex)
		b = AppendString(b, strings.Repeat("x", MaxStringLength), flex)
		b = AppendNullableString(b, &text, flex)
		b = AppendNullableString(b, nil, flex)
		b = AppendBytes(b, []byte{}, flex, true)
		b = AppendBytes(b, nil, flex, true)
		b = AppendBytes(b, nil, flex, false)
		b = AppendInt8s(b, []int8{-1, 2}, flex, false)
		b = AppendInt16s(b, []int16{-300}, flex, false)
		b = AppendInt32s(b, nil, flex, true)
		b = AppendInt64s(b, []int64{math.MinInt64, 7}, flex, true)
		b = AppendUUIDs(b, []UUID{{9}}, flex, false)
		b = AppendStrings(b, []string{"a", ""}, flex, true)
		r := NewReader(b)
		if r.String(flex) != "" || len(r.String(flex)) != MaxStringLength || *r.NullableString(flex, true) != text || r.NullableString(flex, true) != nil {
			t.Errorf("flexible %t: strings are read differently: %v", flex, r.Err())
		}
		if p := r.Bytes(flex, true); p == nil || len(p) != 0 || r.Bytes(flex, true) != nil || r.Bytes(flex, false) == nil {
			t.Errorf("flexible %t: bytes are read differently: %v", flex, r.Err())
		}
		i8, i16, i32, i64 := r.Int8s(nil, flex, false), r.Int16s(nil, flex, false), r.Int32s(make([]int32, 3), flex, true), r.Int64s(make([]int64, 3), flex, true)
		uuids, texts := r.UUIDs(nil, flex, false), r.Strings(nil, flex, true)
		if len(i8) != 2 || i8[0] != -1 || len(i16) != 1 || i16[0] != -300 || i32 != nil || len(i64) != 2 || i64[0] != math.MinInt64 || i64[1] != 7 ||
			len(uuids) != 1 || uuids[0] != (UUID{9}) || len(texts) != 2 || texts[0] != "a" || texts[1] != "" {
			t.Errorf("flexible %t: arrays are read as %v %v %v %v %v %q: %v", flex, i8, i16, i32, i64, uuids, texts, r.Err())
		}
		if r.Err() != nil || r.Remaining() != 0 {
			t.Errorf("flexible %t: error %v, %d bytes are left", flex, r.Err(), r.Remaining())
		}
	}
}

func TestLengthsOutOfRangeAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		read func(r *Reader)
		want error
	}{
		"a null string":            {[]byte{0xff, 0xff}, func(r *Reader) { r.String(false) }, ErrNull},
		"a null compact string":    {[]byte{0}, func(r *Reader) { r.String(true) }, ErrNull},
		"null where not nullable":  {[]byte{0}, func(r *Reader) { r.NullableString(true, false) }, ErrNull},
		"a string of length -2":    {[]byte{0xff, 0xfe}, func(r *Reader) { r.NullableString(false, true) }, ErrLength},
		"a string of 32768 bytes":  {append(AppendUVarint(nil, MaxStringLength+2), make([]byte, 40_000)...), func(r *Reader) { r.String(true) }, ErrLength},
		"bytes of length -2":       {[]byte{0xff, 0xff, 0xff, 0xfe}, func(r *Reader) { r.Bytes(false, true) }, ErrLength},
		"null bytes":               {[]byte{0xff, 0xff, 0xff, 0xff}, func(r *Reader) { r.Bytes(false, false) }, ErrNull},
		"bytes that are not there": {[]byte{5, 1}, func(r *Reader) { r.Bytes(true, false) }, ErrTruncated},
		"an array of length -2":    {[]byte{0xff, 0xff, 0xff, 0xfe}, func(r *Reader) { r.ArrayLen(false, true, 1) }, ErrLength},
		"a null array":             {[]byte{0}, func(r *Reader) { r.Int32s(nil, true, false) }, ErrNull},
		"a lying count":            {[]byte{3, 0, 0, 0, 1, 0}, func(r *Reader) { r.Int32s(nil, true, false) }, ErrCount},
		"more tags than bytes":     {[]byte{3, 0, 0, 0}, func(r *Reader) { r.SkipTags() }, ErrCount},
		"a tag without its end":    {[]byte{1, 9, 5}, func(r *Reader) { r.SkipTags() }, ErrTruncated},
	} {
		r := NewReader(c.b)
		if c.read(&r); !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
}

func TestFirstErrorStaysWithItsPosition(t *testing.T) {
	r := NewReader([]byte{0, 0, 0, 1, 0xff})
	r.Int32()
	r.Int16()
	r.Fail(ErrNull)
	if got := r.Finish("M", 3).Error(); got != "decoding M version 3: byte 4: "+ErrTruncated.Error() {
		t.Errorf("error %q", got)
	}
	if r.Int64() != 0 || r.String(true) != "" || r.UUID() != (UUID{}) || r.TagCount() != 0 || r.Remaining() != 0 {
		t.Error("values are read after an error")
	}
}

func TestTaggedFieldsOfAnySizeAreConfined(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 16_383, 16_384, 2_097_152} {
		b, count := OpenTags([]byte("before"))
		for tag := range uint32(2) {
			var mark int
			b, mark = AppendTag(b, count, 300+tag)
			b = CloseTag(append(b, bytes.Repeat([]byte{'x'}, size)...), mark)
		}
		b = append(b, "after"...)
		r := NewReader(b[len("before"):])
		if n := r.TagCount(); n != 2 {
			t.Fatalf("size %d: %d tags", size, n)
		}
		tag, rest := r.OpenTag()
		if tag != 300 || r.Remaining() != size {
			t.Fatalf("size %d: tag %d with %d bytes", size, tag, r.Remaining())
		}
		if size > 0 {
			unread := r
			if unread.CloseTag(rest) || !errors.Is(unread.Err(), ErrTag) {
				t.Fatalf("size %d: content that was not read is %v", size, unread.Err())
			}
		}
		r.Discard()
		if !r.CloseTag(rest) {
			t.Fatal(r.Err())
		}
		_, rest = r.OpenTag()
		r.Discard()
		if !r.CloseTag(rest) || string(r.Rest()) != "after" {
			t.Fatalf("size %d: %q is left, %v", size, r.Rest(), r.Err())
		}
	}
}

func TestReadBytesCannotBeAppendedInto(t *testing.T) {
	b := AppendBytes(nil, []byte{1}, true, false)
	b = append(b, 7)
	r := NewReader(b)
	if p := append(r.Bytes(true, false), 99); p[1] != 99 || b[len(b)-1] != 7 {
		t.Error("appending to what was read changes the buffer")
	}
}

func TestSlicesGrowWithWhatIsRead(t *testing.T) {
	var s []int64
	for i := range 100_000 {
		s = Extend(s, 1<<30)
		s[i] = int64(i)
		if cap(s) > max(16, 2*len(s)) {
			t.Fatalf("room for %d after %d elements", cap(s), len(s))
		}
	}
	if s[99_999] != 99_999 || s[0] != 0 {
		t.Error("elements were lost")
	}
	if exact := Extend([]int64(nil), 3); cap(exact) != 3 {
		t.Errorf("room for %d of 3 elements", cap(exact))
	}
	if Reset(s, -1) != nil || Reset([]int(nil), 0) == nil || cap(Reset(s, 5)) != cap(s) || len(Reset(s, 5)) != 0 {
		t.Error("Reset is wrong")
	}
}

func TestClippedTextIsWholeAndFits(t *testing.T) {
	long := strings.Repeat("x", MaxStringLength-1) + "나루"
	if got := Clip(long); got != long[:MaxStringLength-1] {
		t.Errorf("cut to %d bytes", len(got))
	}
	short := "short"
	if Clip(short) != short || ClipNullable(&short) != &short || ClipNullable(nil) != nil || len(*ClipNullable(&long)) != MaxStringLength-1 {
		t.Error("text that fits is changed")
	}
}

func TestUUIDHasKafkasForm(t *testing.T) {
	u := UUID{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
	if u.String() != "AAAAAAAAAAAAAAAAAAAAAQ" || u.IsZero() || !(UUID{}).IsZero() {
		t.Errorf("got %s", u)
	}
	for _, s := range []string{u.String(), u.String() + "=="} {
		if got, err := ParseUUID(s); err != nil || got != u {
			t.Errorf("%s is %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "AAAA", "AAAAAAAAAAAAAAAAAAAAA+", u.String() + "A", u.String() + "="} {
		if _, err := ParseUUID(s); err == nil {
			t.Errorf("%q is a UUID", s)
		}
	}
}

func TestWhatCannotBeSentIsABug(t *testing.T) {
	for name, fn := range map[string]func(){
		"a string that is too long": func() { AppendString(nil, strings.Repeat("x", MaxStringLength+1), true) },
		"a version below":           func() { AssertVersion("M", 1, 2, 3) },
		"a version above":           func() { AssertVersion("M", 4, 2, 3) },
		"a value without room":      func() { AssertCarries(CannotCarry("M.F", 3)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("nothing stopped it")
				}
			}()
			fn()
		})
	}
}

// TestRequestReaderBoundsElementsInAll checks the limit that keeps a small frame
// from becoming a large request.
func TestRequestReaderBoundsElementsInAll(t *testing.T) {
	frame := AppendInt32(nil, MaxRequestElements+1)
	frame = append(frame, make([]byte, MaxRequestElements+1)...)
	r := NewRequestReader(frame)
	if got := r.Int8s(nil, false, false); len(got) > 0 || !errors.Is(r.Err(), ErrElements) {
		t.Errorf("%d elements were read, error %v", len(got), r.Err())
	}
	response := NewReader(frame)
	if got := response.Int8s(nil, false, false); len(got) != MaxRequestElements+1 || response.Err() != nil {
		t.Errorf("a response with %d elements: %v", len(got), response.Err())
	}
}

func TestACopyOfANullableStringIsItsOwn(t *testing.T) {
	if CloneNullable(nil) != nil {
		t.Error("null has become a string")
	}
	s := "text"
	if c := CloneNullable(&s); c == &s || *c != s {
		t.Errorf("the copy is %q", *c)
	}
}

func TestUUIDsAreInTheOrderOfTheirBytes(t *testing.T) {
	a, b := UUID{1, 255}, UUID{2}
	if a.Compare(b) >= 0 || b.Compare(a) <= 0 || a.Compare(a) != 0 {
		t.Error(a.Compare(b), b.Compare(a), a.Compare(a))
	}
}
