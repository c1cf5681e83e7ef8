// Package lookup finds places in a segment file: where a read begins and ends, which record
// is the first of a time, where a truncation cuts.
//
// Purpose: a question is answered from boundaries in memory where that is possible, and
// otherwise by reading as few batch headers as the index allows.
//
// Neighbours: package storage takes a plan of a segment at one moment, under the log's
// lock, and asks here without it. Its segments are an [Index]; segmentfile walks over the
// batches.
//
// Invariants: nothing behind Plan.Size is read. What a log is asked for at its end, where
// most reads are, needs no index and no disk. Nothing is allocated but for a decoded batch.
package lookup

import (
	"math"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// Index says where to start looking. It may read a sidecar to know.
type Index interface {
	// Floor returns the last boundary that is not behind what is asked for.
	Floor(q Query) (index.Entry, error)
}

// Query is a question to an index.
type Query struct {
	kind  queryKind
	value int64
}

type queryKind int8

const (
	byOffset queryKind = iota
	byPosition
	byTimestamp
)

// ByOffset asks for an offset relative to the segment's base.
func ByOffset(relative int64) Query { return Query{byOffset, relative} }

// ByPosition asks for a position in the file.
func ByPosition(position int64) Query { return Query{byPosition, position} }

// ByTimestamp asks for the first record of at least this timestamp.
func ByTimestamp(ms int64) Query { return Query{byTimestamp, ms} }

// Ask asks the boundaries that are in memory.
func (q Query) Ask(x *index.Index) index.Entry {
	switch q.kind {
	case byOffset:
		return x.Offset(uint32(min(q.value, math.MaxUint32)))
	case byPosition:
		return x.Position(q.value)
	default:
		return x.Timestamp(q.value)
	}
}

// Plan is what a read knows about the segment it reads from, taken at one moment.
type Plan struct {
	// Base is the segment's base offset.
	Base int64
	// Size is the end of what may be read of the file.
	Size int64
	// Limit is the offset at which the read ends.
	Limit int64
	// Start is the position of the first batch and First its base offset; -1 if not
	// known.
	Start, First int64
	// End is the position of Limit, -1 if not known.
	End int64
	// Floor is a boundary before the first batch, if InMemory.
	Floor    index.Entry
	InMemory bool
	// Cut is a boundary that is not too far behind Start and CutNext its offset; -1 if
	// not known.
	Cut, CutNext int64
}

// Extent is a piece of a segment: whole batches.
type Extent struct {
	// Position and Length say where it is in the file.
	Position, Length int64
	// First is the base offset of its first batch, Next the offset behind its last.
	First, Next int64
}

// Read finds what to read from offset on: at most maxBytes, but with minOneBatch the first
// batch in any case. An extent without length says that the segment has nothing at or
// behind the offset. Buf is the memory for scans, segmentfile.Chunk bytes or more.
func (p *Plan) Read(f vfs.File, x Index, buf []byte, offset, maxBytes int64, minOneBatch bool) (Extent, error) {
	if p.Start < 0 || p.Start == 0 && p.First < offset {
		found, err := p.findStart(f, x, offset, buf)
		if err != nil || !found {
			return Extent{Next: offset}, err
		}
	}
	end, next := p.End, p.Limit
	if end < 0 {
		e, err := x.Floor(ByOffset(p.Limit - p.Base))
		if err != nil {
			return Extent{}, err
		}
		if end, next, err = p.walkTo(f, buf, max(p.Start, int64(e.Position)), func(b record.Batch, _ int64) bool {
			return b.NextOffset() <= p.Limit
		}); err != nil {
			return Extent{}, err
		}
	}
	if end-p.Start > maxBytes {
		var err error
		if end, next, err = p.findEnd(f, x, buf, maxBytes, min(end, p.Size), minOneBatch); err != nil {
			return Extent{}, err
		}
	}
	return Extent{Position: p.Start, Length: max(0, end-p.Start), First: p.First, Next: next}, nil
}

// findStart finds the first batch that ends behind offset.
func (p *Plan) findStart(f vfs.File, x Index, offset int64, buf []byte) (bool, error) {
	e := p.Floor
	if !p.InMemory && p.Start < 0 {
		var err error
		if e, err = x.Floor(ByOffset(offset - p.Base)); err != nil {
			return false, err
		}
	}
	if p.Base+int64(e.RelativeOffset) == offset && e.Position > 0 {
		p.Start, p.First = int64(e.Position), offset
		return true, nil
	}
	sc := segmentfile.NewScanner(f, int64(e.Position), p.Size, buf)
	for sc.Next() {
		if sc.Header.NextOffset() > offset {
			p.Start, p.First = sc.Position, sc.Header.BaseOffset()
			return true, nil
		}
	}
	return false, sc.Err
}

// findEnd finds the last boundary at most maxBytes behind the start.
func (p *Plan) findEnd(f vfs.File, x Index, buf []byte, maxBytes, end int64, minOneBatch bool) (int64, int64, error) {
	if p.Cut > p.Start {
		return p.Cut, p.CutNext, nil
	}
	e, err := x.Floor(ByPosition(p.Start + maxBytes))
	if err != nil {
		return 0, 0, err
	}
	if int64(e.Position) > p.Start {
		return int64(e.Position), p.Base + int64(e.RelativeOffset), nil
	}
	first := true
	return p.walkTo(f, buf, p.Start, func(_ record.Batch, batchEnd int64) bool {
		fits := batchEnd <= end && (batchEnd-p.Start <= maxBytes || first && minOneBatch)
		first = false
		return fits
	})
}

// walkTo goes from a boundary over the batches that the condition accepts. It returns the
// position and the offset behind the last of them.
func (p *Plan) walkTo(f vfs.File, buf []byte, from int64, accept func(b record.Batch, end int64) bool) (int64, int64, error) {
	sc := segmentfile.NewScanner(f, from, p.Size, buf)
	end, next := from, p.First
	for sc.Next() {
		if !accept(sc.Header, sc.Position+sc.Size) {
			return end, next, nil
		}
		end, next = sc.Position+sc.Size, sc.Header.NextOffset()
	}
	return end, next, sc.Err
}

// CutBefore finds the first batch that has an offset at or behind offset, which is behind
// Base: its position, and the offset behind the batch before it.
func (p *Plan) CutBefore(f vfs.File, x Index, buf []byte, offset int64) (position, next int64, err error) {
	e, err := x.Floor(ByOffset(offset - 1 - p.Base))
	if err != nil {
		return 0, 0, err
	}
	p.First = p.Base + int64(e.RelativeOffset)
	return p.walkTo(f, buf, int64(e.Position), func(b record.Batch, _ int64) bool { return b.NextOffset() <= offset })
}

// Record is a record that was found.
type Record struct {
	// Offset is its offset, Timestamp its timestamp in milliseconds since 1970.
	Offset, Timestamp int64
	// LeaderEpoch is that of its batch.
	LeaderEpoch int32
}

// Since finds the first record of at least a timestamp and at or behind an offset; ok is
// false if there is none.
func (p *Plan) Since(f vfs.File, x Index, buf []byte, timestampMs, start int64) (found Record, ok bool, err error) {
	e, err := x.Floor(ByTimestamp(timestampMs))
	if err != nil {
		return Record{}, false, err
	}
	sc := segmentfile.NewScanner(f, int64(e.Position), p.Size, buf)
	for sc.Next() {
		if sc.Header.MaxTimestamp() < timestampMs || sc.Header.LastOffset() < start {
			continue
		}
		b, err := sc.Whole()
		if err != nil {
			return Record{}, false, err
		}
		offset, ts, ok, err := segmentfile.FirstSince(b, timestampMs, start)
		if ok || err != nil {
			return Record{offset, ts, b.PartitionLeaderEpoch()}, ok, err
		}
	}
	return Record{}, false, sc.Err
}
