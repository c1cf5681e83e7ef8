package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"syscall"
)

// FS is a file system. Names use slashes. All methods may be called
// concurrently. Errors answer to errors.Is with fs.ErrNotExist, fs.ErrExist and
// the syscall error numbers.
type FS interface {
	// Create makes an empty file, truncating one that exists, and opens it for
	// reading and writing.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Remove unlinks a file or an empty directory.
	Remove(name string) error
	// RemoveAll removes a directory with everything in it; a name that does not
	// exist is no error.
	RemoveAll(name string) error
	// Rename moves a file or directory, atomically replacing a file of the new name.
	Rename(oldName, newName string) error
	// MkdirAll makes a directory and those above it; one that exists is no error.
	MkdirAll(name string) error
	// List returns the entries of a directory ordered by name.
	List(dir string) ([]Entry, error)
	// Stat describes one file or directory.
	Stat(name string) (Info, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a lock file, creating it, and writes this
	// process's id into it. If another holds it the error is a *LockedError. The
	// lock ends with Close or with the process.
	Lock(name string) (io.Closer, error)
	// DiskUsage reports the space of the file system that holds dir.
	DiskUsage(dir string) (Usage, error)
	// BootID names the present run of the machine: as long as it is the same,
	// writes that returned are still readable, synced or not. It is empty when
	// unknown.
	BootID() string
}

// File is an open file. Its methods may be called concurrently, except Close.
type File interface {
	io.ReaderAt
	io.WriterAt
	// WriteVec writes the buffers one after the other at off, in as few system
	// calls as the system allows. It returns how many bytes were written; fewer
	// than asked come with an error.
	WriteVec(bufs [][]byte, off int64) (int64, error)
	// Sync makes the bytes and the size durable (fdatasync).
	Sync() error
	// Truncate cuts or extends the file with zeros.
	Truncate(size int64) error
	// Allocate reserves disk space for the first size bytes without changing the
	// file's size. A file system that cannot reserve answers with an error that is
	// errors.ErrUnsupported.
	Allocate(size int64) error
	// Size returns the present length in bytes.
	Size() (int64, error)
	// Fd returns the descriptor for sendfile, and false if there is none. It is
	// valid until Close.
	Fd() (uintptr, bool)
	// Close ends the use of the file. It does not sync.
	Close() error
}

// Entry is one name in a directory.
type Entry struct {
	// Name is the last element of the path.
	Name string
	// Dir tells a directory.
	Dir bool
}

// Info describes a file or directory.
type Info struct {
	// Size is the length in bytes of a file.
	Size int64
	// Dir tells a directory.
	Dir bool
}

// Usage is the space of a file system, in bytes.
type Usage struct {
	// Total is the size of the file system.
	Total int64
	// Free is what this process may still write.
	Free int64
}

// LockedError says that another process holds a lock file.
type LockedError struct {
	// Name is the lock file.
	Name string
	// PID is the process that holds it, 0 if it could not be read.
	PID int
}

// Error implements error.
func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("%s is locked by %s", e.Name, holder)
}

// IsNoSpace tells an error that says the disk (or the quota) is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// maxSmallFile bounds ReadFile: what is read whole is a manifest or a sidecar.
const maxSmallFile = 1 << 30

// ReadFile reads a whole file. A file above 1 GiB is an error.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written through it
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxSmallFile {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read at once", name, size, maxSmallFile)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// WriteFileAtomic replaces name with data so that a crash leaves either the old
// file or the new one: a temporary file is written, synced and renamed, and the
// directory is synced.
func WriteFileAtomic(fsys FS, name string, data []byte) error {
	if err := WriteFileSynced(fsys, name+".tmp", data); err != nil {
		return err
	}
	if err := fsys.Rename(name+".tmp", name); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}

// WriteFileSynced writes data to a new file and syncs it, but not its name.
func WriteFileSynced(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Exists tells whether a name exists.
func Exists(fsys FS, name string) (bool, error) {
	_, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
