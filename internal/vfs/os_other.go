//go:build !linux

package vfs

import (
	"errors"
	"math"
	"os"
)

// WriteVec implements File.
func (f *osFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	var total int64
	for _, b := range bufs {
		n, err := f.file.WriteAt(b, off+total)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// Sync implements File.
func (f *osFile) Sync() error { return f.file.Sync() }

// Allocate implements File.
func (f *osFile) Allocate(int64) error { return errors.ErrUnsupported }

// DiskUsage implements FS. Without a portable call the disk counts as endless;
// a full one still shows as an error of the write.
func (OS) DiskUsage(string) (Usage, error) {
	return Usage{Total: math.MaxInt64, Free: math.MaxInt64}, nil
}

func flock(*os.File) error { return nil }

func isLockHeld(error) bool { return false }

// MaxDescriptors returns how many files and sockets this process may have open, 0
// as that is unknown.
func MaxDescriptors() int { return 0 }
