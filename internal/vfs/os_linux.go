package vfs

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// maxIovecs is the most buffers that one pwritev takes (UIO_MAXIOV).
const maxIovecs = 1024

// WriteVec implements File.
func (f *osFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	var total int64
	for len(bufs) > 0 {
		if len(bufs) == 1 { // pwrite is cheaper than a vector of one
			n, err := f.file.WriteAt(bufs[0], off+total)
			return total + int64(n), err
		}
		n, err := unix.Pwritev(int(f.fd), bufs[:min(len(bufs), maxIovecs)], off+total)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return total, &os.PathError{Op: "pwritev", Path: f.file.Name(), Err: err}
		}
		if n == 0 {
			return total, &os.PathError{Op: "pwritev", Path: f.file.Name(), Err: io.ErrShortWrite}
		}
		total += int64(n)
		if bufs, err = f.skip(bufs, n, off+total, &total); err != nil {
			return total, err
		}
	}
	return total, nil
}

// skip drops the n bytes that were written from the front of bufs. A buffer that
// was written in part is finished with a plain write, so that the caller's slice
// of buffers stays as it is.
func (f *osFile) skip(bufs [][]byte, n int, off int64, total *int64) ([][]byte, error) {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n == 0 {
		return bufs, nil
	}
	m, err := f.file.WriteAt(bufs[0][n:], off)
	*total += int64(m)
	return bufs[1:], err
}

// Sync implements File.
func (f *osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.fd))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.file.Name(), Err: err}
		}
		return nil
	}
}

// Allocate implements File.
func (f *osFile) Allocate(size int64) error {
	err := unix.Fallocate(int(f.fd), unix.FALLOC_FL_KEEP_SIZE, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("reserving %d bytes for %s: %w", size, f.file.Name(), errors.ErrUnsupported)
	}
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: f.file.Name(), Err: err}
	}
	return nil
}

// DiskUsage implements FS.
func (OS) DiskUsage(dir string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Usage{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	block := st.Bsize
	return Usage{Total: int64(st.Blocks) * block, Free: int64(st.Bavail) * block}, nil
}

func flock(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

func isLockHeld(err error) bool { return errors.Is(err, unix.EWOULDBLOCK) }

// MaxDescriptors returns how many files and sockets this process may have open, 0
// if that is unknown.
func MaxDescriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, math.MaxInt32))
}
