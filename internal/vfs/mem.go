package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that knows what a power cut would leave: every
// write since a file's last Sync and every name since a directory's last SyncDir
// is remembered as pending. See CrashClone. Its operations can be made to fail
// with SetHook and its space bounded with SetCapacity.
type Mem struct {
	mu       sync.Mutex
	root     *memNode
	bootID   string
	hook     func(Op) error
	seq      int
	capacity int64
	used     int64
	locks    map[string]bool
}

var _ FS = (*Mem)(nil)

// OpKind tells what an operation does.
type OpKind string

// The operations that a hook sees.
const (
	OpCreate   OpKind = "create"
	OpOpen     OpKind = "open"
	OpRead     OpKind = "read"
	OpWrite    OpKind = "write"
	OpSync     OpKind = "sync"
	OpTruncate OpKind = "truncate"
	OpRemove   OpKind = "remove"
	OpRename   OpKind = "rename"
	OpMkdir    OpKind = "mkdir"
	OpSyncDir  OpKind = "syncdir"
	OpList     OpKind = "list"
)

// Changes tells whether the operation can change what a crash leaves.
func (k OpKind) Changes() bool { return k != OpOpen && k != OpRead && k != OpList }

// Op is one operation that is about to happen.
type Op struct {
	// Seq counts the operations of the file system from 1.
	Seq int
	// Kind is what it does.
	Kind OpKind
	// Name is the file or directory; for a rename the old name.
	Name string
	// Size is the number of bytes of a read or write.
	Size int
}

// TornWrite is an error with which a hook lets a write do only its first N bytes.
type TornWrite struct {
	// N is how many bytes reach the file.
	N int
	// Err is what the writer is told.
	Err error
}

// Error implements error.
func (t *TornWrite) Error() string { return fmt.Sprintf("torn after %d bytes: %v", t.N, t.Err) }

// Unwrap gives the error the writer is told.
func (t *TornWrite) Unwrap() error { return t.Err }

// memNode is a file (children nil) or a directory.
type memNode struct {
	data    []byte
	durable []byte
	pending []memWrite

	children        map[string]*memNode
	durableChildren map[string]*memNode
	pendingNames    []memNameOp
}

// memWrite is a change of a file since its last sync: bytes at an offset, or a
// new length if truncate is set.
type memWrite struct {
	off      int64
	data     []byte
	truncate bool
}

// memNameOp is one atomic change of a directory since its last sync.
type memNameOp struct {
	remove string
	set    string
	node   *memNode
}

func newMemDir() *memNode {
	return &memNode{children: map[string]*memNode{}, durableChildren: map[string]*memNode{}}
}

// NewMem returns an empty file system without limit.
func NewMem() *Mem {
	return &Mem{root: newMemDir(), bootID: "boot-1", capacity: math.MaxInt64, locks: map[string]bool{}}
}

// SetHook installs a function that is called before every operation, without any
// lock held; the operation fails with the error it returns. It may call
// CrashClone. Set it before concurrent use.
func (m *Mem) SetHook(hook func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// SetCapacity bounds the bytes of all files: a write beyond it does what fits and
// fails with ENOSPC.
func (m *Mem) SetCapacity(capacity int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = capacity
}

// SetBootID changes what BootID answers, as a reboot would.
func (m *Mem) SetBootID(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bootID = id
}

// BootID implements FS.
func (m *Mem) BootID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bootID
}

func (m *Mem) before(kind OpKind, name string, size int) error {
	if len(path.Base(name)) > maxMemName {
		return pathErr(kind, name, syscall.ENAMETOOLONG)
	}
	m.mu.Lock()
	m.seq++
	op, hook := Op{Seq: m.seq, Kind: kind, Name: name, Size: size}, m.hook
	m.mu.Unlock()
	if hook == nil {
		return nil
	}
	if err := hook(op); err != nil {
		return &fs.PathError{Op: string(kind), Path: name, Err: err}
	}
	return nil
}

// maxMemName is how long a name may be, as on the usual file systems.
const maxMemName = 255

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// find returns the node of a name. m.mu is held.
func (m *Mem) find(name string) *memNode {
	n := m.root
	if name = clean(name); name == "" {
		return n
	}
	for part := range strings.SplitSeq(name, "/") {
		if n = n.children[part]; n == nil {
			return nil
		}
	}
	return n
}

func (m *Mem) parent(name string) (dir *memNode, base string) {
	name = clean(name)
	return m.find(path.Dir("/" + name)), path.Base(name)
}

