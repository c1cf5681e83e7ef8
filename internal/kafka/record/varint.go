package record

import "math/bits"

const (
	maxVarint32 = 5
	maxVarint64 = 10
)

// varint decodes the zig-zag varint at the start of b. N is its length, 0 when b
// ends too early or the value does not fit into 64 bits.
func varint(b []byte) (v int64, n int) {
	// Most lengths and deltas fit into one byte.
	if len(b) > 0 && b[0] < 0x80 {
		u := uint64(b[0])
		return int64(u>>1) ^ -int64(u&1), 1
	}
	var u uint64
	for i, c := range b {
		if i == maxVarint64 || i == maxVarint64-1 && c > 1 {
			return 0, 0
		}
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return int64(u>>1) ^ -int64(u&1), i + 1
		}
	}
	return 0, 0
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

func appendVarint(dst []byte, v int64) []byte {
	u := zigzag(v)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func varintSize(v int64) int {
	u := zigzag(v)
	if u == 0 {
		return 1
	}
	return (bits.Len64(u) + 6) / 7
}
