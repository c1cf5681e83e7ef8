package vfs

import (
	"errors"
	"syscall"
	"time"
)

const (
	// descriptorPatience is how long Patient waits for a file descriptor.
	descriptorPatience = 10 * time.Second
	// descriptorPause is the wait before it asks again.
	descriptorPause = 2 * time.Millisecond
)

// IsNoDescriptor tells an error that says the process or the system has no file
// descriptor left. It says nothing about the file: to ask again is right.
func IsNoDescriptor(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// Patient is a file system that waits for a file descriptor where there is none
// left, and has the caller's idle files closed meanwhile. Descriptors come and go
// with connections; a log directory must not fail for that.
type Patient struct {
	FS
	relieve func()
}

// NewPatient returns fsys with patience; relieve gives descriptors back. It may be
// called at any time, also by several at once.
func NewPatient(fsys FS, relieve func()) *Patient { return &Patient{FS: fsys, relieve: relieve} }

func (p *Patient) retry(ask func() error) error {
	err := ask()
	for until := time.Now().Add(descriptorPatience); IsNoDescriptor(err) && time.Now().Before(until); err = ask() {
		p.relieve()
		time.Sleep(descriptorPause)
	}
	return err
}

// Create implements FS.
func (p *Patient) Create(name string) (f File, err error) {
	err = p.retry(func() error { f, err = p.FS.Create(name); return err })
	return f, err
}

// Open implements FS.
func (p *Patient) Open(name string) (f File, err error) {
	err = p.retry(func() error { f, err = p.FS.Open(name); return err })
	return f, err
}

// RemoveAll implements FS.
func (p *Patient) RemoveAll(name string) error {
	return p.retry(func() error { return p.FS.RemoveAll(name) })
}

// List implements FS.
func (p *Patient) List(dir string) (entries []Entry, err error) {
	err = p.retry(func() error { entries, err = p.FS.List(dir); return err })
	return entries, err
}

// SyncDir implements FS.
func (p *Patient) SyncDir(dir string) error {
	return p.retry(func() error { return p.FS.SyncDir(dir) })
}
