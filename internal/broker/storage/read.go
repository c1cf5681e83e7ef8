package storage

import (
	"errors"
	"fmt"
	"math"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/lookup"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/vfs"
)

// Slice is a piece of a log: whole batches in one file. Release it, unless it is
// empty.
type Slice struct {
	vfs.Range
	// FirstOffset is the base offset of the first batch, which may be before the
	// offset asked for.
	FirstOffset int64
	// NextOffset is where the next read goes on: the offset after the last batch.
	NextOffset int64
}

// OffsetRangeError says that an offset is outside the log. Its code is
// OFFSET_OUT_OF_RANGE.
type OffsetRangeError struct {
	// Offset is what was asked for.
	Offset int64
	// LogStartOffset and LogEndOffset bound what there is.
	LogStartOffset, LogEndOffset int64
}

// Error implements error.
func (e *OffsetRangeError) Error() string {
	return fmt.Sprintf("offset %d is outside of %d to %d", e.Offset, e.LogStartOffset, e.LogEndOffset)
}

// Unwrap gives Kafka's code.
func (e *OffsetRangeError) Unwrap() error { return protocol.OffsetOutOfRange }

// readPlan is a read of one segment.
type readPlan struct {
	lookup.Plan
	seg     *segment
	checked bool
}

// Read returns whole batches from the one that contains offset, at most maxBytes
// of them and none with an offset at or behind limitOffset. With minOneBatch the
// first batch is returned even if it is larger than maxBytes. An empty slice says
// that there is nothing to read yet. An offset before the log's start or behind
// its end is an *OffsetRangeError.
//
// The batch that contains limitOffset is not returned, so that limitOffset should
// be a boundary of batches, as a high watermark is.
func (l *Log) Read(offset int64, maxBytes int32, limitOffset int64, minOneBatch bool) (Slice, error) {
	for range maxReadAttempts {
		s, err := l.read(offset, int64(maxBytes), limitOffset, minOneBatch)
		if !errors.Is(err, vfs.ErrDropped) {
			return s, err
		}
	}
	return Slice{}, storageError("reading "+l.String(), errors.New("its segments kept changing"))
}

// maxReadAttempts bounds how often a read starts anew because its segment was
// deleted or replaced under it.
const maxReadAttempts = 8

func (l *Log) read(offset, maxBytes, limitOffset int64, minOneBatch bool) (Slice, error) {
	empty := Slice{FirstOffset: offset, NextOffset: offset}
	for from := offset; ; {
		p, err := l.planRead(offset, from, maxBytes, limitOffset)
		if err != nil || p.seg == nil {
			return empty, err
		}
		if p.seg.handle == nil || p.Size == 0 {
			if l.isLast(p.seg) {
				return empty, nil
			}
			from = l.nextBase(p.seg)
			continue
		}
		s, err := l.readSegment(&p, max(offset, p.Base), maxBytes, minOneBatch)
		if err != nil || s.Length > 0 || l.isLast(p.seg) || s.NextOffset >= limitOffset {
			if s.Length == 0 {
				s = empty
			}
			return s, err
		}
		// nothing of this segment is at or behind the offset (compaction took it)
		from = l.nextBase(p.seg)
	}
}

func (l *Log) isLast(s *segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last() == s
}

// nextBase returns where the segment behind s begins.
func (l *Log) nextBase(s *segment) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, next := range l.segs {
		if next.BaseOffset > s.BaseOffset {
			return next.BaseOffset
		}
	}
	return math.MaxInt64
}

// planRead finds the segment and, at the log's end, everything else.
func (l *Log) planRead(offset, from, maxBytes, limitOffset int64) (readPlan, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset < l.logStart || offset > l.end {
		return readPlan{}, &OffsetRangeError{offset, l.logStart, l.end}
	}
	limit := min(limitOffset, l.end)
	if from >= limit || from >= l.end {
		return readPlan{}, nil
	}
	seg, i := l.find(from)
	p := readPlan{seg: seg, checked: seg.checked, Plan: lookup.Plan{Base: seg.BaseOffset, Size: seg.Size, Limit: limit, Start: -1, End: -1, Cut: -1}}
	if limit >= seg.NextOffset {
		p.End, p.Limit = seg.Size, seg.NextOffset
	}
	last := i == len(l.segs)-1
	if last && l.tail != nil {
		if pos, ok := l.tail.Find(offset); ok {
			p.Start, p.First = pos, offset
		}
		if p.End < 0 {
			if pos, ok := l.tail.Find(limit); ok {
				p.End = pos
			}
		}
	}
	if p.Start < 0 {
		if offset <= seg.BaseOffset {
			p.Start, p.First = 0, seg.BaseOffset // the first batch begins here or behind
		} else {
			p.Floor = seg.Index.Offset(uint32(offset - seg.BaseOffset))
			p.InMemory = p.Floor.Position > 0 || seg.IndexFrom == 0
		}
	}
	if p.Start >= 0 && p.End >= 0 && p.End-p.Start > maxBytes {
		l.planCut(&p, last, maxBytes)
	}
	return p, nil
}

// planCut looks for a boundary to end at in memory. l.mu is held.
func (l *Log) planCut(p *readPlan, last bool, maxBytes int64) {
	if last && l.tail != nil {
		if b, ok := l.tail.Floor(p.Start + maxBytes); ok && b.Position > p.Start {
			p.Cut, p.CutNext = b.Position, b.Offset
			return
		}
	}
	if e := p.seg.Index.Position(p.Start + maxBytes); int64(e.Position) > p.Start {
		p.Cut, p.CutNext = int64(e.Position), p.Base+int64(e.RelativeOffset)
	}
}

// readSegment reads from one segment. It returns an empty slice whose NextOffset
// is behind offset if the segment has nothing at or behind it.
func (l *Log) readSegment(p *readPlan, offset, maxBytes int64, minOneBatch bool) (Slice, error) {
	r, err := p.seg.handle.Range(0, 0)
	if err != nil {
		return Slice{}, l.readError(p, err)
	}
	if !p.checked {
		if err := l.checkSize(p, r.File); err != nil {
			r.Release()
			return Slice{}, l.readError(p, err)
		}
	}
	buf := l.m.takeBuffer()
	e, err := p.Read(r.File, p.seg, *buf, offset, maxBytes, minOneBatch)
	l.m.giveBuffer(buf)
	if err != nil || e.Length == 0 {
		r.Release()
		return Slice{NextOffset: e.Next}, l.readError(p, err)
	}
	r.Offset, r.Length = e.Position, e.Length
	return Slice{Range: r, FirstOffset: e.First, NextOffset: e.Next}, nil
}

// checkSize sees, once for each segment, that the file has the bytes that the
// manifest says it has: a clean start opens no files.
func (l *Log) checkSize(p *readPlan, f vfs.File) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size >= p.Size {
		l.mu.Lock()
		p.seg.checked = true
		l.mu.Unlock()
		return nil
	}
	reason := fmt.Sprintf("the file has %d bytes, %d were written", size, p.Size)
	l.m.damage.Report(damage.Damage{Topic: l.topic, Partition: l.partition, File: p.seg.handle.Name(), FromOffset: -1, ToOffset: -1, Reason: reason})
	return errors.New(reason)
}

func (l *Log) readError(p *readPlan, err error) error {
	if err == nil || errors.Is(err, vfs.ErrDropped) {
		return err
	}
	return storageError(fmt.Sprintf("reading %s, segment %d", l, p.Base), err)
}
