// Package trash is what a node has deleted and will remove from the disk later.
//
// Purpose: files and directories that were renamed out of the way stay for a while
// (file.delete.delay.ms), because readers may hold them, and then go.
//
// Neighbours: package storage renames and throws away, and calls Remove when its
// clock says so. Files are reached through vfs only.
package trash

import (
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"sync"

	"github.com/naru-stream/naru/internal/vfs"
)

// Item is a file, or a directory with everything in it.
type Item struct {
	Name string
	Dir  bool
	// DueMs is when it goes, in milliseconds since 1970.
	DueMs int64
}

// Can holds items until they are due. Its methods may be called concurrently.
type Can struct {
	fs  vfs.FS
	log *slog.Logger

	mu    sync.Mutex
	items []Item
}

// New returns an empty can.
func New(fsys vfs.FS, log *slog.Logger) *Can { return &Can{fs: fsys, log: log} }

// Throw adds an item.
func (c *Can) Throw(i Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = append(c.items, i)
}

// Remove removes what is due and returns when the next item will be,
// math.MaxInt64 if there is none. An item that cannot be removed is reported and
// forgotten: the next start finds it.
func (c *Can) Remove(nowMs int64) (nextMs int64) {
	nextMs = math.MaxInt64
	var due []Item
	c.mu.Lock()
	c.items = slices.DeleteFunc(c.items, func(i Item) bool {
		if i.DueMs <= nowMs {
			due = append(due, i)
			return true
		}
		nextMs = min(nextMs, i.DueMs)
		return false
	})
	c.mu.Unlock()
	for _, i := range due {
		remove := c.fs.Remove
		if i.Dir {
			remove = c.fs.RemoveAll
		}
		if err := remove(i.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("deleted file not removed", "file", i.Name, "error", err)
		}
	}
	return nextMs
}
