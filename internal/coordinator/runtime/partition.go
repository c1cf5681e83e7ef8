package runtime

import (
	"math"
	"unicode/utf16"
)

// PartitionFor returns which of n partitions of an internal topic holds the state of
// an id (a group, a transactional id): the hash that Java gives it, made positive,
// modulo n.
func PartitionFor(id string, n int32) int32 {
	hash := int32(0)
	for _, r := range id {
		if r1, r2 := utf16.EncodeRune(r); r1 != '\uFFFD' {
			hash = 31*(31*hash+r1) + r2
		} else {
			hash = 31*hash + r
		}
	}
	switch {
	case hash == math.MinInt32:
		hash = 0
	case hash < 0:
		hash = -hash
	}
	return hash % n
}
