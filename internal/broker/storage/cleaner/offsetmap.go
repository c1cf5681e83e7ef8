package cleaner

import (
	"crypto/sha256"
	"encoding/binary"
)

const (
	// slotSize is the memory of one key in the map.
	slotSize = 24
	// firstSlots is how many slots a map starts with.
	firstSlots = 1 << 10
	// loadPercent is how full the map may get; probing is linear.
	loadPercent = 80
)

// slot is a key's hash and the last offset + 1; 0 marks a free slot. Outside of a map
// it is a record: its key's hash and its offset + 1.
type slot struct {
	hi, lo uint64
	offset int64
}

// OffsetMap remembers the last offset of every key within a fixed memory. Keys are
// kept as the first 128 bits of their SHA-256: a collision would lose a record, so
// the hash is one in which nobody finds collisions. One goroutine uses it.
type OffsetMap struct {
	slots    []slot
	used     int
	maxSlots int
	// LatestOffset is the highest offset that the map takes into account; records
	// behind it are left alone.
	LatestOffset int64
}

// NewOffsetMap returns an empty map of at most maxBytes, which it grows into; while
// it grows, the smaller table before exists as well. At least one key always fits.
func NewOffsetMap(maxBytes int64) *OffsetMap {
	return &OffsetMap{maxSlots: int(max(maxBytes/slotSize, 2)), LatestOffset: -1}
}

// Len returns the number of keys.
func (m *OffsetMap) Len() int { return m.used }

// Put remembers the offset as the key's last and tells whether there was room.
// Offsets must not fall.
func (m *OffsetMap) Put(key []byte, offset int64) bool {
	h := hash(key)
	h.offset = offset + 1
	return m.put(h)
}

func (m *OffsetMap) put(h slot) bool {
	full := (m.used+1)*100 > len(m.slots)*loadPercent && !m.grow()
	s := m.find(h)
	if s.offset == 0 {
		if full { // a key that is there already needs no room
			return false
		}
		m.used++
	}
	*s = h
	m.LatestOffset = h.offset - 1
	return true
}

// Get returns the key's last offset or −1.
func (m *OffsetMap) Get(key []byte) int64 { return m.get(hash(key)) }

func (m *OffsetMap) get(h slot) int64 {
	if s := m.find(h); s != nil {
		return s.offset - 1
	}
	return -1
}

func hash(key []byte) slot {
	sum := sha256.Sum256(key)
	return slot{hi: binary.BigEndian.Uint64(sum[:]), lo: binary.BigEndian.Uint64(sum[8:])}
}

// find returns the key's slot or the free one where it belongs, nil in an empty
// map. There is always a free slot, since the map is never filled.
func (m *OffsetMap) find(h slot) *slot {
	n := uint64(len(m.slots))
	if n == 0 {
		return nil
	}
	for i := h.hi % n; ; i = (i + 1) % n {
		s := &m.slots[i]
		if s.offset == 0 || s.hi == h.hi && s.lo == h.lo {
			return s
		}
	}
}

func (m *OffsetMap) grow() bool {
	size := min(max(2*len(m.slots), firstSlots), m.maxSlots)
	if size <= len(m.slots) {
		return false
	}
	old := m.slots
	m.slots = make([]slot, size)
	for _, s := range old {
		if s.offset != 0 {
			*m.find(s) = s
		}
	}
	return true
}
