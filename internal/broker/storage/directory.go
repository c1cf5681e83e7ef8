package storage

import (
	"fmt"
	"path"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/broker/storage/datadir"
	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/syncqueue"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// directory is one log directory: its manifest, its queue of syncs, its health.
type directory struct {
	m        *Manager
	path     string
	identity *datadir.Dir

	failed atomic.Pointer[error]
	full   atomic.Pointer[error]

	// manifestToken is held while the manifest is written.
	manifestToken chan struct{}
	manifest      atomic.Pointer[manifest.File] // written by the token's holder
	manifestMs    atomic.Int64                  // when it was synced last

	partitions int // how many there are, guarded by Manager.mu

	// journalToken is held by who uses the journal.
	journalToken chan struct{}
	journal      *journal.Journal[*Log]

	mu      sync.Mutex
	edits   []byte // not yet written to the manifest
	syncs   syncqueue.Queue[*Log]
	workers int
	ids     uint32
	// namesMade and namesSynced count partition directories, as in Log.
	namesMade, namesSynced int
}

func newDirectory(m *Manager, dir string) *directory {
	return &directory{
		m: m, path: dir, manifestToken: make(chan struct{}, 1),
		journalToken: make(chan struct{}, 1), journal: journal.New[*Log](m.fs, dir, m.cfg.JournalFileBytes),
	}
}

func (d *directory) partitionPath(topic string, partition int32) string {
	return path.Join(d.path, topic+"-"+strconv.Itoa(int(partition)))
}

func (d *directory) manifestPath() string { return path.Join(d.path, datadir.ManifestFile) }

// failure returns why the directory failed, nil if it works.
func (d *directory) failure() error {
	if err := d.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// refusal returns why nothing may be appended now, nil if it may.
func (d *directory) refusal() error {
	if err := d.failed.Load(); err != nil {
		return storageError("appending in the failed directory "+d.path, *err)
	}
	if err := d.full.Load(); err != nil {
		return storageError("appending in "+d.path, *err)
	}
	return nil
}

// fail takes the directory out of use for good: the kernel may have dropped what
// it could not write, so that a second try would only look as if it worked.
func (d *directory) fail(err error) {
	if !d.failed.CompareAndSwap(nil, &err) {
		return
	}
	d.m.log.Error("log directory failed", "dir", d.path, "error", err)
	for _, l := range d.m.logsIn(d) {
		l.mu.Lock()
		listener := l.listener
		l.mu.Unlock()
		if listener != nil {
			listener.Failed(storageError("using "+d.path, err))
		}
	}
}

// setFull refuses appends until there is space again.
func (d *directory) setFull(err error) {
	err = fmt.Errorf("the disk is full: %w", err)
	if d.full.Swap(&err) == nil {
		d.m.log.Warn("disk full, appends are refused until there is space", "dir", d.path, "error", err)
	}
	d.m.wake()
}

// checkSpace measures the free space and refuses or admits appends.
func (d *directory) checkSpace() {
	usage, err := d.m.fs.DiskUsage(d.path)
	if err != nil {
		d.m.log.Warn("free space unknown", "dir", d.path, "error", err)
		return
	}
	limit := max(d.m.cfg.MinFreeBytes, 1)
	wasFull := d.full.Load() != nil
	if wasFull {
		limit += limit / 8 // so that it does not flap at the edge
	}
	if usage.Free < limit {
		if !wasFull {
			d.setFull(fmt.Errorf("%d bytes are free, %d are kept", usage.Free, d.m.cfg.MinFreeBytes))
		}
		return
	}
	if wasFull && d.identity.Reserve(d.m.fs, d.m.cfg.ReserveBytes) == nil {
		d.full.Store(nil)
		d.m.log.Info("disk has space again", "dir", d.path, "free_bytes", usage.Free)
	}
}

// addEdits queues edits of the manifest. They reach it with the next writeEdits.
func (d *directory) addEdits(edit func(b []byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.edits = edit(d.edits)
}

// writeEdits appends the queued edits to the manifest, and syncs it if asked.
// What the edits say must be so in memory before: a rewrite describes memory.
func (d *directory) writeEdits(sync bool) error {
	d.manifestToken <- struct{}{}
	defer func() { <-d.manifestToken }()
	if err := d.failure(); err != nil {
		return err
	}
	d.mu.Lock()
	edits := d.edits
	d.edits = nil
	d.mu.Unlock()
	err := d.writeManifest(edits, sync)
	if vfs.IsNoSpace(err) && d.identity.ReleaseReserve(d.m.fs) {
		err = d.writeManifest(edits, sync)
	}
	if vfs.IsNoSpace(err) {
		d.putBack(edits)
		d.setFull(err)
		return err
	}
	if err != nil {
		d.fail(fmt.Errorf("writing the manifest: %w", err))
	}
	return err
}

func (d *directory) putBack(edits []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.edits = append(edits, d.edits...)
}

func (d *directory) writeManifest(edits []byte, sync bool) error {
	if d.manifest.Load().Bloated(len(edits)) {
		d.putBack(edits) // they follow in the new file, where they repeat what is there
		if err := d.rewriteManifest(); err != nil {
			return err
		}
		d.mu.Lock()
		edits = d.edits
		d.edits = nil
		d.mu.Unlock()
	}
	f := d.manifest.Load()
	if err := f.Append(edits); err != nil {
		return err
	}
	if !sync {
		return nil
	}
	d.manifestMs.Store(d.m.nowMs())
	return f.Sync()
}

// rewriteManifest replaces the manifest by one that says what is so now. The
// token is held.
func (d *directory) rewriteManifest() error {
	b := manifest.AppendHeader(nil)
	b = manifest.AppendOpen(b, d.m.fs.BootID())
	for _, l := range d.m.logsIn(d) {
		b = manifest.AppendPartition(b, l.describe())
	}
	f, err := manifest.CreateFile(d.m.fs, d.manifestPath(), b)
	if err != nil {
		return err
	}
	if old := d.manifest.Swap(f); old != nil {
		_ = old.Close() // replaced, nothing in it matters any more
	}
	d.manifestMs.Store(d.m.nowMs())
	return nil
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
	// Usage is the space of its file system; zero if unknown.
	Usage vfs.Usage
}

func (d *directory) info() DirInfo {
	usage, err := d.m.fs.DiskUsage(d.path)
	if err != nil {
		usage = vfs.Usage{}
	}
	return DirInfo{
		Path: d.path, DirectoryID: d.identity.DirectoryID, Err: d.failure(),
		Full: d.full.Load() != nil, Usage: usage,
	}
}
