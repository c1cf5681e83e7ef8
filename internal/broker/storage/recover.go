package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/datadir"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/pace"
	"github.com/naru-stream/naru/internal/broker/storage/recovery"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/trash"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// Damage returns what was found broken since Open.
func (m *Manager) Damage() []damage.Damage { return m.damage.All() }

func (d *directory) reportFile(reason string) {
	d.m.damage.Report(damage.Damage{File: d.manifestPath(), FromOffset: -1, ToOffset: -1, Reason: reason})
}

// load reads the manifest. After a clean stop that is all; otherwise every
// partition is checked.
func (d *directory) load() error {
	state, trusted, err := d.readManifest()
	if err != nil {
		return err
	}
	for id := range state.Partitions {
		d.ids = max(d.ids, id)
	}
	if state.Clean {
		return d.adopt(state)
	}
	if err := d.recover(state, trusted); err != nil {
		return err
	}
	return d.manifest.Create()
}

// readManifest also says whether the manifest can be trusted to lag behind the
// files rather than to be lost.
func (d *directory) readManifest() (state *manifest.State, trusted bool, err error) {
	empty := &manifest.State{Partitions: map[uint32]*manifest.Partition{}}
	b, err := vfs.ReadFile(d.m.fs, d.manifestPath())
	if errors.Is(err, fs.ErrNotExist) {
		return empty, d.identity.New, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the manifest: %w", err)
	}
	state, err = manifest.Read(b)
	if errors.Is(err, manifest.ErrVersion) {
		return nil, false, &datadir.RefusedError{
			Dir: d.path, Reason: datadir.Newer, What: "was written by a newer version of Naru: " + err.Error(),
			Help: "start it with that version",
		}
	}
	if err != nil {
		d.reportFile("the manifest is unreadable and is made anew from the files: " + err.Error())
		return empty, false, nil //nolint:nilerr // reported, and the files are the truth
	}
	if state.Reason != nil {
		d.m.log.Info("manifest ends early", "dir", d.path, "unread_bytes", state.Unread, "reason", state.Reason)
	}
	return state, true, nil
}

// adopt takes over a clean directory: no partition is touched.
func (d *directory) adopt(state *manifest.State) error {
	var live int64
	for _, p := range state.Partitions {
		l := d.newFound(p.ID, p.Topic, p.TopicID, p.Partition)
		l.restore(recovery.Closed(p))
		if twin := d.m.addFound(l); twin != nil {
			return twin.conflicts(l)
		}
		live += int64(len(manifest.AppendPartition(nil, p)))
	}
	if err := d.manifest.Open(live); err != nil {
		return err
	}
	return d.writeEdits(true)
}

func (d *directory) newFound(id uint32, topic string, topicID wire.UUID, partition int32) *Log {
	cfg := d.m.cfg.Topic(topic)
	return newLog(d, id, topic, topicID, partition, &cfg)
}

// addFound adds a log, unless another directory has one of the same name: that is
// returned.
func (m *Manager) addFound(l *Log) (twin *Log) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if twin := m.logs[partitionKey{l.topic, l.partition}]; twin != nil {
		return twin
	}
	m.put(l)
	return nil
}

// conflicts says that two directories have a log, and cannot both be right.
func (l *Log) conflicts(other *Log) error {
	return &datadir.RefusedError{
		Dir: other.dir().path, Reason: datadir.Twice,
		What: fmt.Sprintf("has %s (topic id %s, offsets %d to %d), as %s has (topic id %s, offsets %d to %d)",
			other, other.topicID, other.logStart, other.end, l.dir().path, l.topicID, l.logStart, l.end),
		Help: "take the one that is not wanted out of its log directory",
	}
}

