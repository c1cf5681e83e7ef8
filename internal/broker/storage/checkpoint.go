package storage

import (
	"fmt"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/pace"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/syncer"
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
	l.pace.Wrote(pace.Amount{Bytes: bytes, Records: records}, nowMs)
	group, much := l.durability == DurabilityGroup, l.pace.Much(&l.rules)
	return todo{
		list: l.pace.List(),
		sync: group || much || l.pace.TooMany(&l.rules),
		own:  !group || much || l.last().atRisk() > syncer.MaxShare,
	}
}

// arrange does what todo says.
func (m *Manager) arrange(l *Log, t todo) {
	if t.list {
		m.addWork(l)
	}
	if t.sync {
		l.dir().schedule(l, t.own)
	}
}

// changed marks that the manifest must learn about the log.
func (l *Log) changed() {
	nowMs := l.m.nowMs()
	l.mu.Lock()
	l.pace.Changed(nowMs)
	t := todo{list: l.pace.List()}
	l.mu.Unlock()
	l.m.arrange(l, t)
}

// checkpointDue tells whether the manifest should learn where the log stands.
func (l *Log) checkpointDue(nowMs int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pace.CheckpointDue(&l.rules, l.last().Index.Bytes(), nowMs)
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
	nowMs, last := l.m.nowMs(), l.last()
	save := all && l.pace.Unsaved() || l.pace.SaveDue(&l.rules, nowMs)
	idle := l.pace.IndexDue(&l.rules, last.Index.Bytes(), nowMs)
	l.pace.Sealed()
	// A snapshot leaves out the aborted transactions of sealed segments. Whoever reads
	// it after a power loss must know that they are sealed, or nobody tells them.
	ahead := save && l.sealedAborted
	l.mu.Unlock()
	if ahead {
		if err := l.dir().writeEdits(true); err != nil {
			return err
		}
		l.mu.Lock()
		l.sealedAborted = false
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
		s.Sealed = true
		l.sealedAborted = l.sealedAborted || s.Aborted
		if len(s.abortedTxns) > maxHeldAborted {
			s.abortedTxns = nil
		}
	}
	l.pace.Told()
	l.dir().manifest.Add(func(b []byte) []byte { return l.appendEdits(b, unsealed) })
	l.mu.Unlock()
	return l.dir().writeEdits(false)
}

// maxHeldAborted is how many aborted transactions of a sealed segment stay in
// memory without having been asked for.
const maxHeldAborted = 64

// unsealed returns the segments that can be sealed: all synced, not the last. l.mu
// is held.
func (l *Log) unsealed() []*segment {
	var found []*segment
	for i := len(l.segs) - 2; i >= 0 && !l.segs[i].Sealed; i-- {
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
			b = manifest.AppendSegment(b, l.id(), s.Segment)
		}
	}
	if l.activeKnown() {
		b = manifest.AppendSegment(b, l.id(), l.active)
	}
	if l.epochsChanged {
		b = manifest.AppendEpochs(b, l.id(), l.epochs.View())
		l.epochsChanged = false
	}
	return manifest.AppendPoint(b, l.id(), l.point())
}

// writeIndex writes a segment's index beside it and forgets it in memory. An index
// can be rebuilt, so that an error is only reported.
func (l *Log) writeIndex(s *segment) {
	l.mu.Lock()
	if s.IndexFrom == s.Size || s.handle == nil {
		l.mu.Unlock()
		return
	}
	h := index.Header{
		BaseOffset: s.BaseOffset, NextOffset: s.NextOffset, Size: s.Size,
		MaxTimestamp: s.MaxTimestamp, MaxTimestampOffset: s.MaxTimestampOffset,
	}
	whole, complete := s.Index.Clone(), s.IndexFrom == 0
	l.mu.Unlock()
	if !complete { // the older part is in an older sidecar
		old, err := s.loadIndex()
		if err != nil {
			l.m.log.Warn("index not rebuilt", "partition", l.String(), "segment", s.BaseOffset, "error", err)
			return
		}
		old = old.Clone()
		old.Extend(whole)
		whole = old
	}
	b := whole.Encode(nil, h)
	if err := vfs.WriteFileSynced(l.m.fs, l.file(s.BaseOffset, segmentfile.IndexSuffix), b); err != nil {
		l.m.log.Warn("index not written", "partition", l.String(), "segment", s.BaseOffset, "error", fmt.Errorf("writing the index: %w", err))
		return
	}
	l.mu.Lock()
	if h.Size == s.Size {
		s.ForgetIndex()
	}
	l.mu.Unlock()
	l.m.indexes.Forget(s)
}
