// Package index is the sparse index of one segment: from an offset, a position or
// a timestamp to a batch boundary not far before it.
//
// Purpose: the log is read from batch boundaries; this is how one is found
// without reading the segment from its start. One kind of entry serves all three
// questions. An index never tells what is in the log, it only says where to start
// looking, so that it can be thinned, dropped and rebuilt at any time.
//
// Neighbours: package storage keeps one for each segment and writes it beside a
// sealed segment as <base offset>.nidx; Cache holds those that were read back.
// Pure: no clock, no file.
//
// Invariants:
//   - Entries are boundaries of batches, ascending in offset and position.
//   - An index has at most MaxEntries entries: a fuller one forgets every second
//     one, which doubles the distance and never the memory.
//
// The sidecar, big-endian:
//
//	 0      4   6   8               16             24
//	+------+---+---+---------------+--------------+
//	| NIDX |ver| 0 | base offset   | next offset  |
//	+------+---+---+------+--------+--------------+
//	| size of the log     | max timestamp         |   24 .. 40
//	+---------------------+-----------------------+
//	| offset of the batch with it | count | crc   |   40 .. 56
//	+-----------------------------+-------+-------+
//	| rel. offset u32 | position u32 | max timestamp before i64 |  count times
//	+-----------------+--------------+---------------------------+
//
// The crc is the CRC-32C of everything else. The header's sizes say what part of
// the log the index speaks of: one that does not fit its segment is rebuilt.
package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sort"
)

const (
	// MaxEntries bounds an index: half a megabyte, a boundary for every 32 KiB of a
	// full segment of 1 GiB.
	MaxEntries = 1 << 15
	// Version is the format of the sidecar.
	Version = 1

	headerSize = 56
	entrySize  = 16
	crcAt      = 52
)

var magic = [4]byte{'N', 'I', 'D', 'X'}

// Entry is a batch boundary.
type Entry struct {
	// RelativeOffset is the batch's base offset less the segment's.
	RelativeOffset uint32
	// Position is where the batch starts in the segment's file.
	Position uint32
	// MaxTimestampBefore is the largest timestamp of the batches before this one,
	// math.MinInt64 if there are none.
	MaxTimestampBefore int64
}

// Index is a list of boundaries. Its zero value is empty. It is not safe for
// concurrent use.
type Index struct {
	entries []Entry
	gap     int64 // least distance of entries in bytes, grows by thinning
}

// Add offers a boundary behind all earlier ones. It is taken if it is at least
// interval bytes after the last one; the very first batch of a segment needs no
// entry, because a search starts there anyway.
func (x *Index) Add(e Entry, interval int64) {
	if !x.far(e, interval) {
		return
	}
	if len(x.entries) == MaxEntries {
		x.thin()
		if !x.far(e, interval) {
			return
		}
	}
	x.entries = append(x.entries, e)
}

// far tells whether a boundary is far enough behind the last one.
func (x *Index) far(e Entry, interval int64) bool {
	return int64(e.Position)-x.lastPosition() >= max(interval, x.gap, 1)
}

func (x *Index) lastPosition() int64 {
	if n := len(x.entries); n > 0 {
		return int64(x.entries[n-1].Position)
	}
	return 0
}

// thin forgets every second boundary and asks the next ones for the distance
// that the kept ones have on average.
func (x *Index) thin() {
	x.gap = 2 * x.lastPosition() / int64(len(x.entries))
	kept := x.entries[:0]
	for i := 1; i < len(x.entries); i += 2 {
		kept = append(kept, x.entries[i])
	}
	x.entries = kept
}

// Len returns the number of entries.
func (x *Index) Len() int { return len(x.entries) }

// Bytes returns the memory the entries take.
func (x *Index) Bytes() int64 { return int64(cap(x.entries)) * entrySize }

// Offset returns the last boundary at or before a relative offset; the zero entry
// stands for the start of the segment.
func (x *Index) Offset(relative uint32) Entry {
	return x.floor(func(e Entry) bool { return e.RelativeOffset <= relative })
}

// Position returns the last boundary at or before a position.
func (x *Index) Position(position int64) Entry {
	return x.floor(func(e Entry) bool { return int64(e.Position) <= position })
}

