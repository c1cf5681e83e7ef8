package manifest

import (
	"errors"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/vfs"
)

// File is a manifest that edits are appended to. One goroutine at a time writes
// it; Dirty may be asked by others.
type File struct {
	file  vfs.File
	size  int64
	live  int64 // size of what it says without what was replaced
	dirty atomic.Bool
}

// maxSlack is how far a file may grow beyond four times what it says.
const maxSlack = 1 << 20

// OpenFile opens a manifest to append to. Live is the size it would have if it were
// written anew, in bytes.
func OpenFile(fsys vfs.FS, name string, live int64) (*File, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{file: f, size: size, live: live}, nil
}

// CreateFile replaces a manifest by one with this content, atomically and durably.
func CreateFile(fsys vfs.FS, name string, content []byte) (*File, error) {
	if err := vfs.WriteFileAtomic(fsys, name, content); err != nil {
		return nil, err
	}
	return OpenFile(fsys, name, int64(len(content)))
}

// Bloated tells whether the file should be written anew instead of growing by n
// bytes.
func (f *File) Bloated(n int) bool { return f.size+int64(n) > 4*f.live+maxSlack }

// Append adds edits. What a full disk took of them is cut off again.
func (f *File) Append(edits []byte) error {
	if len(edits) == 0 {
		return nil
	}
	n, err := f.file.WriteAt(edits, f.size)
	if err != nil {
		if vfs.IsNoSpace(err) && n > 0 {
			return errors.Join(err, f.file.Truncate(f.size))
		}
		return err
	}
	f.size += int64(len(edits))
	f.dirty.Store(true)
	return nil
}

// Dirty tells whether edits were appended since the last Sync.
func (f *File) Dirty() bool { return f.dirty.Load() }

// Sync makes what was appended durable.
func (f *File) Sync() error {
	if !f.dirty.Load() {
		return nil
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.dirty.Store(false)
	return nil
}

// Close closes the file without syncing it.
func (f *File) Close() error { return f.file.Close() }
