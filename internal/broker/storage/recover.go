package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/datadir"
	"github.com/naru-stream/naru/internal/broker/storage/epochs"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/sidecar"
	"github.com/naru-stream/naru/internal/broker/storage/trash"
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
	d.manifestToken <- struct{}{}
	defer func() { <-d.manifestToken }()
	return d.rewriteManifest()
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
		l.restore(p)
		d.m.addFound(l)
		live += int64(len(manifest.AppendPartition(nil, p)))
	}
	f, err := manifest.OpenFile(d.m.fs, d.manifestPath(), live)
	if err != nil {
		return fmt.Errorf("opening the manifest: %w", err)
	}
	d.manifest.Store(f)
	d.addEdits(func(b []byte) []byte { return manifest.AppendOpen(b, d.m.fs.BootID()) })
	return d.writeEdits(true)
}

func (d *directory) newFound(id uint32, topic string, topicID wire.UUID, partition int32) *Log {
	cfg := d.m.cfg.Topic(topic)
	return newLog(d, id, topic, topicID, partition, &cfg)
}

func (m *Manager) addFound(l *Log) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(l)
}

// restore sets a log up as the manifest describes it: everything in it is synced.
func (l *Log) restore(p *manifest.Partition) {
	l.logStart, l.end, l.durable = p.LogStartOffset, p.LogEndOffset, p.LogEndOffset
	l.epochs, l.cleaned = epochs.Of(p.Epochs), p.CleanedOffset
	l.pace.snapshot = snapshotPoint{p.SnapshotOffset, p.HasSnapshot}
	l.segs = l.segs[:0]
	for _, s := range p.Segments {
		l.segs = append(l.segs, l.knownSegment(s))
	}
	l.onDisk = len(l.segs) > 0
	if len(l.segs) == 0 {
		l.segs = append(l.segs, newSegment(l.end))
		return
	}
	l.active = l.last().describe()
}

// knownSegment is a segment as the manifest describes it.
func (l *Log) knownSegment(s manifest.Segment) *segment {
	return &segment{
		base: s.BaseOffset, handle: l.m.files.Handle(l.file(s.BaseOffset, logSuffix)),
		next: s.NextOffset, size: s.Size, synced: s.Size, sealed: s.Sealed, idxFrom: s.Size,
		maxTimestamp: s.MaxTimestamp, maxTimestampOffset: s.MaxTimestampOffset, firstTimestamp: s.FirstTimestamp,
		hasAborted: s.Aborted && s.Sealed,
	}
}

// recover checks every partition after an unclean stop, several at a time.
func (d *directory) recover(state *manifest.State, trusted bool) error {
	found, err := d.findPartitions(state)
	if err != nil {
		return err
	}
	journaled, err := d.readJournal()
	if err != nil {
		return err
	}
	threads := d.m.cfg.RecoveryThreads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	sameBoot := trusted && state.BootID != "" && state.BootID == d.m.fs.BootID()
	errs := make([]error, len(found))
	slots := make(chan struct{}, threads)
	var done sync.WaitGroup
	for i, r := range found {
		r.sameBoot, r.trusted = sameBoot, trusted
		r.journal = journaled[partitionID{r.l.topicID, r.l.partition}]
		slots <- struct{}{}
		done.Go(func() {
			errs[i] = r.run()
			<-slots
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, r := range found {
		if r.l.topicID.IsZero() && r.l.last().next == 0 {
			continue // it was about to be made; nothing was written
		}
		d.m.addFound(r.l)
		d.m.log.Debug("partition recovered", "partition", r.l.String(), "log_end_offset", r.l.end,
			"scanned_bytes", r.scanned, "cut_bytes", r.cut)
	}
	return d.removeJournal()
}

// findPartitions lists what there is to recover: the files are the truth, the
// manifest adds what it knows.
func (d *directory) findPartitions(state *manifest.State) ([]*recovery, error) {
	entries, err := d.m.fs.List(d.path)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", d.path, err)
	}
	known := map[string]*manifest.Partition{}
	for _, p := range state.Partitions {
		known[path.Base(d.partitionPath(p.Topic, p.Partition))] = p
	}
	var found []*recovery
	deleted := map[string]bool{}
	for _, e := range entries {
		if !e.Dir {
			continue
		}
		if name, ok := strings.CutSuffix(e.Name, deletedDirSuffix); ok {
			deleted[name] = true
			d.m.trash.Throw(trash.Item{Name: path.Join(d.path, e.Name), Dir: true})
			continue
		}
		topic, partition, ok := segmentfile.ParseDir(e.Name)
		if !ok {
			continue
		}
		found = append(found, d.recoveryOf(e.Name, topic, partition, known[e.Name]))
		delete(known, e.Name)
	}
	for name, p := range known { // without directory: never appended to, deleted just now, or lost
		if deleted[fmt.Sprintf("%s.%s", name, wire.UUID(p.TopicID))] {
			continue
		}
		found = append(found, &recovery{l: d.newFound(p.ID, p.Topic, p.TopicID, p.Partition), known: p})
	}
	return found, nil
}

// recoveryOf prepares the recovery of a partition directory. The topic's id comes
// from the manifest or, without it, from the partition's own file.
func (d *directory) recoveryOf(name, topic string, partition int32, known *manifest.Partition) *recovery {
	file := path.Join(d.path, name, metaName)
	id, err := d.readMeta(file, topic, partition)
	if known != nil {
		r := &recovery{l: d.newFound(known.ID, topic, known.TopicID, partition), known: known, exists: true}
		r.metaErr = err
		if err == nil && id != known.TopicID {
			r.metaErr = fmt.Errorf("topic id %s instead of %s", id, wire.UUID(known.TopicID))
		}
		r.l.onDisk = true
		return r
	}
	d.ids++
	r := &recovery{l: d.newFound(d.ids, topic, id, partition), exists: true, metaErr: err}
	r.l.onDisk = true
	return r
}

func (d *directory) readMeta(file, topic string, partition int32) (wire.UUID, error) {
	b, err := vfs.ReadFile(d.m.fs, file)
	if err != nil {
		return wire.UUID{}, err
	}
	t, id, p, err := sidecar.DecodePartition(b)
	if err == nil && (t != topic || p != partition) {
		err = fmt.Errorf("it speaks of %s-%d", t, p)
	}
	if err != nil {
		return wire.UUID{}, fmt.Errorf("reading %s: %w", file, err)
	}
	return id, nil
}

// repairMeta writes partition.meta anew if a crash left none. Without manifest the
// topic's id is unknown then: the log waits for whoever creates it again.
func (r *recovery) repairMeta() error {
	if !r.exists || r.metaErr == nil {
		return nil
	}
	if r.known == nil && r.l.last().next > 0 {
		r.report(r.l.metaPath(), -1, -1, "", "the topic id is unknown: "+r.metaErr.Error())
	}
	return r.l.writeMeta()
}
