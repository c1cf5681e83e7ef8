package storage

import (
	"errors"
	"fmt"
	"math"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
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

// readPlan is what a read knows about the segment it reads from, taken at one
// moment.
type readPlan struct {
	seg     *segment
	base    int64
	size    int64 // no byte behind is read
	checked bool
	limit   int64 // no offset at or behind is read
	start   int64 // position of the first batch, -1 if not known yet
	first   int64 // its base offset
	end     int64 // position of limit, -1 if not known yet
	floor   index.Entry
	inHeap  bool
	cut     int64 // a boundary at or before start+maxBytes, -1 if not known yet
	cutNext int64
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
		if p.seg.handle == nil || p.size == 0 {
			if l.isLast(p.seg) {
				return empty, nil
			}
			from = l.nextBase(p.seg)
			continue
		}
		s, err := l.readSegment(&p, max(offset, p.base), maxBytes, minOneBatch)
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
		if next.base > s.base {
			return next.base
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
	p := readPlan{seg: seg, base: seg.base, size: seg.size, checked: seg.checked, limit: limit, start: -1, end: -1, cut: -1}
	if limit >= seg.next {
		p.end, p.limit = seg.size, seg.next
	}
	last := i == len(l.segs)-1
	if last && l.tail != nil {
		if pos, ok := l.tail.Find(offset); ok {
			p.start, p.first = pos, offset
		}
		if p.end < 0 {
			if pos, ok := l.tail.Find(limit); ok {
				p.end = pos
			}
		}
	}
	if p.start < 0 {
		if offset <= seg.base {
			p.start, p.first = 0, seg.base // the first batch begins here or behind
		} else {
			p.floor = seg.idx.Offset(uint32(offset - seg.base))
			p.inHeap = p.floor.Position > 0 || seg.idxFrom == 0
		}
	}
	if p.start >= 0 && p.end >= 0 && p.end-p.start > maxBytes {
		l.planCut(&p, last, maxBytes)
	}
	return p, nil
}

// planCut looks for a boundary to end at in memory. l.mu is held.
func (l *Log) planCut(p *readPlan, last bool, maxBytes int64) {
	if last && l.tail != nil {
		if b, ok := l.tail.Floor(p.start + maxBytes); ok && b.Position > p.start {
			p.cut, p.cutNext = b.Position, b.Offset
			return
		}
	}
	if e := p.seg.idx.Position(p.start + maxBytes); int64(e.Position) > p.start {
		p.cut, p.cutNext = int64(e.Position), p.base+int64(e.RelativeOffset)
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
	s, err := l.locate(p, r.File, offset, maxBytes, minOneBatch)
	if err != nil || s.Length == 0 {
		r.Release()
		return s, l.readError(p, err)
	}
	r.Offset, r.Length = s.Offset, s.Length
	s.Range = r
	return s, nil
}

// checkSize sees, once for each segment, that the file has the bytes that the
// manifest says it has: a clean start opens no files.
func (l *Log) checkSize(p *readPlan, f vfs.File) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size >= p.size {
		l.mu.Lock()
		p.seg.checked = true
		l.mu.Unlock()
		return nil
	}
	reason := fmt.Sprintf("the file has %d bytes, %d were written", size, p.size)
	l.m.damage.Report(damage.Damage{Topic: l.topic, Partition: l.partition, File: p.seg.handle.Name(), FromOffset: -1, ToOffset: -1, Reason: reason})
	return errors.New(reason)
}

func (l *Log) readError(p *readPlan, err error) error {
	if err == nil || errors.Is(err, vfs.ErrDropped) {
		return err
	}
	return storageError(fmt.Sprintf("reading %s, segment %d", l, p.base), err)
}

// locate finds the positions of a read.
func (l *Log) locate(p *readPlan, f vfs.File, offset, maxBytes int64, minOneBatch bool) (Slice, error) {
	buf := l.m.takeBuffer()
	defer l.m.giveBuffer(buf)
	if p.start < 0 || p.start == 0 && p.first < offset {
		found, err := l.locateStart(p, f, offset, *buf)
		if err != nil || !found {
			return Slice{NextOffset: offset}, err
		}
	}
	end, next := p.end, p.limit
	if end < 0 {
		e, err := l.floorOf(p.seg, query{kind: byOffset, offset: p.limit - p.base})
		if err != nil {
			return Slice{}, err
		}
		if end, next, err = p.walkTo(f, *buf, max(p.start, int64(e.Position)), func(b record.Batch, _ int64) bool {
			return b.NextOffset() <= p.limit
		}); err != nil {
			return Slice{}, err
		}
	}
	if end-p.start > maxBytes {
		var err error
		if end, next, err = l.locateEnd(p, f, *buf, maxBytes, min(end, p.size), minOneBatch); err != nil {
			return Slice{}, err
		}
	}
	s := Slice{FirstOffset: p.first, NextOffset: next}
	s.Offset, s.Length = p.start, max(0, end-p.start)
	return s, nil
}

// locateStart finds the first batch that ends behind offset.
func (l *Log) locateStart(p *readPlan, f vfs.File, offset int64, buf []byte) (bool, error) {
	e := p.floor
	if !p.inHeap && p.start < 0 {
		var err error
		if e, err = l.floorOf(p.seg, query{kind: byOffset, offset: offset - p.base}); err != nil {
			return false, err
		}
	}
	sc := segmentfile.NewScanner(f, int64(e.Position), p.size, buf)
	if p.base+int64(e.RelativeOffset) == offset && e.Position > 0 {
		p.start, p.first = int64(e.Position), offset
		return true, nil
	}
	for sc.Next() {
		if sc.Header.NextOffset() > offset {
			p.start, p.first = sc.Position, sc.Header.BaseOffset()
			return true, nil
		}
	}
	return false, sc.Err
}

// locateEnd finds the last boundary at most maxBytes behind the start.
func (l *Log) locateEnd(p *readPlan, f vfs.File, buf []byte, maxBytes, end int64, minOneBatch bool) (int64, int64, error) {
	if p.cut > p.start {
		return p.cut, p.cutNext, nil
	}
	e, err := l.floorOf(p.seg, query{kind: byPosition, position: p.start + maxBytes})
	if err != nil {
		return 0, 0, err
	}
	if int64(e.Position) > p.start {
		return int64(e.Position), p.base + int64(e.RelativeOffset), nil
	}
	first := true
	return p.walkTo(f, buf, p.start, func(_ record.Batch, batchEnd int64) bool {
		fits := batchEnd <= end && (batchEnd-p.start <= maxBytes || first && minOneBatch)
		first = false
		return fits
	})
}

// walkTo goes from a boundary over the batches that the condition accepts. It
// returns the position and the offset behind the last of them.
func (p *readPlan) walkTo(f vfs.File, buf []byte, from int64, accept func(b record.Batch, end int64) bool) (int64, int64, error) {
	sc := segmentfile.NewScanner(f, from, p.size, buf)
	end, next := from, p.first
	for sc.Next() {
		if !accept(sc.Header, sc.Position+sc.Size) {
			return end, next, nil
		}
		end, next = sc.Position+sc.Size, sc.Header.NextOffset()
	}
	return end, next, sc.Err
}

// query is a question to an index.
type query struct {
	kind                        queryKind
	offset, position, timestamp int64
}

type queryKind int8

const (
	byOffset queryKind = iota
	byPosition
	byTimestamp
)

func (q query) ask(x *index.Index) index.Entry {
	switch q.kind {
	case byOffset:
		return x.Offset(uint32(min(q.offset, math.MaxUint32)))
	case byPosition:
		return x.Position(q.position)
	default:
		return x.Timestamp(q.timestamp)
	}
}

// floorOf asks a segment's index, in memory or from its sidecar.
func (l *Log) floorOf(s *segment, q query) (index.Entry, error) {
	l.mu.Lock()
	e := q.ask(&s.idx)
	from := s.idxFrom
	l.mu.Unlock()
	if e.Position > 0 || from == 0 {
		return e, nil
	}
	x, err := l.m.loadIndex(l, s)
	if err != nil {
		return e, err
	}
	return q.ask(x), nil
}