// Timestamp returns the last boundary before which every timestamp is smaller
// than t: the first record with a timestamp of at least t is not before it.
func (x *Index) Timestamp(t int64) Entry {
	return x.floor(func(e Entry) bool { return e.MaxTimestampBefore < t })
}

func (x *Index) floor(before func(Entry) bool) Entry {
	n := sort.Search(len(x.entries), func(i int) bool { return !before(x.entries[i]) })
	if n == 0 {
		return Entry{MaxTimestampBefore: math.MinInt64}
	}
	return x.entries[n-1]
}

// Clone returns a copy that shares no memory.
func (x *Index) Clone() *Index { return &Index{entries: slices.Clone(x.entries), gap: x.gap} }

// Extend adds the boundaries of y that lie behind those of x.
func (x *Index) Extend(y *Index) {
	for _, e := range y.entries {
		x.Add(e, y.gap)
	}
}

// Truncate forgets the boundaries at and behind a position.
func (x *Index) Truncate(position int64) {
	n := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].Position) >= position })
	x.entries = x.entries[:n]
}

// Header says which part of which segment an index covers.
type Header struct {
	// BaseOffset is the segment's first offset.
	BaseOffset int64
	// NextOffset is the offset after the last batch covered.
	NextOffset int64
	// Size is the number of bytes of the log covered.
	Size int64
	// MaxTimestamp is the largest timestamp covered, math.MinInt64 if none.
	MaxTimestamp int64
	// MaxTimestampOffset is the base offset of the first batch that has it.
	MaxTimestampOffset int64
}

// Encode appends the sidecar to dst.
func (x *Index) Encode(dst []byte, h Header) []byte {
	start := len(dst)
	dst = append(dst, magic[:]...)
	dst = binary.BigEndian.AppendUint16(dst, Version)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	for _, v := range []int64{h.BaseOffset, h.NextOffset, h.Size, h.MaxTimestamp, h.MaxTimestampOffset} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(x.entries)))
	dst = binary.BigEndian.AppendUint32(dst, 0)
	for _, e := range x.entries {
		dst = binary.BigEndian.AppendUint32(dst, e.RelativeOffset)
		dst = binary.BigEndian.AppendUint32(dst, e.Position)
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.MaxTimestampBefore))
	}
	binary.BigEndian.PutUint32(dst[start+crcAt:], checksum(dst[start:]))
	return dst
}

// ErrCorrupt says that a sidecar is damaged; it is rebuilt from the log.
var ErrCorrupt = errors.New("the index is damaged")

// Decode reads a sidecar. It keeps nothing of b.
func Decode(b []byte) (*Index, Header, error) {
	if len(b) < headerSize || [4]byte(b) != magic {
		return nil, Header{}, fmt.Errorf("%w: no index header in %d bytes", ErrCorrupt, len(b))
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != Version {
		return nil, Header{}, fmt.Errorf("%w: version %d, this program knows %d", ErrCorrupt, v, Version)
	}
	field := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8+8*i:])) }
	h := Header{field(0), field(1), field(2), field(3), field(4)}
	count := int64(binary.BigEndian.Uint32(b[48:]))
	if count > MaxEntries || headerSize+count*entrySize != int64(len(b)) {
		return nil, Header{}, fmt.Errorf("%w: %d entries in %d bytes", ErrCorrupt, count, len(b))
	}
	if checksum(b) != binary.BigEndian.Uint32(b[crcAt:]) {
		return nil, Header{}, fmt.Errorf("%w: checksum mismatch", ErrCorrupt)
	}
	x := &Index{entries: make([]Entry, count)}
	for i := range x.entries {
		e := b[headerSize+i*entrySize:]
		x.entries[i] = Entry{
			RelativeOffset:     binary.BigEndian.Uint32(e),
			Position:           binary.BigEndian.Uint32(e[4:]),
			MaxTimestampBefore: int64(binary.BigEndian.Uint64(e[8:])),
		}
	}
	return x, h, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers all of b but the four bytes of the checksum itself.
func checksum(b []byte) uint32 {
	crc := crc32.Update(0, castagnoli, b[:crcAt])
	return crc32.Update(crc, castagnoli, b[crcAt+4:])
}
