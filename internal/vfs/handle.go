package vfs

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/naru-stream/naru/internal/assert"
)

// ErrDropped says that the file of a Handle is no longer part of its owner's
// state: it was deleted or replaced. Who meets it looks the file up anew.
var ErrDropped = errors.New("the file was dropped by its owner")

// Cache bounds how many files of its handles are open. A file that nobody holds
// is closed when more than the limit are open; files in use are never closed
// under their users, so that the limit may be exceeded by what is in use.
type Cache struct {
	fs    FS
	limit int
	most  int // files open at once, those in use included; 0: no limit

	mu   sync.Mutex
	open []*Handle // every handle with an open file
	hand int       // the clock hand of the second-chance sweep
}

// NewCache returns a cache of at most limit idle open files on fsys.
func NewCache(fsys FS, limit int) *Cache {
	assert.That(limit > 0, "an fd cache needs a limit above 0, got %d", limit)
	return &Cache{fs: fsys, limit: limit}
}

// SetMost bounds the files that are open at once, those in use included; 0 is no
// bound. Who opens one more to write waits, for up to ten seconds, so that descriptors
// are left for what ends the use of written files: their syncs.
func (c *Cache) SetMost(most int) { c.most = most }

// room waits until one more file may be opened.
func (c *Cache) room() error {
	for until := time.Now().Add(descriptorPatience); c.most > 0 && c.Open() >= c.most; time.Sleep(descriptorPause) {
		c.closeIdle(c.most - 1)
		if c.Open() < c.most {
			break
		}
		if time.Now().After(until) {
			return fmt.Errorf("%d files are in use: %w", c.most, syscall.EMFILE)
		}
	}
	return nil
}

// Handle returns a new handle for an existing file; nothing is opened yet.
func (c *Cache) Handle(name string) *Handle {
	return &Handle{cache: c, name: name, slot: -1}
}

// Create makes a new empty file and returns its handle.
func (c *Cache) Create(name string) (*Handle, error) {
	if err := c.room(); err != nil {
		return nil, err
	}
	f, err := c.fs.Create(name)
	if IsNoDescriptor(err) {
		c.CloseIdle()
		f, err = c.fs.Create(name)
	}
	if err != nil {
		return nil, err
	}
	h := c.Handle(name)
	h.file, h.used = f, true
	c.add(h)
	return h, nil
}

// Open returns how many files are open now.
func (c *Cache) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

func (c *Cache) add(h *Handle) {
	c.mu.Lock()
	if h.slot < 0 {
		h.slot = len(c.open)
		c.open = append(c.open, h)
	}
	var victims []File
	if len(c.open) > c.limit {
		victims = c.sweep()
	}
	c.mu.Unlock()
	closeAll(victims)
}

// CloseIdle closes the files that nobody holds.
func (c *Cache) CloseIdle() { c.closeIdle(0) }

func (c *Cache) closeIdle(left int) {
	c.mu.Lock()
	victims := c.sweepTo(left)
	c.mu.Unlock()
	closeAll(victims)
}

// sweep takes idle files out until the limit holds or every handle was seen
// twice: the first look takes the second chance away, the next one evicts.
func (c *Cache) sweep() []File { return c.sweepTo(c.limit) }

func (c *Cache) sweepTo(limit int) []File {
	var victims []File
	for looks := 2 * len(c.open); looks > 0 && len(c.open) > limit; looks-- {
		if c.hand >= len(c.open) {
			c.hand = 0
		}
		h := c.open[c.hand]
		f, gone := h.evict()
		if !gone {
			c.hand++
			continue
		}
		c.removeLocked(h)
		if f != nil {
			victims = append(victims, f)
		}
	}
	return victims
}

func (c *Cache) remove(h *Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(h)
}

func (c *Cache) removeLocked(h *Handle) {
	if h.slot < 0 {
		return
	}
	last := len(c.open) - 1
	c.open[h.slot] = c.open[last]
	c.open[h.slot].slot = h.slot
	c.open[last] = nil
	c.open = c.open[:last]
	h.slot = -1
}

func closeAll(files []File) {
	for _, f := range files {
		_ = f.Close() // written files are held until they are synced, so nothing is lost here
	}
}

// Handle is one file that is opened when it is needed and counted while it is
// used. It costs about a hundred bytes while closed. Its methods may be called
// concurrently.
type Handle struct {
	cache *Cache
	slot  int // place in cache.open, guarded by cache.mu

	mu      sync.Mutex
	name    string
	file    File
	refs    int32
	used    bool
	dropped bool
}

