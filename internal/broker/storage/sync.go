package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/vfs"
)

// schedule asks for a sync of a log: of its own files, or one that it may share with
// other logs through the journal. While one sync of a log runs, further appends
// gather and the next sync covers them all.
func (d *directory) schedule(l *Log, own bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.syncs.Ask(l, own) {
		d.hire(1)
	}
}

// hire has n workers more look for work. d.mu is held.
func (d *directory) hire(n int) {
	for ; n > 0 && !d.m.cfg.Manual && d.workers < d.m.cfg.MaxParallelSyncs; n-- {
		d.workers++
		d.m.running.Go(d.work)
	}
}

// work syncs logs until none waits.
func (d *directory) work() {
	for d.workOne() {
	}
}

// workOne does the next turn, false if there is none: then the worker is gone.
func (d *directory) workOne() bool {
	d.mu.Lock()
	turn := d.syncs.Next()
	if len(turn.Logs) == 0 {
		d.workers = max(0, d.workers-1) // Tick works here without being counted
		d.mu.Unlock()
		return false
	}
	d.mu.Unlock()

	var rest []*Log
	if len(turn.Logs) == 1 {
		d.syncAndCheckpoint(turn.Logs[0])
	} else {
		rest = d.syncShared(turn.Logs)
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	d.hire(d.syncs.Done(turn, rest))
	return true
}

func (d *directory) syncAndCheckpoint(l *Log) {
	if d.failure() != nil {
		return
	}
	if err := l.sync(); err != nil {
		d.fail(fmt.Errorf("syncing %s: %w", l, err))
		return
	}
	d.journal.Settle(l)
	if l.checkpointDue(d.m.nowMs()) {
		if err := l.checkpoint(false); err != nil {
			d.m.log.Warn("checkpoint not written", "partition", l.String(), "error", err)
		}
	}
}

// syncTarget is a segment and how much of it a sync will make durable.
type syncTarget struct {
	seg  *segment
	size int64
}

// syncPlan is what one sync covers, taken at one moment.
type syncPlan struct {
	targets    []syncTarget
	active     manifest.Segment
	end        int64
	generation int
	namesMade  int
	names      bool
	unsynced   int64
	messages   int64
}

func (l *Log) planSync() syncPlan {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := syncPlan{
		active: l.last().describe(), end: l.end, generation: l.generation,
		namesMade: l.namesMade, names: l.namesMade != l.namesSynced,
		unsynced: l.pace.unsynced, messages: l.pace.messages,
	}
	first := len(l.segs)
	for first > 0 && (first == len(l.segs) || l.segs[first-1].behind()) {
		first--
	}
	for _, s := range l.segs[first:] {
		if s.behind() {
			p.targets = append(p.targets, syncTarget{s, s.size})
		}
	}
	return p
}

// sync makes everything appended until now durable. Only one runs for a log at a
// time: the directory's queue sees to it. A log that is deleted meanwhile has
// nothing left to keep.
func (l *Log) sync() error {
	err := l.syncAll()
	if errors.Is(err, fs.ErrNotExist) && l.deleted() {
		return nil
	}
	return err
}

func (l *Log) syncAll() error {
	p := l.planSync()
	for _, t := range p.targets {
		if err := l.syncSegment(t.seg); err != nil {
			return err
		}
	}
	if p.names {
		if err := l.syncNames(); err != nil {
			return err
		}
	}
	listener, durable, advanced := l.synced(&p)
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

func (l *Log) syncNames() error {
	f, err := l.m.fs.Open(l.metaPath())
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := l.m.fs.SyncDir(l.path); err != nil {
		return err
	}
	return l.dir.syncNames()
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
		l.pace.unsynced = max(0, l.pace.unsynced-p.unsynced)
		l.pace.dirtySinceMs = l.m.nowMs()
		l.pace.messages = max(0, l.pace.messages-p.messages)
		l.namesSynced = max(l.namesSynced, p.namesMade)
	}
	for _, t := range p.targets {
		if t.seg.pinned && (t.seg.synced == t.seg.size || t.seg.dropped) {
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
