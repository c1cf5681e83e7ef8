// Package future makes a copy of a log's files in another log directory while the log is
// in use (KIP-113: the future replica).
//
// Purpose: a log that is moved between directories is written to all the time. Its files
// are copied in passes, each of which copies what came since the one before, until so
// little is left that the log can wait for it.
//
// Neighbours: package storage knows which files a log has and puts the copy in its place.
// Files are reached through vfs only.
//
// Invariant: what a call says it copied is on the disk.
package future

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/naru-stream/naru/internal/vfs"
)

// chunk is how much is copied at once.
const chunk = 256 << 10

// Copy is a directory that is being filled. Its methods are called by one goroutine at a
// time.
type Copy struct {
	fs    vfs.FS
	dir   string
	spend func(bytes int) error
	sizes map[string]int64
	buf   []byte
}

// New begins a copy in an empty directory: what an earlier one left there goes. spend is
// asked before so many bytes are copied; it may wait, and its error ends the copying.
func New(fsys vfs.FS, dir string, spend func(bytes int) error) (*Copy, error) {
	if err := errors.Join(fsys.RemoveAll(dir), fsys.MkdirAll(dir)); err != nil {
		return nil, fmt.Errorf("beginning a copy in %s: %w", dir, err)
	}
	return &Copy{fs: fsys, dir: dir, spend: spend, sizes: map[string]int64{}, buf: make([]byte, chunk)}, nil
}

// Dir returns the directory.
func (c *Copy) Dir() string { return c.dir }

// Size returns how many bytes of a file are copied, and whether there is a copy of it.
func (c *Copy) Size(name string) (int64, bool) {
	size, ok := c.sizes[name]
	return size, ok
}

// Total returns how many bytes are copied.
func (c *Copy) Total() (n int64) {
	for _, size := range c.sizes {
		n += size
	}
	return n
}

// Extend copies what a file that only grows has more, up to size bytes.
func (c *Copy) Extend(name string, from io.ReaderAt, size int64) error {
	have, ok := c.sizes[name]
	if ok && have >= size {
		return nil
	}
	open := c.fs.Open
	if !ok {
		open = c.fs.Create
	}
	to, err := open(path.Join(c.dir, name))
	if err != nil {
		return fmt.Errorf("copying %s: %w", name, err)
	}
	err = c.copyRange(to, from, have, size)
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("copying %s: %w", name, err)
	}
	c.sizes[name] = size
	return nil
}

func (c *Copy) copyRange(to io.WriterAt, from io.ReaderAt, at, end int64) error {
	for at < end {
		b := c.buf[:min(int64(len(c.buf)), end-at)]
		if err := c.spend(len(b)); err != nil {
			return err
		}
		if n, err := from.ReadAt(b, at); n < len(b) {
			return err
		}
		if _, err := to.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

// Put copies a small file as a whole, again if there is a copy of it. A file that is not
// there is none to copy.
func (c *Copy) Put(name, from string) error {
	b, err := vfs.ReadFile(c.fs, from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = c.spend(len(b))
	}
	if err == nil {
		err = vfs.WriteFileSynced(c.fs, path.Join(c.dir, name), b)
	}
	if err != nil {
		return fmt.Errorf("copying %s: %w", name, err)
	}
	c.sizes[name] = int64(len(b))
	return nil
}

// Forget removes the copy of a file, if there is one.
func (c *Copy) Forget(name string) error {
	if _, ok := c.sizes[name]; !ok {
		return nil
	}
	delete(c.sizes, name)
	if err := c.fs.Remove(path.Join(c.dir, name)); err != nil {
		return fmt.Errorf("removing a copy: %w", err)
	}
	return nil
}

// Promote gives the copy its place, under a name in the same directory that is durable
// when it returns, as those of the files are. After an error the copy is a copy still, as
// far as that can be had.
func (c *Copy) Promote(place string) error {
	if err := c.fs.SyncDir(c.dir); err != nil {
		return fmt.Errorf("syncing the copy %s: %w", c.dir, err)
	}
	if err := c.fs.Rename(c.dir, place); err != nil {
		return fmt.Errorf("promoting a copy: %w", err)
	}
	if err := c.fs.SyncDir(path.Dir(place)); err != nil {
		return fmt.Errorf("promoting a copy to %s: %w", place, errors.Join(err, c.fs.Rename(place, c.dir)))
	}
	return nil
}

// Remove gives the copy up.
func (c *Copy) Remove() error { return c.fs.RemoveAll(c.dir) }
