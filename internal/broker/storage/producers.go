package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage/lookup"
	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/sidecar"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// producers is what a log knows about its producers. It is read from the newest
// snapshot and the log behind it when it is first needed.
type producers struct {
	mu    sync.Mutex
	state *producerstate.State // nil until it is loaded; loaded and dropped by the writer only
}

// admit asks the producers' state about an append that has its offsets. It fills
// in the results of a duplicate. The writer calls it.
func (l *Log) admit(a *Append, nowMs int64) error {
	if err := l.loadProducers(); err != nil {
		return err
	}
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	if a.Guarded {
		if err := l.producers.state.Guarded(record.Batch(a.Batches).ProducerID(), a.TransactionGuard); err != nil {
			return err
		}
	}
	res, err := l.producers.state.Prepare(a.Batches, a.Origin, a.TransactionVersion, nowMs)
	if err != nil || !res.Duplicate || a.Origin == OriginReplication {
		return err
	}
	a.Duplicate, a.BaseOffset, a.LastOffset = true, res.BaseOffset, res.LastOffset
	if a.LogAppendTimeMs >= 0 {
		a.LogAppendTimeMs = res.TimestampMs
	}
	return nil
}

// commitProducers keeps what was admitted: it is written now.
func (l *Log) commitProducers(seg *segment) {
	l.producers.mu.Lock()
	aborted := slices.Clone(l.producers.state.Commit())
	l.producers.mu.Unlock()
	l.addAborted(seg, aborted)
}

func (l *Log) addAborted(seg *segment, aborted []producerstate.AbortedTxn) {
	if len(aborted) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seg.abortedTxns = append(seg.abortedTxns, aborted...)
	seg.Aborted = true
}

// rollbackProducers takes back what was admitted and not written.
func (l *Log) rollbackProducers() {
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	if l.producers.state != nil {
		l.producers.state.Rollback()
	}
}

// forgetProducers drops the state: it is loaded again when it is needed.
func (l *Log) forgetProducers() {
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	l.producers.state = nil
}

// producersStartAt tells the state that records were deleted.
func (l *Log) producersStartAt(logStart int64) {
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	if l.producers.state != nil {
		l.producers.state.OnLogStartOffset(logStart)
	}
}

func (l *Log) producersLoaded() bool {
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	return l.producers.state != nil
}

// loadProducers makes the state available. The writer's token is held.
func (l *Log) loadProducers() error {
	if l.producersLoaded() {
		return nil
	}
	state := producerstate.New(producerstate.Limits{})
	l.mu.Lock()
	start, end, point := l.logStart, l.end, l.snapshots.newest
	l.mu.Unlock()
	switch {
	case point.offset >= 0 && !point.hasFile:
		state.Reset(point.offset)
	case point.offset < 0 || !l.loadSnapshot(state, point.offset):
		l.loadOlderSnapshot(state, start, end)
	}
	state.OnLogStartOffset(start)
	if err := l.replayProducers(state, end); err != nil {
		return storageError("reading the producers of "+l.String(), err)
	}
	l.m.expireProducers(state)
	l.producers.mu.Lock()
	l.producers.state = state
	l.producers.mu.Unlock()
	return nil
}

// tickProducers has every log forget its silent producers when the interval has
// passed. Logs whose producers are not loaded forget them when they load.
func (m *Manager) tickProducers(nowMs int64) int64 {
	return m.every(m.cfg.ProducerIDExpirationCheck, &m.producersMs, nowMs, func() {
		for _, l := range m.Logs() {
			l.producers.mu.Lock()
			if l.producers.state != nil {
				m.expireProducers(l.producers.state)
			}
			l.producers.mu.Unlock()
		}
	})
}

