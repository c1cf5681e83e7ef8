package datadir

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/vfs"
)

// Health is whether a directory may be written to: not at all once it failed, and not while
// its disk is full. Its methods may be called concurrently.
type Health struct {
	dir    *Dir
	fs     vfs.FS
	limits SpaceLimits
	log    *slog.Logger

	failed    atomic.Pointer[error]
	full      atomic.Pointer[error]
	exhausted atomic.Bool
}

// SpaceLimits say when a disk counts as full.
type SpaceLimits struct {
	// MinFreeBytes is the free space below which it does. It is exhausted when an eighth
	// of that is left: until then the rest is there for all but clients.
	MinFreeBytes int64
	// ReserveBytes is the space set aside for what must be written then.
	ReserveBytes int64
}

// NewHealth returns that of a directory that works.
func NewHealth(fsys vfs.FS, dir *Dir, limits SpaceLimits, log *slog.Logger) *Health {
	return &Health{dir: dir, fs: fsys, limits: limits, log: log}
}

// Reserve sets space aside for what must be written when the disk is full.
func (h *Health) Reserve() {
	if err := h.dir.Reserve(h.fs, h.limits.ReserveBytes); err != nil {
		h.log.Warn("no space reserved for a full disk", "dir", h.dir.Path, "error", err)
	}
}

// Failure returns why the directory failed, nil if it works.
func (h *Health) Failure() error {
	if err := h.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Full returns why the disk counts as full, nil if it does not.
func (h *Health) Full() error {
	if err := h.full.Load(); err != nil {
		return *err
	}
	return nil
}

// Exhausted tells, of a full disk, whether what MinFreeBytes keeps is used up too.
func (h *Health) Exhausted() bool { return h.exhausted.Load() }

// Fail takes the directory out of use for good: the kernel may have dropped what it could
// not write, so that a second try would only look as if it worked. It tells whether this
// was the first failure.
func (h *Health) Fail(err error) bool {
	if !h.failed.CompareAndSwap(nil, &err) {
		return false
	}
	h.log.Error("log directory failed", "dir", h.dir.Path, "error", err)
	return true
}

// Exhaust notes that a write found no space. It is so until CheckSpace finds some.
func (h *Health) Exhaust(err error) {
	h.exhausted.Store(true)
	h.setFull(err)
}

func (h *Health) setFull(err error) {
	err = fmt.Errorf("the disk is full: %w", err)
	if h.full.Swap(&err) == nil {
		h.log.Warn("disk full, appends are refused until there is space", "dir", h.dir.Path, "error", err)
	}
}

// CheckSpace measures the free space.
func (h *Health) CheckSpace() {
	usage, err := h.fs.DiskUsage(h.dir.Path)
	if err != nil {
		h.log.Warn("free space unknown", "dir", h.dir.Path, "error", err)
		return
	}
	limit := max(h.limits.MinFreeBytes, 1)
	wasFull := h.full.Load() != nil
	if wasFull {
		limit += limit / 8 // so that it does not flap at the edge
	}
	if usage.Free < limit {
		h.exhausted.Store(usage.Free <= h.limits.MinFreeBytes/8)
		if !wasFull {
			h.setFull(fmt.Errorf("%d bytes are free, %d are kept", usage.Free, h.limits.MinFreeBytes))
		}
		return
	}
	if wasFull && h.dir.Reserve(h.fs, h.limits.ReserveBytes) == nil {
		h.exhausted.Store(false)
		h.full.Store(nil)
		h.log.Info("disk has space again", "dir", h.dir.Path, "free_bytes", usage.Free)
	}
}

// ReleaseReserve gives the reserve back. It says whether there was one.
func (h *Health) ReleaseReserve() bool { return h.dir.ReleaseReserve(h.fs) }
