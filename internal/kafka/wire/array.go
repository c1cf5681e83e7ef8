package wire

// ArrayLen reads the count of an array whose elements take at least minSize
// bytes each. Null is -1, and an error unless nullable. After an error the count
// is 0.
func (r *Reader) ArrayLen(flexible, nullable bool, minSize int) int {
	n := r.length(flexible)
	switch {
	case r.err != nil:
		return 0
	case n == -1:
		if !nullable {
			r.Fail(ErrNull)
			return 0
		}
		return -1
	case n < 0:
		r.Fail(ErrLength)
		return 0
	case n > len(r.b)/minSize:
		r.Fail(ErrCount)
		return 0
	case r.limited && n > r.left:
		r.Fail(ErrElements)
		return 0
	}
	r.left -= n
	return n
}

// Extend returns s with one more element, for an array that announced total
// elements. The new element has whatever value it had when s was used before, so
// that its own slices can be reused. When s is full it grows to twice what has
// really been read, but to 16 elements at least and never beyond total.
func Extend[T any](s []T, total int) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	grown := make([]T, len(s)+1, min(max(total, len(s)+1), max(16, 2*len(s))))
	copy(grown, s)
	return grown
}

// Reset prepares s to receive an array of n elements: nil when n is negative,
// else empty but not nil, with the capacity it has.
func Reset[T any](s []T, n int) []T {
	switch {
	case n < 0:
		return nil
	case s == nil:
		return []T{}
	}
	return s[:0]
}

// numbers reads an array of fixed-size numbers. Since every element takes size
// bytes of the buffer, the announced count has been proven when it is allocated.
func numbers[T any](r *Reader, dst []T, flexible, nullable bool, size int, read func(p []byte) T) []T {
	n := r.ArrayLen(flexible, nullable, size)
	if n <= 0 {
		if nullable {
			return Reset(dst, n)
		}
		return dst[:0]
	}
	if cap(dst) < n {
		dst = make([]T, n)
	}
	dst = dst[:n]
	p := r.take(n * size)
	for i := range dst {
		dst[i] = read(p[i*size:])
	}
	return dst
}

// Int8s reads an array of int8 into the capacity of dst; null is nil.
func (r *Reader) Int8s(dst []int8, flexible, nullable bool) []int8 {
	return numbers(r, dst, flexible, nullable, 1, func(p []byte) int8 { return int8(p[0]) })
}

// Int16s reads an array of int16 into the capacity of dst; null is nil.
func (r *Reader) Int16s(dst []int16, flexible, nullable bool) []int16 {
	return numbers(r, dst, flexible, nullable, 2, func(p []byte) int16 {
		return int16(uint16(p[0])<<8 | uint16(p[1]))
	})
}

// Int32s reads an array of int32 into the capacity of dst; null is nil.
func (r *Reader) Int32s(dst []int32, flexible, nullable bool) []int32 {
	return numbers(r, dst, flexible, nullable, 4, func(p []byte) int32 {
		return int32(uint32(p[0])<<24 | uint32(p[1])<<16 | uint32(p[2])<<8 | uint32(p[3]))
	})
}

// Int64s reads an array of int64 into the capacity of dst; null is nil.
func (r *Reader) Int64s(dst []int64, flexible, nullable bool) []int64 {
	return numbers(r, dst, flexible, nullable, 8, func(p []byte) int64 {
		var v uint64
		for _, c := range p[:8] {
			v = v<<8 | uint64(c)
		}
		return int64(v)
	})
}

// UUIDs reads an array of UUIDs into the capacity of dst; null is nil.
func (r *Reader) UUIDs(dst []UUID, flexible, nullable bool) []UUID {
	return numbers(r, dst, flexible, nullable, 16, func(p []byte) UUID { return UUID(p[:16]) })
}

// Strings reads an array of strings that may not be null into the capacity of
// dst; a null array is nil. The strings alias the buffer.
func (r *Reader) Strings(dst []string, flexible, nullable bool) []string {
	minSize := 2
	if flexible {
		minSize = 1
	}
	n := r.ArrayLen(flexible, nullable, minSize)
	if nullable {
		dst = Reset(dst, n)
	} else {
		dst = dst[:0]
	}
	for i := 0; i < n && r.err == nil; i++ {
		dst = Extend(dst, n)
		dst[i] = r.String(flexible)
	}
	return dst
}
