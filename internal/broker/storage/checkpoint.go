package storage

import (
	"fmt"
	"math"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/vfs"
)

// todo is what an append leaves for the background.
type todo struct {
	list bool // put the log on the manager's list
	sync bool // sync it now
	own  bool // its own files: it has too much for the journal
}

// wrote counts an append and says what follows from it. l.mu is held.
func (l *Log) wrote(bytes, records, nowMs int64) todo {
	p := &l.pace
	if p.unsynced == 0 {
		p.dirtySinceMs = nowMs
	}
	p.unsynced += bytes
	p.messages += records
	p.sinceSnapshot += bytes
	p.lastAppendMs = nowMs
	p.touch(nowMs)
	t := todo{list: !p.listed}
	p.listed = true
	much := p.unsynced >= l.m.cfg.SyncBytes
	t.sync = l.durability == DurabilityGroup || much || p.messages >= l.set.flushMessages
	t.own = l.durability != DurabilityGroup || much || l.last().atRisk() > maxJournaledBytes
	return t
}

// touch notes that the manifest lags behind.
func (p *pace) touch(nowMs int64) {
	if !p.checkpoint {
		p.checkpoint, p.changedMs = true, nowMs
	}
}

// arrange does what todo says.
func (m *Manager) arrange(l *Log, t todo) {
	if t.list {
		m.addWork(l)
	}
	if t.sync {
		l.dir.schedule(l, t.own)
	}
}

// changed marks that the manifest must learn about the log.
func (l *Log) changed() {
	nowMs := l.m.nowMs()
	l.mu.Lock()
	l.pace.touch(nowMs)
	t := todo{list: !l.pace.listed}
	l.pace.listed = true
	l.mu.Unlock()
	l.m.arrange(l, t)
}

// checkpointDue tells whether the manifest should learn where the log stands.
func (l *Log) checkpointDue(nowMs int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.pace
	return p.sealing || l.snapshotDue(nowMs) || l.idleDue() <= nowMs ||
		p.checkpoint && nowMs >= p.changedMs+l.m.cfg.SyncInterval.Milliseconds()
}

// snapshotDue tells whether the state of the producers should be saved.
func (l *Log) snapshotDue(nowMs int64) bool {
	p := &l.pace
	return p.sinceSnapshot > 0 &&
		(p.sealing || p.sinceSnapshot >= l.m.cfg.SyncBytes || nowMs >= p.snapshotMs+l.m.cfg.CheckpointInterval.Milliseconds())
}

// maxIdleIndex is how many bytes of index a log keeps in memory while nothing is
// appended.
const maxIdleIndex = 1 << 10

// idleDue tells when the index of a log without appends goes to disk. l.mu is held.
func (l *Log) idleDue() int64 {
	if l.last().idx.Bytes() <= maxIdleIndex {
		return math.MaxInt64
	}
	return l.pace.lastAppendMs + l.m.cfg.CheckpointInterval.Milliseconds()
}

// checkpoint seals the segments before the active one, saves the state of the
// producers when it is due, and tells the manifest what is synced. Without all it
// skips its turn if something else changes the log's structure.
func (l *Log) checkpoint(all bool) error {
	if all {
		l.holdStructural()
	} else if !l.tryStructural() {
		return nil // still due: the background comes back
	}
	defer l.releaseStructural()
	if l.deleted() {
		return nil // its names may be another log's by now
	}
	l.mu.Lock()
	save := l.pace.sinceSnapshot > 0 && (all || l.snapshotDue(l.m.nowMs()))
	l.pace.sealing = false
	idle, last := l.idleDue() <= l.m.nowMs(), l.last()
	// A snapshot leaves out the aborted transactions of sealed segments. Whoever reads
	// it after a power loss must know that they are sealed, or nobody tells them.
	ahead := save && l.pace.sealedAborted
	l.mu.Unlock()
	if ahead {
		if err := l.dir.writeEdits(true); err != nil {
			return err
		}
		l.mu.Lock()
		l.pace.sealedAborted = false
		l.mu.Unlock()
	}
	if idle {
		l.writeIndex(last)
	}
	if save {
		if err := l.saveProducers(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	unsealed := l.unsealed()
	l.mu.Unlock()
	for _, s := range unsealed {
		l.writeIndex(s)
		if err := l.writeAborted(s); err != nil {
			return err
		}
	}
	l.mu.Lock()
	for _, s := range unsealed {
		s.sealed = true
		l.pace.sealedAborted = l.pace.sealedAborted || s.hasAborted
		if len(s.aborted) > maxHeldAborted {
			s.aborted = nil
		}
	}
	l.pace.checkpoint = false
	l.dir.addEdits(func(b []byte) []byte { return l.appendEdits(b, unsealed) })
	l.mu.Unlock()
	return l.dir.writeEdits(false)
}

// maxHeldAborted is how many aborted transactions of a sealed segment stay in
// memory without having been asked for.
const maxHeldAborted = 64

// unsealed returns the segments that can be sealed: all synced, not the last. l.mu
// is held.
func (l *Log) unsealed() []*segment {
	var found []*segment
	for i := len(l.segs) - 2; i >= 0 && !l.segs[i].sealed; i-- {
		if s := l.segs[i]; !s.behind() {
			found = append(found, s)
		}
	}
	return found
}

// appendEdits describes the log as far as it is synced. l.mu is held.
func (l *Log) appendEdits(b []byte, sealed []*segment) []byte {
	for _, s := range sealed {
		if !s.dropped {
			b = manifest.AppendSegment(b, l.id, s.describe())
		}
	}
	if l.activeKnown() {
		b = manifest.AppendSegment(b, l.id, l.active)
	}
	if l.pace.epochsChanged {
		b = manifest.AppendEpochs(b, l.id, l.epochs.View())
		l.pace.epochsChanged = false
	}
	return manifest.AppendPoint(b, l.id, l.point())
}

// writeIndex writes a segment's index beside it and forgets it in memory. An index
// can be rebuilt, so that an error is only reported.
func (l *Log) writeIndex(s *segment) {
	l.mu.Lock()
	if s.idxFrom == s.size || s.handle == nil {
		l.mu.Unlock()
		return
	}
	h := index.Header{
		BaseOffset: s.base, NextOffset: s.next, Size: s.size,
		MaxTimestamp: s.maxTimestamp, MaxTimestampOffset: s.maxTimestampOffset,
	}
	whole, complete := s.idx.Clone(), s.idxFrom == 0
	l.mu.Unlock()
	if !complete { // the older part is in an older sidecar
		old, err := l.m.loadIndex(l, s)
		if err != nil {
			l.m.log.Warn("index not rebuilt", "partition", l.String(), "segment", s.base, "error", err)
			return
		}
		old = old.Clone()
		old.Extend(whole)
		whole = old
	}
	b := whole.Encode(nil, h)
	if err := vfs.WriteFileSynced(l.m.fs, l.file(s.base, indexSuffix), b); err != nil {
		l.m.log.Warn("index not written", "partition", l.String(), "segment", s.base, "error", fmt.Errorf("writing the index: %w", err))
		return
	}
	l.mu.Lock()
	if h.Size == s.size {
		s.emptyIndex()
	}
	l.mu.Unlock()
	l.m.indexes.Forget(s)
}
