package storage

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/broker/storage/datadir"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/syncer"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// directory is one log directory: its health, its manifest, its syncs.
type directory struct {
	m        *Manager
	path     string
	identity *datadir.Dir
	health   *datadir.Health
	manifest *manifest.Keeper
	syncs    *syncer.Syncer[member]
	// cordoned keeps new partitions out while another directory takes them.
	cordoned atomic.Bool

	partitions int // how many there are, guarded by Manager.mu

	mu  sync.Mutex
	ids uint32
	// namesMade and namesSynced count partition directories, as in Log.
	namesMade, namesSynced int
}

// openDirectory locks a directory and makes what it needs; load comes next.
func openDirectory(m *Manager, dir string) (*directory, error) {
	identity, err := datadir.Open(m.fs, dir, m.clusterID, m.cfg.NodeID)
	if err != nil {
		return nil, err
	}
	limits := datadir.SpaceLimits{MinFreeBytes: m.cfg.MinFreeBytes, ReserveBytes: m.cfg.ReserveBytes}
	health := datadir.NewHealth(m.fs, identity, limits, m.log)
	d := &directory{m: m, path: dir, identity: identity, health: health}
	d.manifest = manifest.NewKeeper(manifest.KeeperConfig{
		FS: m.fs, Name: d.manifestPath(), NowMs: m.nowMs, Failure: health.Failure, Describe: d.describe, ReleaseReserve: health.ReleaseReserve,
	})
	cfg := syncer.Config{
		FS: m.fs, Dir: dir, JournalFileBytes: m.cfg.JournalFileBytes, Workers: m.cfg.MaxParallelSyncs, Go: m.running.Go,
		Failure: health.Failure, Fail: d.fail, NoteJournal: func() error { return d.noteJournal(true) },
		ReleaseReserve: health.ReleaseReserve, Logger: m.log,
	}
	if m.cfg.Manual {
		cfg.Go = nil
	}
	d.syncs = syncer.New[member](cfg)
	return d, nil
}

// describe appends every partition of the directory to a manifest.
func (d *directory) describe(b []byte) []byte {
	for _, l := range d.m.logsIn(d) {
		b = manifest.AppendPartition(b, l.describe())
	}
	return b
}

func (d *directory) partitionPath(topic string, partition int32) string {
	return path.Join(d.path, segmentfile.DirName(topic, partition))
}

func (d *directory) manifestPath() string { return path.Join(d.path, datadir.ManifestFile) }

// refusal returns why a may not be written now, nil if it may. While the disk is
// full, a client's append is refused; a coordinator goes on in the space that is
// kept, so that those who drain the disk can join, commit and end their
// transactions; and a vital append is always tried.
func (d *directory) refusal(a *Append) error {
	if err := d.health.Failure(); err != nil {
		return storageError("appending in the failed directory "+d.path, err)
	}
	err := d.health.Full()
	if err == nil || a.Vital || a.Origin == OriginCoordinator && !d.health.Exhausted() {
		return nil
	}
	return storageError("appending in "+d.path, err)
}

// fail takes the directory out of use for good.
func (d *directory) fail(err error) {
	if !d.health.Fail(err) {
		return
	}
	for _, l := range d.m.logsIn(d) {
		l.mu.Lock()
		listener := l.listener
		l.mu.Unlock()
		if listener != nil {
			listener.Failed(storageError("using "+d.path, err))
		}
	}
}

// exhaust notes that a write found no space, and refuses what may be refused until there
// is space again.
func (d *directory) exhaust(err error) {
	d.health.Exhaust(err)
	d.m.wake()
}

// tryAgain says whether a vital write that found no space may find some now: the
// reserve is given back.
func (d *directory) tryAgain(err error) bool {
	if !vfs.IsNoSpace(err) || errors.Is(err, errBroken) || !d.health.ReleaseReserve() {
		return false
	}
	d.exhaust(err)
	return true
}

// writeEdits has the manifest's queued edits written, and synced if asked.
func (d *directory) writeEdits(sync bool) error {
	return d.manifestWritten(d.manifest.Write(sync))
}

// noteJournal has the manifest say whether there is a journal.
func (d *directory) noteJournal(exists bool) error {
	err := d.manifest.NoteJournal(exists)
	if vfs.IsNoSpace(err) {
		return err // the logs are synced without
	}
	return d.manifestWritten(err)
}

// manifestWritten decides what a failed write of the manifest means.
func (d *directory) manifestWritten(err error) error {
	switch {
	case err == nil || d.health.Failure() != nil:
	case vfs.IsNoSpace(err):
		d.exhaust(err)
	default:
		d.fail(fmt.Errorf("writing the manifest: %w", err))
	}
	return err
}

// syncNames makes the partition directories themselves durable.
func (d *directory) syncNames() error {
	d.mu.Lock()
	made, synced := d.namesMade, d.namesSynced
	d.mu.Unlock()
	if made == synced {
		return nil
	}
	if err := d.m.fs.SyncDir(d.path); err != nil {
		return err
	}
	d.mu.Lock()
	d.namesSynced = max(d.namesSynced, made)
	d.mu.Unlock()
	return nil
}

func (d *directory) madeName() {
	d.mu.Lock()
	d.namesMade++
	d.mu.Unlock()
}

func (d *directory) nextID() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids++
	return d.ids
}

// DirInfo describes one log directory.
type DirInfo struct {
	// Path is the directory.
	Path string
	// DirectoryID is its id (KIP-858).
	DirectoryID wire.UUID
	// Err says why it failed, nil if it works.
	Err error
	// Full tells that appends are refused for lack of space.
	Full bool
	// Cordoned tells that it takes no new partitions (cordoned.log.dirs).
	Cordoned bool
	// Usage is the space of its file system; zero if unknown.
	Usage vfs.Usage
}

func (d *directory) info() DirInfo {
	usage, err := d.m.fs.DiskUsage(d.path)
	if err != nil {
		usage = vfs.Usage{}
	}
	return DirInfo{
		Path: d.path, DirectoryID: d.identity.DirectoryID, Err: d.health.Failure(),
		Full: d.health.Full() != nil, Cordoned: d.cordoned.Load(), Usage: usage,
	}
}