// settleTwins decides between two logs of one partition in two directories, as a move
// leaves them that was interrupted when its copy had just got its place. Whatever was
// acknowledged since is in the one that reaches further; the other is kept aside unless
// they are equal.
func (d *directory) settleTwins(first, second *Log) error {
	if first.topicID != second.topicID {
		return first.conflicts(second)
	}
	stays, goes, suffix := first, second, segmentfile.DeletedDirSuffix
	if second.end > first.end {
		stays, goes = second, first
	}
	if first.end != second.end {
		suffix = segmentfile.StrayDirSuffix
	}
	stays.logStart = max(stays.logStart, min(goes.logStart, stays.end)) // only one manifest may have known
	gone, err := goes.dir().rename(goes, goes.at.Load(), suffix)
	if err != nil {
		return fmt.Errorf("taking the other copy of %s, in %s, out of the way: %w; if one was put aside before, move that elsewhere", goes, goes.dir().path, err)
	}
	d.m.log.Warn("a partition was in two log directories", "partition", stays.String(),
		"stays_in", stays.dir().path, "log_end_offset", stays.end, "other", gone, "other_log_end_offset", goes.end)
	if gone != "" && suffix == segmentfile.DeletedDirSuffix {
		d.m.trash.Throw(trash.Item{Name: gone, Dir: true})
	}
	if goes == second {
		return nil
	}
	d.m.take(partitionKey{goes.topic, goes.partition})
	goes.close(fmt.Errorf("%s is in %s: %w", goes, d.path, protocol.KafkaStorageError))
	d.m.addFound(stays)
	d.m.addWork(stays)
	at := goes.at.Load()
	at.dir.manifest.Add(func(b []byte) []byte { return manifest.AppendDrop(b, at.id) })
	return at.dir.writeEdits(true)
}

// restore sets a log up as it was found.
func (l *Log) restore(r *recovery.Log) {
	l.logStart, l.end, l.durable, l.cleaned = r.LogStartOffset, r.LogEndOffset, r.RecoveryPoint, r.CleanedOffset
	l.epochs, l.active = r.Epochs, r.Active
	l.snapshots.newest = snapshotPoint{r.SnapshotOffset, r.HasSnapshot}
	l.segs = make([]*segment, len(r.Segments))
	for i, s := range r.Segments {
		l.segs[i] = &segment{log: l, Summary: s.Summary, synced: s.Synced}
		if s.HasFile {
			l.segs[i].handle = l.m.files.Handle(l.file(s.BaseOffset, segmentfile.LogSuffix))
			l.onDisk = true
		}
	}
}

// recover checks every partition after an unclean stop, several at a time.
func (d *directory) recover(state *manifest.State, trusted bool) error {
	unclean := &recovery.Directory{FS: d.m.fs, Path: d.path, Manifest: state, Trusted: trusted, Logger: d.m.log, Damage: d.m.damage}
	found, deleted, err := unclean.Partitions()
	if err != nil {
		return err
	}
	for _, name := range deleted {
		d.m.trash.Throw(trash.Item{Name: name, Dir: true})
	}
	threads := d.m.cfg.RecoveryThreads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	errs := make([]error, len(found))
	slots := make(chan struct{}, threads)
	var done sync.WaitGroup
	for i, p := range found {
		var id uint32
		if p.Known != nil {
			id = p.Known.ID
		} else {
			id = d.nextID()
		}
		slots <- struct{}{}
		done.Go(func() {
			errs[i] = d.recoverPartition(id, p)
			<-slots
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return d.syncs.RemoveJournal()
}

func (d *directory) recoverPartition(id uint32, p *recovery.Partition) error {
	l := d.newFound(id, p.Topic, p.TopicID, p.Number)
	r, err := p.Recover(l.set.indexInterval)
	if err != nil {
		return err
	}
	if p.TopicID.IsZero() && r.LogEndOffset == 0 {
		return nil // it was about to be made; nothing was written
	}
	l.restore(r)
	if l.onDisk = p.Exists; l.onDisk {
		l.namesMade++ // a name may not be durable yet
	}
	unsynced := int64(0)
	for _, s := range r.Segments {
		unsynced += s.Size - s.Synced
	}
	l.pace = pace.Recovered(unsynced, l.end-max(0, r.SnapshotOffset), len(l.segs) > 1)
	if twin := d.m.addFound(l); twin != nil {
		return d.settleTwins(twin, l)
	}
	d.m.addWork(l) // what is not synced is synced soon
	d.m.log.Debug("partition recovered", "partition", l.String(), "log_end_offset", l.end, "scanned_bytes", r.Scanned, "cut_bytes", r.Cut)
	return nil
}