// Acquire opens the file if necessary and holds it until Release.
func (h *Handle) Acquire() (File, error) {
	for {
		h.mu.Lock()
		if h.dropped && h.file == nil {
			h.mu.Unlock()
			return nil, ErrDropped
		}
		if h.file != nil {
			f := h.file
			h.refs++
			h.used = true
			h.mu.Unlock()
			return f, nil
		}
		name := h.name
		h.mu.Unlock()

		f, err := h.cache.fs.Open(name)
		if IsNoDescriptor(err) {
			h.cache.CloseIdle()
			f, err = h.cache.fs.Open(name)
		}
		if err != nil {
			if h.renamed(name) {
				continue
			}
			return nil, err
		}
		if h.install(f, name) {
			h.cache.add(h)
			return f, nil
		}
		_ = f.Close() // another goroutine opened it first, or it was renamed; nothing was written
	}
}

// AcquireToWrite is Acquire within the bound of Cache.SetMost.
func (h *Handle) AcquireToWrite() (File, error) {
	h.mu.Lock()
	open := h.file != nil
	h.mu.Unlock()
	if !open {
		if err := h.cache.room(); err != nil {
			return nil, err
		}
	}
	return h.Acquire()
}

func (h *Handle) renamed(since string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.name != since || h.dropped
}

func (h *Handle) install(f File, name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file != nil || h.dropped || h.name != name {
		return false
	}
	h.file = f
	h.refs++
	h.used = true
	return true
}

// Release gives back what Acquire took.
func (h *Handle) Release() {
	h.mu.Lock()
	h.refs--
	if h.refs < 0 { // asked here, because the arguments would be allocated on every release
		assert.That(false, "a file handle was released more often than acquired: %s", h.name)
	}
	var f File
	if h.refs == 0 && h.dropped {
		f, h.file = h.file, nil
	}
	h.mu.Unlock()
	if f != nil {
		h.cache.remove(h)
		_ = f.Close() // a dropped file has no future
	}
}

// Drop tells that the file was or will be deleted or replaced: whoever holds it
// keeps reading it, nobody can acquire it any more once the last one is done.
func (h *Handle) Drop() {
	h.mu.Lock()
	h.dropped = true
	var f File
	if h.refs == 0 {
		f, h.file = h.file, nil
	}
	h.mu.Unlock()
	if f != nil {
		h.cache.remove(h)
		_ = f.Close() // as in Release
	}
}

// Renamed tells the file's new name, after the file system was told.
func (h *Handle) Renamed(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.name = name
}

// Name returns the file's present name.
func (h *Handle) Name() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.name
}

// evict takes the file of an idle handle. It says whether the handle no longer
// has an open file.
func (h *Handle) evict() (File, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file == nil {
		return nil, true
	}
	if h.refs > 0 {
		return nil, false
	}
	if h.used {
		h.used = false
		return nil, false
	}
	f := h.file
	h.file = nil
	return f, true
}

// Range is a slice of a file that stays readable until Release, even if the file
// is renamed, deleted or pushed out of the cache meanwhile. The bytes are on the
// file's descriptor for sendfile, or read with ReadAt.
type Range struct {
	// File is the open file, nil in the zero Range.
	File File
	// Offset is the position of the first byte.
	Offset int64
	// Length is the number of bytes.
	Length int64

	handle *Handle
}

// Range holds the file and returns the slice [offset, offset+length) of it.
func (h *Handle) Range(offset, length int64) (Range, error) {
	f, err := h.Acquire()
	if err != nil {
		return Range{}, err
	}
	return Range{File: f, Offset: offset, Length: length, handle: h}, nil
}

// NewRange returns a range of a file whose life its maker looks after: Release
// does nothing.
func NewRange(f File, offset, length int64) Range {
	return Range{File: f, Offset: offset, Length: length}
}

// Release gives the file back. It is called once; the zero Range needs none but
// may be released.
func (r *Range) Release() {
	h := r.handle
	r.File, r.handle = nil, nil
	if h != nil {
		h.Release()
	}
}

// ReadAt reads bytes of the range, counted from its start; it does not read
// beyond its end.
func (r *Range) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > r.Length {
		return 0, errors.New("reading outside a file range")
	}
	if len(p) == 0 { // an empty range may have no file
		return 0, nil
	}
	return r.File.ReadAt(p, r.Offset+off)
}
