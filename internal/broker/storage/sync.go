package storage

import (
	"errors"
	"io/fs"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/pace"
	"github.com/naru-stream/naru/internal/vfs"
)

// schedule asks for a sync of a log: of its own files, or one that it may share with
// other logs.
func (d *directory) schedule(l *Log, own bool) { d.syncs.Ask(member{l, d}, own) }

// syncTarget is a segment and how much of it a sync will make durable.
type syncTarget struct {
	seg  *segment
	size int64
}

// syncPlan is what one sync covers, taken at one moment.
type syncPlan struct {
	at         *place
	targets    []syncTarget
	active     manifest.Segment
	end        int64
	generation int
	namesMade  int
	names      bool
	unsynced   pace.Amount
}

func (l *Log) planSync() syncPlan {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := syncPlan{
		at: l.at.Load(), active: l.last().Segment, end: l.end, generation: l.generation,
		namesMade: l.namesMade, names: l.namesMade != l.namesSynced,
		unsynced: l.pace.Unsynced(),
	}
	first := len(l.segs)
	for first > 0 && (first == len(l.segs) || l.segs[first-1].behind()) {
		first--
	}
	for _, s := range l.segs[first:] {
		if s.behind() {
			p.targets = append(p.targets, syncTarget{s, s.Size})
		}
	}
	return p
}

// sync makes everything appended until now durable. Only one runs for a log at a
// time: the directory's queue sees to it.
func (l *Log) sync() error { return l.syncPlanned(l.planSync()) }

// syncPlanned carries a plan out. A log that is deleted meanwhile has nothing left to
// keep, and one that is moved was synced before.
func (l *Log) syncPlanned(p syncPlan) error {
	err := l.syncAll(&p)
	if errors.Is(err, fs.ErrNotExist) && (l.deleted() || l.at.Load() != p.at) {
		return nil
	}
	return err
}

func (l *Log) syncAll(p *syncPlan) error {
	for _, t := range p.targets {
		if err := l.syncSegment(t.seg); err != nil {
			return err
		}
	}
	if p.names {
		if err := l.syncNames(p.at); err != nil {
			return err
		}
	}
	listener, durable, advanced := l.synced(p)
	if advanced && listener != nil {
		listener.Durable(durable)
	}
	return nil
}

func (l *Log) syncSegment(s *segment) error {
	f, err := s.handle.Acquire()
	if errors.Is(err, vfs.ErrDropped) {
		return nil // deleted meanwhile: nothing is left to keep
	}
	if err != nil {
		return err
	}
	defer s.handle.Release()
	return f.Sync()
}

func (l *Log) syncNames(at *place) error {
	f, err := l.m.fs.Open(at.metaPath())
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := l.m.fs.SyncDir(at.path); err != nil {
		return err
	}
	return at.dir.syncNames()
}

// synced takes over what a sync made durable.
func (l *Log) synced(p *syncPlan) (listener Listener, durable int64, advanced bool) {
	var unpin []*segment
	l.mu.Lock()
	if l.generation == p.generation {
		for _, t := range p.targets {
			t.seg.synced, t.seg.cut = max(t.seg.synced, t.size), false
		}
		if l.durable < p.end {
			l.durable, advanced = p.end, true
		}
		l.active = p.active
		l.pace.Synced(p.unsynced, l.m.nowMs())
		l.namesSynced = max(l.namesSynced, p.namesMade)
	}
	for _, t := range p.targets {
		if t.seg.pinned && (t.seg.synced == t.seg.Size || t.seg.dropped) {
			t.seg.pinned = false
			unpin = append(unpin, t.seg)
		}
	}
	listener, durable = l.listener, l.durable
	l.mu.Unlock()
	for _, s := range unpin {
		s.handle.Release()
	}
	return listener, durable, advanced
}
