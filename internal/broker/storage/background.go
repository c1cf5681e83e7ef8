package storage

import (
	"fmt"
	"math"
	"time"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/trash"
)

// throwAway has a file or directory removed later.
func (m *Manager) throwAway(i trash.Item) {
	m.trash.Throw(i)
	m.wake()
}

// wake lets the background look for work.
func (m *Manager) wake() {
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

func (m *Manager) addWork(l *Log) {
	m.mu.Lock()
	first := len(m.work) == 0
	m.work = append(m.work, l)
	m.mu.Unlock()
	if first {
		m.wake()
	}
}

// background runs Tick when something is due.
func (m *Manager) background() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-m.woken:
		case <-timer.C:
		}
		timer.Reset(until(m.nowMs(), m.Tick()))
	}
}

// Tick does the background work that is due and returns when, in milliseconds
// since 1970, it wants to be called again. The background calls it; with
// Config.Manual the caller does, and it also runs the queued syncs.
func (m *Manager) Tick() (nextMs int64) {
	nowMs := m.nowMs()
	nextMs = min(m.tickLogs(nowMs), m.trash.Remove(nowMs), m.tickRetention(nowMs), m.tickDirs(nowMs))
	if m.cfg.Manual {
		m.RunSyncs()
	}
	return nextMs
}

// RunSyncs runs the queued syncs on the calling goroutine, for Config.Manual.
func (m *Manager) RunSyncs() {
	for _, d := range m.dirs {
		d.work()
	}
}

// tickLogs schedules what has to be synced or checkpointed and keeps the rest on
// the list.
func (m *Manager) tickLogs(nowMs int64) int64 {
	m.mu.Lock()
	work := m.work
	m.work = nil
	m.mu.Unlock()
	next := int64(math.MaxInt64)
	var keep []*Log
	for _, l := range work {
		due, ok := l.nextWork()
		if !ok {
			continue
		}
		if due <= nowMs {
			l.dir.schedule(l, true)
			due = nowMs + m.cfg.SyncInterval.Milliseconds()
		}
		next = min(next, due)
		keep = append(keep, l)
	}
	m.mu.Lock()
	m.work = append(m.work, keep...)
	m.mu.Unlock()
	return next
}

// nextWork tells when the log wants a sync or a checkpoint; without any it takes
// itself off the manager's list.
func (l *Log) nextWork() (dueMs int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.pace
	interval := l.set.syncInterval(l.m.cfg.SyncInterval).Milliseconds()
	dueMs = l.idleDue()
	if p.sealing {
		dueMs = 0
	}
	if p.unsynced > 0 {
		dueMs = min(dueMs, p.dirtySinceMs+interval)
	}
	if p.checkpoint {
		dueMs = min(dueMs, p.changedMs+interval)
	}
	if p.sinceSnapshot > 0 {
		dueMs = min(dueMs, p.snapshotMs+l.m.cfg.CheckpointInterval.Milliseconds())
	}
	if dueMs == math.MaxInt64 || l.closed != nil {
		p.listed = false
		return 0, false
	}
	return dueMs, true
}

// tickDirs syncs manifests and looks after full disks.
func (m *Manager) tickDirs(nowMs int64) int64 {
	next := int64(math.MaxInt64)
	for _, d := range m.dirs {
		if d.failure() != nil {
			continue
		}
		m.mu.Lock()
		busy := len(m.work) > 0
		m.mu.Unlock()
		if busy || d.full.Load() != nil {
			d.checkSpace()
			next = min(next, nowMs+m.cfg.SyncInterval.Milliseconds())
		}
		if !d.manifest.Load().Dirty() {
			continue
		}
		if due := d.manifestMs.Load() + m.cfg.CheckpointInterval.Milliseconds(); due > nowMs {
			next = min(next, due)
			continue
		}
		if err := d.writeEdits(true); err != nil {
			m.log.Warn("manifest not synced", "dir", d.path, "error", err)
		}
	}
	return next
}

// close leaves a directory clean.
func (d *directory) close() error {
	if err := d.failure(); err != nil {
		return fmt.Errorf("closing %s: it failed before: %w", d.path, err)
	}
	for _, l := range d.m.logsIn(d) {
		if err := l.sync(); err != nil {
			d.fail(err)
			return fmt.Errorf("closing %s: syncing %s: %w", d.path, l, err)
		}
		l.mu.Lock()
		last := l.last()
		l.mu.Unlock()
		l.writeIndex(last)
		if err := l.checkpoint(true); err != nil {
			return fmt.Errorf("closing %s: saving %s: %w", d.path, l, err)
		}
	}
	if err := d.failure(); err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	if d.full.Load() != nil {
		d.identity.ReleaseReserve(d.m.fs)
	}
	if err := d.writeEdits(true); err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	if err := d.removeJournal(); err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	d.addEdits(manifest.AppendClean)
	if err := d.writeEdits(true); err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	return nil
}
