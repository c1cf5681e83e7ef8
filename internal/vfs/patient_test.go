package vfs

import (
	"os"
	"slices"
	"syscall"
	"testing"
)

// shortOfDescriptors is a file system that may have few files open.
type shortOfDescriptors struct {
	*Mem
	open, limit int
}

type counted struct {
	File
	fs *shortOfDescriptors
}

func (f counted) Close() error {
	f.fs.open--
	return f.File.Close()
}

func (s *shortOfDescriptors) Create(name string) (File, error) {
	if s.open == s.limit {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	f, err := s.Mem.Create(name)
	s.open++
	return counted{f, s}, err
}

func TestPatienceClosesIdleFilesForADescriptor(t *testing.T) {
	scarce := &shortOfDescriptors{Mem: NewMem(), limit: 3}
	var cache *Cache
	patient := NewPatient(scarce, func() { cache.CloseIdle() })
	cache = NewCache(patient, 100)
	if err := patient.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	held, err := cache.Create("d/held")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Acquire(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d/a", "d/b", "d/c", "d/e"} {
		if _, err := cache.Create(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if scarce.open > 3 || held.file == nil {
		t.Fatalf("%d files are open; the one in use is open: %v", scarce.open, held.file != nil)
	}
	entries, err := patient.List("d")
	if err != nil || !slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == "e" }) {
		t.Fatalf("%v %v", entries, err)
	}
}

func TestAWriterWaitsUntilAFileInUseIsReleased(t *testing.T) {
	cache := NewCache(NewMem(), 100)
	cache.SetMost(2)
	a, b, c := cache.Handle("a"), cache.Handle("b"), cache.Handle("c")
	for _, name := range []string{"a", "b", "c"} {
		if _, err := cache.fs.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*Handle{a, b} {
		if _, err := h.AcquireToWrite(); err != nil {
			t.Fatal(err)
		}
	}
	opened := make(chan error)
	go func() {
		_, err := c.AcquireToWrite()
		opened <- err
	}()
	if _, err := a.AcquireToWrite(); err != nil { // what is open needs no room
		t.Fatal(err)
	}
	a.Release()
	select {
	case err := <-opened:
		t.Fatalf("a third file was opened: %v", err)
	default:
	}
	a.Release()
	if err := <-opened; err != nil || cache.Open() != 2 {
		t.Fatalf("%d files are open: %v", cache.Open(), err)
	}
}
