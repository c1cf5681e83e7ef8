package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/epochs"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/trash"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// tickRetention runs retention over every log when its interval has passed.
func (m *Manager) tickRetention(nowMs int64) int64 {
	interval := m.cfg.RetentionInterval.Milliseconds()
	m.mu.Lock()
	due := m.retentionMs + interval
	if nowMs >= due {
		m.retentionMs = nowMs
	}
	m.mu.Unlock()
	if nowMs < due {
		return due
	}
	m.EnforceRetention()
	return nowMs + interval
}

// EnforceRetention deletes what retention.ms and retention.bytes no longer keep,
// now.
func (m *Manager) EnforceRetention() {
	nowMs := m.nowMs()
	for _, l := range m.Logs() {
		if l.dir.failure() != nil {
			continue
		}
		if err := l.enforceRetention(nowMs); err != nil {
			m.log.Warn("retention failed", "partition", l.String(), "error", err)
		}
	}
}

// enforceRetention gives up the oldest segments that are too old or too many. The
// active segment is rolled first if it is too old as a whole.
func (l *Log) enforceRetention(nowMs int64) error {
	upTo, roll := l.expired(nowMs)
	if roll {
		var err error
		l.exclusive(func() { err = l.rollExpired(upTo) })
		if err != nil {
			return err
		}
	}
	if upTo < 0 {
		return nil
	}
	return l.deleteBefore(upTo)
}

// expired returns the offset before which segments have expired, -1 for none, and
// whether that includes the active one.
func (l *Log) expired(nowMs int64) (upTo int64, roll bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	upTo = -1
	if !l.set.deletes || l.closed != nil {
		return upTo, false
	}
	var total int64
	for _, s := range l.segs {
		total += s.size
	}
	for i, s := range l.segs {
		old := l.set.retentionMs >= 0 && s.maxTimestamp >= 0 && nowMs-s.maxTimestamp > l.set.retentionMs
		many := l.set.retentionBytes >= 0 && total-s.size >= l.set.retentionBytes
		last := i == len(l.segs)-1
		empty := s.size == 0 && !last // what compaction left of it
		if s.size == 0 && last || !empty && !old && (!many || last) {
			break
		}
		total -= s.size
		upTo, roll = s.next, last
	}
	return upTo, roll
}

func (l *Log) rollExpired(upTo int64) error {
	if l.end != upTo || l.activeSegment().size == 0 {
		return nil // something was appended meanwhile: it is not old any more
	}
	if err := l.roll(l.end); err != nil {
		return l.writeFailed("making a segment of "+l.String(), err)
	}
	return nil
}

// DeleteRecordsBefore moves the log's start to offset and deletes the segments
// that lie before it. An offset behind the log's end is an *OffsetRangeError; one
// before the start changes nothing. It returns the log's start.
func (l *Log) DeleteRecordsBefore(offset int64) (int64, error) {
	l.holdStructural()
	l.mu.Lock()
	start, end := l.logStart, l.end
	if offset > end || offset < 0 {
		l.mu.Unlock()
		l.releaseStructural()
		return start, &OffsetRangeError{offset, start, end}
	}
	l.logStart = max(start, offset)
	l.mu.Unlock()
	l.releaseStructural()
	if offset <= start {
		return start, nil
	}
	return offset, l.deleteBefore(offset)
}

// deleteBefore gives up the segments all of whose records are before offset, the
// active one excepted, and moves the log's start behind them. The manifest knows
// it, durably, before a file disappears.
func (l *Log) deleteBefore(offset int64) error {
	l.holdStructural()
	defer l.releaseStructural()
	l.mu.Lock()
	n := 0
	for n < len(l.segs)-1 && l.segs[n+1].base <= offset {
		n++
	}
	gone := slices.Clone(l.segs[:n])
	l.segs = slices.Delete(l.segs, 0, n)
	if n > 0 {
		l.logStart = max(l.logStart, l.segs[0].base)
	}
	if l.epochs.TruncateBefore(l.logStart) {
		l.pace.epochsChanged = true
	}
	l.dir.addEdits(func(b []byte) []byte {
		for _, s := range gone {
			b = manifest.AppendCut(b, l.id, s.base)
		}
		return l.appendEdits(b, nil)
	})
	delay, start := l.set.fileDeleteDelayMs, l.logStart
	l.mu.Unlock()
	l.producersStartAt(start)
	if err := l.dir.writeEdits(true); err != nil {
		return storageError("deleting records of "+l.String(), err)
	}
	for _, s := range gone {
		if err := l.discard(s, delay); err != nil {
			return storageError("deleting a segment of "+l.String(), err)
		}
	}
	return nil
}

