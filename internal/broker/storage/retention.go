package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/epochs"
	"github.com/naru-stream/naru/internal/broker/storage/lookup"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/trash"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// tickRetention runs retention over every log when its interval has passed.
func (m *Manager) tickRetention(nowMs int64) int64 {
	return m.every(m.cfg.RetentionInterval, &m.retentionMs, nowMs, m.EnforceRetention)
}

// EnforceRetention deletes what retention.ms and retention.bytes no longer keep,
// now.
func (m *Manager) EnforceRetention() {
	nowMs := m.nowMs()
	for _, l := range m.Logs() {
		if l.dir().health.Failure() != nil {
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
		total += s.Size
	}
	for i, s := range l.segs {
		old := l.set.retentionMs >= 0 && s.MaxTimestamp >= 0 && nowMs-s.MaxTimestamp > l.set.retentionMs
		many := l.set.retentionBytes >= 0 && total-s.Size >= l.set.retentionBytes
		last := i == len(l.segs)-1
		empty := s.Size == 0 && !last // what compaction left of it
		if s.Size == 0 && last || !empty && !old && (!many || last) {
			break
		}
		total -= s.Size
		upTo, roll = s.NextOffset, last
	}
	return upTo, roll
}

func (l *Log) rollExpired(upTo int64) error {
	if l.end != upTo || l.activeSegment().Size == 0 {
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
	for n < len(l.segs)-1 && l.segs[n+1].BaseOffset <= offset {
		n++
	}
	gone := slices.Clone(l.segs[:n])
	l.segs = slices.Delete(l.segs, 0, n)
	if n > 0 {
		l.logStart = max(l.logStart, l.segs[0].BaseOffset)
	}
	if l.epochs.TruncateBefore(l.logStart) {
		l.epochsChanged = true
	}
	l.dir().manifest.Add(func(b []byte) []byte {
		for _, s := range gone {
			b = manifest.AppendCut(b, l.id(), s.BaseOffset)
		}
		return l.appendEdits(b, nil)
	})
	delay, start := l.set.fileDeleteDelayMs, l.logStart
	l.mu.Unlock()
	l.producersStartAt(start)
	if err := l.dir().writeEdits(true); err != nil {
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
	gone := l.file(s.BaseOffset, segmentfile.LogSuffix+segmentfile.DeletedSuffix)
	err := l.m.fs.Rename(name, gone)
	if err == nil {
		s.handle.Renamed(gone)
	}
	l.drop(s)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, suffix := range []string{segmentfile.IndexSuffix, segmentfile.AbortedSuffix} {
		if err := l.m.fs.Remove(l.file(s.BaseOffset, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
	if err := l.dir().health.Failure(); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	if err := l.takeBack(); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	l.mu.Lock()
	seg, at := l.find(offset)
	p := lookup.Plan{Base: seg.BaseOffset, Size: seg.Size}
	l.mu.Unlock()
	position, next := int64(0), seg.BaseOffset
	if seg.handle != nil && offset > seg.BaseOffset {
		var err error
		if position, next, err = l.truncatePosition(seg, &p, offset); err != nil {
			return storageError("truncating "+l.String(), err)
		}
	}
	cut, err := l.boundAt(seg, position)
	if err != nil {
		return storageError("truncating "+l.String(), err)
	}
	gone := l.forgetFrom(seg, at, position, next, cut)
	if err := l.dir().writeEdits(true); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	if err := l.removeTail(seg, position, gone); err != nil {
		err = fmt.Errorf("truncating %s: %w", l, err)
		l.dir().fail(err)
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
		if err := l.m.fs.SyncDir(l.path()); err != nil {
			return err
		}
	}
	return l.shorten(seg, position)
}

// truncatePosition finds the first batch that has an offset at or behind offset.
func (l *Log) truncatePosition(seg *segment, p *lookup.Plan, offset int64) (position, next int64, err error) {
	f, err := seg.handle.Acquire()
	if err != nil {
		return 0, 0, err
	}
	defer seg.handle.Release()
	buf := l.m.takeBuffer()
	defer l.m.giveBuffer(buf)
	return p.CutBefore(f, seg, *buf, offset)
}

// boundAt describes the segment cut at a position: its timestamps are those of the
// batches that stay.
func (l *Log) boundAt(seg *segment, position int64) (segmentfile.Summary, error) {
	if position == 0 {
		return segmentfile.NewSummary(seg.BaseOffset), nil
	}
	f, err := seg.handle.Acquire()
	if err != nil {
		return segmentfile.Summary{}, err
	}
	defer seg.handle.Release()
	buf := l.m.takeBuffer()
	defer l.m.giveBuffer(buf)
	return segmentfile.Summarize(f, seg.BaseOffset, position, l.settings().indexInterval, *buf)
}

// forgetFrom makes the cut visible in memory and queues it for the manifest.
func (l *Log) forgetFrom(seg *segment, at int, position, next int64, cut segmentfile.Summary) []*segment {
	l.forgetProducers()
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := slices.Clone(l.segs[at+1:])
	l.segs = l.segs[:at+1]
	l.generation++
	l.tail = nil
	seg.Size, seg.NextOffset, seg.synced, seg.journaled = position, next, min(seg.synced, position), min(seg.journaled, position)
	seg.cut = true
	seg.MaxTimestamp, seg.MaxTimestampOffset, seg.FirstTimestamp = cut.MaxTimestamp, cut.MaxTimestampOffset, cut.FirstTimestamp
	seg.Index, seg.IndexFrom, seg.Sealed = cut.Index, 0, false
	seg.abortedTxns, seg.Aborted = nil, false // the producers' state brings them back
	l.end = next
	l.durable = min(l.durable, next)
	l.logStart = min(l.logStart, next)
	l.cleaned = min(l.cleaned, next)
	l.epochs.TruncateFrom(next)
	l.epochsChanged = true
	if l.snapshots.newest.offset > next {
		l.snapshots.newest = snapshotPoint{offset: -1}
	}
	l.active = seg.Segment
	if seg.synced < seg.Size {
		l.active = manifest.Segment{BaseOffset: -1}
	}
	id := l.id()
	l.dir().manifest.Add(func(b []byte) []byte {
		for _, s := range gone {
			b = manifest.AppendCut(b, id, s.BaseOffset)
		}
		if !l.activeKnown() {
			b = manifest.AppendCut(b, id, seg.BaseOffset)
		}
		return l.appendEdits(b, nil)
	})
	l.m.indexes.Forget(seg)
	return gone
}

// shorten cuts the file and removes what described it.
func (l *Log) shorten(seg *segment, position int64) error {
	if err := l.m.fs.Remove(l.file(seg.BaseOffset, segmentfile.IndexSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
	if err := l.dir().health.Failure(); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	if err := l.takeBack(); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	l.forgetProducers()
	l.mu.Lock()
	gone := l.segs
	l.segs = []*segment{l.newSegment(offset)}
	l.generation++
	l.tail, l.epochs = nil, epochs.Cache{}
	l.logStart, l.end, l.durable, l.cleaned = offset, offset, offset, 0
	l.snapshots.newest = snapshotPoint{offset: offset}
	l.epochsChanged = true
	l.dir().manifest.Add(func(b []byte) []byte {
		for _, s := range gone {
			b = manifest.AppendCut(b, l.id(), s.BaseOffset)
		}
		return l.appendEdits(b, nil)
	})
	l.mu.Unlock()
	if err := l.dir().writeEdits(true); err != nil {
		return storageError("truncating "+l.String(), err)
	}
	for _, s := range gone {
		if err := l.discard(s, 0); err != nil {
			return storageError("truncating "+l.String(), err)
		}
	}
	return nil
}
