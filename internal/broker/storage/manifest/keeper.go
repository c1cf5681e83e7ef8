package manifest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/vfs"
)

// Keeper keeps the manifest of a directory in use: edits gather in memory, whoever writes
// takes all of them, and a file that has grown too much is written anew. Its methods may
// be called concurrently, once Open or Create has been.
type Keeper struct {
	cfg      KeeperConfig
	token    chan struct{} // held while the file is written
	file     atomic.Pointer[File]
	syncedMs atomic.Int64
	journal  bool // the file says that there is a journal; the token's holder knows

	mu    sync.Mutex
	edits []byte // not yet written
}

// KeeperConfig is what a Keeper needs of its directory.
type KeeperConfig struct {
	// FS is the file system, Name the manifest.
	FS   vfs.FS
	Name string
	// NowMs is the clock.
	NowMs func() int64
	// Failure tells why the directory failed, nil if it works: nothing is written then.
	Failure func() error
	// Describe appends every partition as it is in memory.
	Describe func(b []byte) []byte
	// ReleaseReserve makes room on a full disk, false if there is none to make.
	ReleaseReserve func() bool
}

// NewKeeper returns a Keeper.
func NewKeeper(cfg KeeperConfig) *Keeper { return &Keeper{cfg: cfg, token: make(chan struct{}, 1)} }

// Open goes on with the file that is there; live is its size if it were written anew.
func (k *Keeper) Open(live int64) error {
	f, err := OpenFile(k.cfg.FS, k.cfg.Name, live)
	if err != nil {
		return fmt.Errorf("opening the manifest: %w", err)
	}
	k.file.Store(f)
	k.Add(func(b []byte) []byte { return AppendOpen(b, k.cfg.FS.BootID()) })
	return nil
}

// Create makes the file from what is in memory.
func (k *Keeper) Create() error {
	k.token <- struct{}{}
	defer func() { <-k.token }()
	return k.rewrite()
}

// Add queues edits. They reach the file with the next Write.
func (k *Keeper) Add(edit func(b []byte) []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.edits = edit(k.edits)
}

// Write appends the queued edits, and syncs the file if asked. What the edits say must be
// so in memory before: a file that is written anew describes memory. What could not be
// written is queued still.
func (k *Keeper) Write(sync bool) error {
	k.token <- struct{}{}
	defer func() { <-k.token }()
	if err := k.cfg.Failure(); err != nil {
		return err
	}
	err := k.write(sync)
	if vfs.IsNoSpace(err) && k.cfg.ReleaseReserve() {
		err = k.write(sync)
	}
	return err
}

func (k *Keeper) write(sync bool) error {
	edits := k.take()
	if k.file.Load().Bloated(len(edits)) {
		k.putBack(edits) // they follow in the new file, where they repeat what is there
		if err := k.rewrite(); err != nil {
			return err
		}
		edits = k.take()
	}
	f := k.file.Load()
	if err := f.Append(edits); err != nil {
		k.putBack(edits)
		return err
	}
	if !sync {
		return nil
	}
	k.syncedMs.Store(k.cfg.NowMs())
	return f.Sync()
}

func (k *Keeper) take() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	edits := k.edits
	k.edits = nil
	return edits
}

func (k *Keeper) putBack(edits []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.edits = append(edits, k.edits...)
}

// rewrite replaces the file by one that says what is so now. The token is held.
func (k *Keeper) rewrite() error {
	b := AppendHeader(nil, k.journal)
	b = AppendOpen(b, k.cfg.FS.BootID())
	f, err := CreateFile(k.cfg.FS, k.cfg.Name, k.cfg.Describe(b))
	if err != nil {
		return err
	}
	if old := k.file.Swap(f); old != nil {
		_ = old.Close() // replaced, nothing in it matters any more
	}
	k.syncedMs.Store(k.cfg.NowMs())
	return nil
}

// NoteJournal has the manifest say that there is a journal, or that there is none any
// more: a program that knows no journal refuses the directory while there is one.
func (k *Keeper) NoteJournal(exists bool) error {
	k.token <- struct{}{}
	defer func() { <-k.token }()
	if k.journal == exists {
		return nil
	}
	k.journal = exists
	err := k.rewrite()
	if vfs.IsNoSpace(err) && k.cfg.ReleaseReserve() {
		err = k.rewrite()
	}
	if err != nil {
		k.journal = !exists
	}
	return err
}

// Unsynced tells whether edits wait for a sync of the file, and when it had the last one.
func (k *Keeper) Unsynced() (syncedMs int64, ok bool) {
	return k.syncedMs.Load(), k.file.Load().Dirty()
}

// Close closes the file without syncing it.
func (k *Keeper) Close() error {
	if f := k.file.Load(); f != nil {
		return f.Close()
	}
	return nil
}
