package vfs

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
)

// memFile is an open file of Mem.
type memFile struct {
	fs     *Mem
	node   *memNode
	name   string
	closed bool
}

// ReadAt implements io.ReaderAt.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.before(OpRead, f.name, len(p)); err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, pathErr(OpRead, f.name, errClosedFile)
	}
	if off < 0 {
		return 0, pathErr(OpRead, f.name, syscall.EINVAL)
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.WriteVec([][]byte{p}, off)
	return int(n), err
}

// WriteVec implements File: the buffers are one write, which may be torn anywhere.
func (f *memFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	data := slices.Concat(bufs...)
	err := f.fs.before(OpWrite, f.name, len(data))
	var torn *TornWrite
	if errors.As(err, &torn) {
		data = data[:min(torn.N, len(data))]
	} else if err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, pathErr(OpWrite, f.name, errClosedFile)
	}
	if off < 0 {
		return 0, pathErr(OpWrite, f.name, syscall.EINVAL)
	}
	room := f.fs.capacity - f.fs.used
	if grow := off + int64(len(data)) - int64(len(f.node.data)); grow > 0 && grow > room {
		data = data[:max(0, int64(len(data))-(grow-max(0, room)))]
		err = pathErr(OpWrite, f.name, syscall.ENOSPC)
	}
	if len(data) > 0 {
		f.fs.write(f.node, memWrite{off: off, data: data})
	}
	return int64(len(data)), err
}

func (m *Mem) write(n *memNode, w memWrite) {
	before := int64(len(n.data))
	n.data = w.apply(n.data)
	m.used += int64(len(n.data)) - before
	n.pending = append(n.pending, w)
}

func (m *Mem) truncate(n *memNode, size int64) {
	m.write(n, memWrite{off: size, truncate: true})
}

// apply does the change to a file's content.
func (w memWrite) apply(data []byte) []byte {
	end := w.off + int64(len(w.data))
	switch {
	case w.truncate && int64(len(data)) >= end:
		return data[:end:end]
	case int64(len(data)) < end:
		data = append(data, make([]byte, end-int64(len(data)))...)
	}
	copy(data[w.off:], w.data)
	return data
}

// Sync implements File.
func (f *memFile) Sync() error {
	if err := f.fs.before(OpSync, f.name, 0); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathErr(OpSync, f.name, errClosedFile)
	}
	for _, w := range f.node.pending {
		f.node.durable = w.apply(f.node.durable)
	}
	f.node.pending = nil
	return nil
}

// Truncate implements File.
func (f *memFile) Truncate(size int64) error {
	if err := f.fs.before(OpTruncate, f.name, 0); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathErr(OpTruncate, f.name, errClosedFile)
	}
	f.fs.truncate(f.node, size)
	return nil
}

// Allocate implements File. Space in memory cannot be reserved.
func (f *memFile) Allocate(int64) error {
	return fmt.Errorf("reserving space for %s: %w", f.name, errors.ErrUnsupported)
}

// Size implements File.
func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), nil
}

// Fd implements File: memory has no descriptor.
func (f *memFile) Fd() (uintptr, bool) { return 0, false }

// Close implements File.
func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathErr("close", f.name, errClosedFile)
	}
	f.closed = true
	return nil
}