func pathErr(kind OpKind, name string, err error) error {
	return &fs.PathError{Op: string(kind), Path: name, Err: err}
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	if err := m.before(OpCreate, name, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base := m.parent(name)
	if dir == nil || dir.children == nil {
		return nil, pathErr(OpCreate, name, fs.ErrNotExist)
	}
	if n := dir.children[base]; n != nil {
		if n.children != nil {
			return nil, pathErr(OpCreate, name, syscall.EISDIR)
		}
		m.truncate(n, 0)
		return &memFile{fs: m, node: n, name: name}, nil
	}
	n := &memNode{}
	dir.setName(memNameOp{set: base, node: n})
	return &memFile{fs: m, node: n, name: name}, nil
}

func (n *memNode) setName(op memNameOp) {
	applyNames(n.children, op)
	n.pendingNames = append(n.pendingNames, op)
}

func applyNames(names map[string]*memNode, op memNameOp) {
	if op.remove != "" {
		delete(names, op.remove)
	}
	if op.set != "" {
		names[op.set] = op.node
	}
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	if err := m.before(OpOpen, name, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil {
		return nil, pathErr(OpOpen, name, fs.ErrNotExist)
	}
	if n.children != nil {
		return nil, pathErr(OpOpen, name, syscall.EISDIR)
	}
	return &memFile{fs: m, node: n, name: name}, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	if err := m.before(OpRemove, name, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base := m.parent(name)
	if dir == nil || dir.children[base] == nil {
		return pathErr(OpRemove, name, fs.ErrNotExist)
	}
	n := dir.children[base]
	if len(n.children) > 0 {
		return pathErr(OpRemove, name, syscall.ENOTEMPTY)
	}
	m.used -= int64(len(n.data))
	dir.setName(memNameOp{remove: base})
	return nil
}

// RemoveAll implements FS. Each name is an operation of its own.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	n := m.find(name)
	var below []string
	if n != nil {
		for child := range n.children {
			below = append(below, child)
		}
	}
	m.mu.Unlock()
	if n == nil {
		return nil
	}
	slices.Sort(below)
	for _, child := range below {
		if err := m.RemoveAll(path.Join(name, child)); err != nil {
			return err
		}
	}
	return m.Remove(name)
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	if err := m.before(OpRename, oldName, 0); err != nil {
		return err
	}
	if len(path.Base(newName)) > maxMemName {
		return pathErr(OpRename, newName, syscall.ENAMETOOLONG)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase := m.parent(oldName)
	to, newBase := m.parent(newName)
	if from == nil || to == nil || from.children[oldBase] == nil || to.children == nil {
		return pathErr(OpRename, oldName, fs.ErrNotExist)
	}
	n := from.children[oldBase]
	if old := to.children[newBase]; old != nil && old != n {
		if len(old.children) > 0 {
			return pathErr(OpRename, newName, syscall.ENOTEMPTY)
		}
		m.used -= int64(len(old.data))
	}
	if from == to {
		from.setName(memNameOp{remove: oldBase, set: newBase, node: n})
		return nil
	}
	to.setName(memNameOp{set: newBase, node: n})
	from.setName(memNameOp{remove: oldBase})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	if err := m.before(OpMkdir, name, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	if name = clean(name); name == "" {
		return nil
	}
	for part := range strings.SplitSeq(name, "/") {
		next := n.children[part]
		if next == nil {
			next = newMemDir()
			n.setName(memNameOp{set: part, node: next})
		}
		if next.children == nil {
			return pathErr(OpMkdir, name, syscall.ENOTDIR)
		}
		n = next
	}
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]Entry, error) {
	if err := m.before(OpList, dir, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(dir)
	if n == nil || n.children == nil {
		return nil, pathErr(OpList, dir, fs.ErrNotExist)
	}
	entries := make([]Entry, 0, len(n.children))
	for name, child := range n.children {
		entries = append(entries, Entry{Name: name, Dir: child.children != nil})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil {
		return Info{}, pathErr("stat", name, fs.ErrNotExist)
	}
	return Info{Size: int64(len(n.data)), Dir: n.children != nil}, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	if err := m.before(OpSyncDir, dir, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(dir)
	if n == nil || n.children == nil {
		return pathErr(OpSyncDir, dir, fs.ErrNotExist)
	}
	for _, op := range n.pendingNames {
		applyNames(n.durableChildren, op)
	}
	n.pendingNames = nil
	return nil
}

// Lock implements FS. The lock dies with the file system: a crash clone has none.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, &LockedError{Name: name}
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	fs   *Mem
	name string
}

// Close implements io.Closer.
func (l memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.name)
	return nil
}

// DiskUsage implements FS.
func (m *Mem) DiskUsage(string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Usage{Total: m.capacity, Free: max(0, m.capacity-m.used)}, nil
}

// errClosedFile is what a use after Close gets.
var errClosedFile = errors.New("file already closed")