// discard renames a segment's file and has it removed later; readers that hold it
// go on.
func (l *Log) discard(s *segment, delayMs int64) error {
	if s.handle == nil {
		return nil
	}
	name := s.handle.Name()
	gone := l.file(s.base, logSuffix+deletedSuffix)
	err := l.m.fs.Rename(name, gone)
	if err == nil {
		s.handle.Renamed(gone)
	}
	l.drop(s)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, suffix := range []string{indexSuffix, abortedSuffix} {
		if err := l.m.fs.Remove(l.file(s.base, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	l.m.throwAway(trash.Item{Name: gone, DueMs: l.m.nowMs() + delayMs})
	return nil
}

// TruncateTo removes every batch that has an offset at or behind offset, as a
// follower does that diverged from its leader. It returns the new log end, which
// is before offset if a batch reaches over it.
func (l *Log) TruncateTo(offset int64) (int64, error) {
	if start, _, end := l.Offsets(); offset < start {
		return end, &OffsetRangeError{offset, start, end}
	} else if offset >= end {
		return end, nil
	}
	l.holdStructural()
	defer l.releaseStructural()
	var err error
	l.exclusive(func() { err = l.truncate(offset) })
	return l.LogEndOffset(), err
}

// TruncateFullyAndStartAt removes everything and lets the log begin at offset, as
// a follower does that fell behind its leader's start.
func (l *Log) TruncateFullyAndStartAt(offset int64) error {
	if offset < 0 {
		return fmt.Errorf("starting %s at offset %d: %w", l, offset, protocol.OffsetOutOfRange)
	}
	l.holdStructural()
	defer l.releaseStructural()
	var err error
	l.exclusive(func() { err = l.restartAt(offset) })
	return err
}

// truncate has both tokens. The manifest forgets what goes, durably, before the
// files change: afterwards a shorter file would be damage.
func (l *Log) truncate(offset int64) error {
	if err := l.dir.failure(); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	l.mu.Lock()
	seg, at := l.find(offset)
	p := readPlan{seg: seg, base: seg.base, size: seg.size}
	l.mu.Unlock()
	position, next := int64(0), seg.base
	if seg.handle != nil && offset > seg.base {
		var err error
		if position, next, err = l.truncatePosition(&p, offset); err != nil {
			return storageError("truncating "+l.String(), err)
		}
	}
	cut, err := l.boundAt(seg, position)
	if err != nil {
		return storageError("truncating "+l.String(), err)
	}
	gone := l.forgetFrom(seg, at, position, next, cut)
	if err := l.dir.writeEdits(true); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	if err := l.dir.takeBack(l, seg); err != nil {
		l.dir.fail(err)
		return storageError("truncating "+l.String(), err)
	}
	if err := l.removeTail(seg, position, gone); err != nil {
		err = fmt.Errorf("truncating %s: %w", l, err)
		l.dir.fail(err)
		return storageError("truncating", err)
	}
	return nil
}

// removeTail removes the files behind the cut, the last one first, and then cuts
// the segment: a crash in between leaves a log without gap.
func (l *Log) removeTail(seg *segment, position int64, gone []*segment) error {
	for _, s := range slices.Backward(gone) {
		if err := l.discard(s, 0); err != nil {
			return err
		}
	}
	if len(gone) > 0 {
		if err := l.m.fs.SyncDir(l.path); err != nil {
			return err
		}
	}
	return l.shorten(seg, position)
}

// truncatePosition finds the first batch that has an offset at or behind offset.
func (l *Log) truncatePosition(p *readPlan, offset int64) (position, next int64, err error) {
	f, err := p.seg.handle.Acquire()
	if err != nil {
		return 0, 0, err
	}
	defer p.seg.handle.Release()
	e, err := l.floorOf(p.seg, query{kind: byOffset, offset: offset - 1 - p.base})
	if err != nil {
		return 0, 0, err
	}
	buf := l.m.takeBuffer()
	defer l.m.giveBuffer(buf)
	p.first = p.base + int64(e.RelativeOffset)
	sc := segmentfile.NewScanner(f, int64(e.Position), p.size, *buf)
	position, next = int64(e.Position), p.first
	for sc.Next() && sc.Header.NextOffset() <= offset {
		position, next = sc.Position+sc.Size, sc.Header.NextOffset()
	}
	return position, next, sc.Err
}

// boundAt describes the segment cut at a position: its timestamps are those of the
// batches that stay.
func (l *Log) boundAt(seg *segment, position int64) (*segment, error) {
	cut := newSegment(seg.base)
	if position == 0 {
		return cut, nil
	}
	f, err := seg.handle.Acquire()
	if err != nil {
		return nil, err
	}
	defer seg.handle.Release()
	buf := l.m.takeBuffer()
	defer l.m.giveBuffer(buf)
	sc := segmentfile.NewScanner(f, 0, position, *buf)
	interval := l.settings().indexInterval
	for sc.Next() {
		cut.add(sc.Header, interval)
	}
	return cut, sc.Err
}

// forgetFrom makes the cut visible in memory and queues it for the manifest.
func (l *Log) forgetFrom(seg *segment, at int, position, next int64, cut *segment) []*segment {
	l.forgetProducers()
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := slices.Clone(l.segs[at+1:])
	l.segs = l.segs[:at+1]
	l.generation++
	l.tail = nil
	seg.size, seg.next, seg.synced, seg.journaled = position, next, min(seg.synced, position), min(seg.journaled, position)
	seg.cut = true
	seg.maxTimestamp, seg.maxTimestampOffset, seg.firstTimestamp = cut.maxTimestamp, cut.maxTimestampOffset, cut.firstTimestamp
	seg.idx, seg.idxFrom, seg.sealed = cut.idx, 0, false
	seg.aborted, seg.hasAborted = nil, false // the producers' state brings them back
	l.end = next
	l.durable = min(l.durable, next)
	l.logStart = min(l.logStart, next)
	l.cleaned = min(l.cleaned, next)
	l.epochs.TruncateFrom(next)
	l.pace.epochsChanged = true
	if l.pace.snapshot.offset > next {
		l.pace.snapshot = snapshotPoint{offset: -1}
	}
	l.active = seg.describe()
	if seg.synced < seg.size {
		l.active = manifest.Segment{BaseOffset: -1}
	}
	id := l.id
	l.dir.addEdits(func(b []byte) []byte {
		for _, s := range gone {
			b = manifest.AppendCut(b, id, s.base)
		}
		if !l.activeKnown() {
			b = manifest.AppendCut(b, id, seg.base)
		}
		return l.appendEdits(b, nil)
	})
	l.m.indexes.Forget(seg)
	return gone
}

// shorten cuts the file and removes what described it.
func (l *Log) shorten(seg *segment, position int64) error {
	if err := l.m.fs.Remove(l.file(seg.base, indexSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if seg.handle == nil {
		return nil
	}
	f, err := seg.handle.Acquire()
	if err != nil {
		return err
	}
	defer seg.handle.Release()
	return f.Truncate(position)
}

// restartAt has both tokens.
func (l *Log) restartAt(offset int64) error {
	if err := l.dir.failure(); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	l.forgetProducers()
	l.mu.Lock()
	gone := l.segs
	l.segs = []*segment{newSegment(offset)}
	l.generation++
	l.tail, l.epochs = nil, epochs.Cache{}
	l.logStart, l.end, l.durable, l.cleaned = offset, offset, offset, 0
	l.pace.snapshot = snapshotPoint{offset: offset}
	l.pace.epochsChanged = true
	l.dir.addEdits(func(b []byte) []byte {
		for _, s := range gone {
			b = manifest.AppendCut(b, l.id, s.base)
		}
		return l.appendEdits(b, nil)
	})
	l.mu.Unlock()
	if err := l.dir.writeEdits(true); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	if err := l.dir.takeBack(l, nil); err != nil {
		l.dir.fail(err)
		return storageError("truncating "+l.String(), err)
	}
	for _, s := range gone {
		if err := l.discard(s, 0); err != nil {
			return storageError("truncating "+l.String(), err)
		}
	}
	return nil
}
