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
	nextMs = min(m.tickLogs(nowMs), m.trash.Remove(nowMs), m.tickRetention(nowMs), m.tickProducers(nowMs), m.tickDirs(nowMs))
	if m.cfg.Manual {
		m.RunSyncs()
	}
	return nextMs
}

// RunSyncs runs the queued syncs on the calling goroutine, for Config.Manual.
func (m *Manager) RunSyncs() {
	for _, d := range m.dirs {
		d.syncs.Work()
	}
}

// every runs work when its interval has passed since lastMs, which m.mu guards, and
// returns when the next time is.
func (m *Manager) every(interval time.Duration, lastMs *int64, nowMs int64, work func()) int64 {
	m.mu.Lock()
	due := *lastMs + interval.Milliseconds()
	if nowMs >= due {
		*lastMs = nowMs
	}
	m.mu.Unlock()
	if nowMs < due {
		return due
	}
	work()
	return nowMs + interval.Milliseconds()
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
			l.dir().schedule(l, true)
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
	if l.closed != nil {
		l.pace.Leave()
		return 0, false
	}
	return l.pace.Due(&l.rules, l.last().Index.Bytes())
}

// tickDirs syncs manifests and looks after full disks.
func (m *Manager) tickDirs(nowMs int64) int64 {
	next := int64(math.MaxInt64)
	for _, d := range m.dirs {
		if d.health.Failure() != nil {
			continue
		}
		m.mu.Lock()
		busy := len(m.work) > 0
		m.mu.Unlock()
		if busy || d.health.Full() != nil {
			d.health.CheckSpace()
			next = min(next, nowMs+m.cfg.SyncInterval.Milliseconds())
		}
		syncedMs, waits := d.manifest.Unsynced()
		if !waits {
			continue
		}
		if due := syncedMs + m.cfg.CheckpointInterval.Milliseconds(); due > nowMs {
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
	if err := d.health.Failure(); err != nil {
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
	if err := d.health.Failure(); err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	if d.health.Full() != nil {
		d.health.ReleaseReserve()
	}
	if err := d.writeEdits(true); err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	if err := d.syncs.RemoveJournal(); err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	if err := d.noteJournal(false); err != nil {
		d.m.log.Warn("the manifest still tells of a journal that is gone", "dir", d.path, "error", err)
	}
	d.manifest.Add(manifest.AppendClean)
	if err := d.writeEdits(true); err != nil {
		return fmt.Errorf("closing %s: %w", d.path, err)
	}
	return nil
}