// loadSnapshot reads one snapshot file; a damaged one is only reported, the log has
// everything.
func (l *Log) loadSnapshot(state *producerstate.State, offset int64) bool {
	b, err := vfs.ReadFile(l.m.fs, l.file(offset, segmentfile.SnapshotSuffix))
	var aborted []producerstate.AbortedTxn
	if err == nil {
		aborted, err = sidecar.DecodeSnapshot(b, state)
	}
	if err != nil {
		l.m.log.Warn("producer snapshot unusable", "partition", l.String(), "offset", offset, "error", err)
		state.Reset(0)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range aborted {
		if a.LastOffset < l.logStart || a.LastOffset >= l.end {
			continue
		}
		if seg, _ := l.find(a.LastOffset); !seg.Sealed && !slices.Contains(seg.abortedTxns, a) {
			seg.abortedTxns = append(seg.abortedTxns, a)
			seg.Aborted = true
		}
	}
	return true
}

// loadOlderSnapshot takes the newest usable snapshot, or begins at the log's start.
func (l *Log) loadOlderSnapshot(state *producerstate.State, start, end int64) {
	for _, offset := range slices.Backward(sidecar.Snapshots(l.m.fs, l.path())) {
		if offset >= start && offset <= end && l.loadSnapshot(state, offset) {
			return
		}
	}
	state.Reset(start)
}

// replayProducers applies the batches behind what the state knows.
func (l *Log) replayProducers(state *producerstate.State, end int64) error {
	for from := state.EndOffset(); from < end; {
		l.mu.Lock()
		seg, i := l.find(from)
		for i+1 < len(l.segs) && seg.NextOffset <= from {
			i++
			seg = l.segs[i]
		}
		size := seg.Size
		next := seg.NextOffset
		l.mu.Unlock()
		if next <= from {
			return nil // nothing is left
		}
		if seg.handle != nil && size > 0 {
			if err := l.replaySegment(state, seg, size, from); err != nil {
				return err
			}
		}
		from = next // compaction may have taken the last batches
	}
	return nil
}

func (l *Log) replaySegment(state *producerstate.State, s *segment, size, from int64) error {
	position := int64(0)
	if from > s.BaseOffset {
		e, err := s.Floor(lookup.ByOffset(from - s.BaseOffset))
		if err != nil {
			return err
		}
		position = int64(e.Position)
	}
	ended, err := l.replayBatches(state, s, position, size, from)
	if err != nil || s.Sealed {
		return err
	}
	l.mu.Lock()
	ended = slices.DeleteFunc(ended, func(a producerstate.AbortedTxn) bool { return slices.Contains(s.abortedTxns, a) })
	l.mu.Unlock()
	l.addAborted(s, ended)
	return nil
}

// replayInto replays a whole segment.
func (l *Log) replayInto(state *producerstate.State, s *segment) ([]producerstate.AbortedTxn, error) {
	l.mu.Lock()
	size := s.Size
	l.mu.Unlock()
	return l.replayBatches(state, s, 0, size, s.BaseOffset)
}

// replayBatches replays the batches of a segment from an offset on, and returns the
// transactions they aborted.
func (l *Log) replayBatches(state *producerstate.State, s *segment, position, size, from int64) ([]producerstate.AbortedTxn, error) {
	f, err := s.handle.Acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.Release()
	buf := l.m.takeBuffer()
	defer l.m.giveBuffer(buf)
	sc := segmentfile.NewScanner(f, position, size, *buf)
	nowMs := l.m.nowMs()
	var control []byte
	var ended []producerstate.AbortedTxn
	for sc.Next() {
		b := sc.Header
		if b.BaseOffset() < from {
			continue
		}
		if b.IsControl() && sc.Size <= maxControlBatch {
			control = slices.Grow(control[:0], int(sc.Size))[:sc.Size]
			if n, err := f.ReadAt(control, sc.Position); int64(n) < sc.Size {
				return nil, err
			}
			b = control
		}
		ended = append(ended, state.Replay(b, nowMs)...)
	}
	return ended, sc.Err
}

// maxControlBatch bounds what is read of a control batch: one marker.
const maxControlBatch = 1 << 20

// saveProducers writes a snapshot of the state of the producers, and syncs the log
// up to it before anything refers to it. The structural token is held.
func (l *Log) saveProducers() error {
	var data []byte
	var offset int64
	var err error
	l.exclusive(func() { data, offset, err = l.takeSnapshot() })
	if err != nil {
		return err
	}
	if err := l.sync(); err != nil {
		l.dir().fail(fmt.Errorf("syncing %s: %w", l, err))
		return err
	}
	if data != nil {
		if err := sidecar.WriteSnapshot(l.m.fs, l.path(), offset, data); err != nil {
			return err
		}
	}
	l.mu.Lock()
	var stale []int64
	if old := l.snapshots.older; old.hasFile && old.offset != offset {
		stale = append(stale, old.offset)
	}
	if l.snapshots.newest.hasFile && l.snapshots.newest.offset != offset {
		l.snapshots.older = l.snapshots.newest
	}
	l.snapshots.newest = snapshotPoint{offset, data != nil}
	l.pace.Saved(max(0, l.end-offset), l.m.nowMs()) // about: records stand for bytes
	older, swept, onDisk := l.snapshots.older.offset, l.snapshots.swept, l.onDisk
	l.snapshots.swept = true
	l.mu.Unlock()
	if !swept && onDisk {
		stale = sidecar.Snapshots(l.m.fs, l.path())
	}
	for _, s := range stale {
		if s == offset || s == older {
			continue
		}
		if err := l.m.fs.Remove(l.file(s, segmentfile.SnapshotSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// takeSnapshot encodes the state as it is now, nil if there is none. The writer's
// token is held.
func (l *Log) takeSnapshot() ([]byte, int64, error) {
	if err := l.loadProducers(); err != nil {
		return nil, 0, err
	}
	l.mu.Lock()
	offset := l.end
	var aborted []producerstate.AbortedTxn
	for _, s := range l.segs {
		if !s.Sealed {
			aborted = append(aborted, s.abortedTxns...)
		}
	}
	l.mu.Unlock()
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	l.m.expireProducers(l.producers.state)
	if l.producers.state.Len() == 0 && len(aborted) == 0 {
		return nil, offset, nil
	}
	return sidecar.EncodeSnapshot(l.producers.state, aborted), offset, nil
}

// LastStableOffset returns the offset up to which consumers with read_committed may
// read, given the high watermark: no transaction is undecided below it. The first
// call after a start may read from disk. It must not be called from a Listener
// before the log's first append.
func (l *Log) LastStableOffset(highWatermark int64) (int64, error) {
	if err := l.needProducers(); err != nil {
		return l.LogStartOffset(), err
	}
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	if l.producers.state == nil { // dropped by a truncation that runs right now
		return min(highWatermark, l.LogStartOffset()), nil
	}
	l.producers.state.OnHighWatermark(highWatermark)
	return l.producers.state.LastStableOffset(highWatermark), nil
}

// needProducers loads the state from outside the writer.
func (l *Log) needProducers() error {
	if l.producersLoaded() {
		return nil
	}
	var err error
	l.exclusive(func() { err = l.loadProducers() })
	return err
}

// Producers returns what the log remembers of its producers, for DescribeProducers.
func (l *Log) Producers() ([]producerstate.Producer, error) {
	if err := l.needProducers(); err != nil {
		return nil, err
	}
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	if l.producers.state == nil {
		return nil, nil
	}
	return slices.Collect(l.producers.state.All()), nil
}

// OpenTransaction returns where the producer's open transaction in this partition
// starts; ok is false if it has none.
func (l *Log) OpenTransaction(producerID int64) (firstOffset int64, ok bool, err error) {
	if err := l.needProducers(); err != nil {
		return -1, false, err
	}
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	if l.producers.state == nil {
		return -1, false, nil
	}
	first, open := l.producers.state.OpenTransaction(producerID)
	return first, open, nil
}

// TransactionGuard prepares the verification of a producer's transaction; see
// producerstate.State.Guard.
func (l *Log) TransactionGuard(producerID int64, epoch int16) (guard int64, open bool, err error) {
	if err := l.needProducers(); err != nil {
		return 0, false, err
	}
	l.producers.mu.Lock()
	defer l.producers.mu.Unlock()
	if l.producers.state == nil { // dropped by a truncation that runs right now
		return 0, false, nil
	}
	guard, open = l.producers.state.Guard(producerID, epoch)
	return guard, open, nil
}

// AbortedTransactions returns the aborted transactions that a read_committed fetch
// of the offsets from fetchOffset up to, not including, upperBound needs.
func (l *Log) AbortedTransactions(fetchOffset, upperBound int64) (found []producerstate.AbortedTxn, err error) {
	for range maxReadAttempts {
		found, err = l.abortedTransactions(fetchOffset, upperBound)
		if !errors.Is(err, vfs.ErrDropped) {
			break
		}
	}
	return found, err
}

func (l *Log) abortedTransactions(fetchOffset, upperBound int64) ([]producerstate.AbortedTxn, error) {
	l.mu.Lock()
	_, i := l.find(fetchOffset)
	segs := slices.Clone(l.segs[i:])
	l.mu.Unlock()
	var out []producerstate.AbortedTxn
	for _, s := range segs {
		entries, err := l.abortedOf(s)
		if err != nil {
			return nil, err
		}
		var complete bool
		if out, complete = producerstate.CollectAborted(out, entries, fetchOffset, upperBound); complete {
			break
		}
	}
	return out, nil
}

// abortedOf returns the aborted transactions whose marker lies in a segment.
func (l *Log) abortedOf(s *segment) ([]producerstate.AbortedTxn, error) {
	l.mu.Lock()
	entries, has := s.abortedTxns, s.Aborted
	l.mu.Unlock()
	if !has || entries != nil {
		return entries, nil
	}
	b, err := vfs.ReadFile(l.m.fs, l.file(s.BaseOffset, segmentfile.AbortedSuffix))
	if err == nil {
		entries, err = producerstate.DecodeAborted(nil, b)
	}
	if err != nil {
		l.m.log.Warn("transaction index damaged, rebuilding it", "partition", l.String(), "segment", s.BaseOffset, "error", err)
		if entries, err = l.rebuildAborted(s); err != nil {
			return nil, storageError(fmt.Sprintf("reading the aborted transactions of %s, segment %d", l, s.BaseOffset), err)
		}
	}
	l.mu.Lock()
	s.abortedTxns = entries
	l.mu.Unlock()
	return entries, nil
}

// rebuildAborted replays the log up to the end of a segment: a transaction may
// have begun long before its marker.
func (l *Log) rebuildAborted(s *segment) ([]producerstate.AbortedTxn, error) {
	state := producerstate.New(producerstate.Limits{})
	var entries []producerstate.AbortedTxn
	l.mu.Lock()
	segs := slices.Clone(l.segs)
	l.mu.Unlock()
	for _, old := range segs {
		if old.BaseOffset > s.BaseOffset || old.handle == nil {
			break
		}
		ended, err := l.replayInto(state, old)
		if err != nil {
			return nil, err
		}
		entries = ended
	}
	return entries, nil
}

// writeAborted writes the transaction index of a segment that is being sealed.
func (l *Log) writeAborted(s *segment) error {
	l.mu.Lock()
	entries := s.abortedTxns
	l.mu.Unlock()
	if len(entries) == 0 {
		return nil
	}
	var b []byte
	for _, a := range entries {
		b = a.Append(b)
	}
	if err := vfs.WriteFileSynced(l.m.fs, l.file(s.BaseOffset, segmentfile.AbortedSuffix), b); err != nil {
		return fmt.Errorf("writing the transaction index of segment %d: %w", s.BaseOffset, err)
	}
	return nil
}
