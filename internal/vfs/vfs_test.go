package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"syscall"
	"testing"
)

func both(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, OS{}, t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		must(t, m.MkdirAll("/data"))
		test(t, m, "/data")
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriteVecWritesEveryBufferInOrder(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		f, err := fsys.Create(path.Join(dir, "a"))
		must(t, err)
		var bufs [][]byte
		var want []byte
		for i := range 2500 { // more than one pwritev takes
			b := bytes.Repeat([]byte{byte(i)}, i%7)
			bufs = append(bufs, b)
			want = append(want, b...)
		}
		n, err := f.WriteVec(bufs, 3)
		must(t, err)
		if n != int64(len(want)) {
			t.Fatalf("wrote %d of %d", n, len(want))
		}
		must(t, f.Sync())
		must(t, f.Close())
		got, err := ReadFile(fsys, path.Join(dir, "a"))
		must(t, err)
		if !bytes.Equal(got, append([]byte{0, 0, 0}, want...)) {
			t.Fatal("the bytes differ")
		}
	})
}

func TestNamesCanBeListedRenamedAndRemoved(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		must(t, fsys.MkdirAll(path.Join(dir, "p/q")))
		must(t, WriteFileAtomic(fsys, path.Join(dir, "p/b"), []byte("1")))
		must(t, WriteFileSynced(fsys, path.Join(dir, "p/a"), []byte("22")))
		must(t, fsys.Rename(path.Join(dir, "p/a"), path.Join(dir, "p/b")))
		entries, err := fsys.List(path.Join(dir, "p"))
		must(t, err)
		if len(entries) != 2 || entries[0] != (Entry{Name: "b"}) || entries[1] != (Entry{Name: "q", Dir: true}) {
			t.Fatalf("entries %v", entries)
		}
		if _, err := fsys.Open(path.Join(dir, "p/a")); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the old name: %v", err)
		}
		info, err := fsys.Stat(path.Join(dir, "p/b"))
		must(t, err)
		if info.Size != 2 {
			t.Fatalf("size %d", info.Size)
		}
		must(t, fsys.RemoveAll(path.Join(dir, "p")))
		if ok, err := Exists(fsys, path.Join(dir, "p")); ok || err != nil {
			t.Fatalf("still there: %v %v", ok, err)
		}
	})
}

func TestASecondLockIsRefusedWithTheHoldersPID(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		l, err := fsys.Lock(path.Join(dir, ".lock"))
		must(t, err)
		var locked *LockedError
		if _, err := fsys.Lock(path.Join(dir, ".lock")); !errors.As(err, &locked) {
			t.Fatalf("second lock: %v", err)
		}
		if _, isOS := fsys.(OS); isOS && locked.PID == 0 {
			t.Fatal("no process id")
		}
		must(t, l.Close())
		l, err = fsys.Lock(path.Join(dir, ".lock"))
		must(t, err)
		must(t, l.Close())
	})
}

func TestACrashKeepsWhatWasSyncedAndLosesTheRest(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("d"))
	must(t, m.SyncDir("/"))
	f, err := m.Create("d/a")
	must(t, err)
	_, err = f.WriteAt([]byte("synced"), 0)
	must(t, err)
	must(t, f.Sync())
	if ok, _ := Exists(m.CrashClone(Crash{}), "d/a"); ok {
		t.Fatal("a name without a directory sync survived")
	}
	must(t, m.SyncDir("d"))
	_, err = f.WriteAt([]byte(" lost"), 6)
	must(t, err)
	must(t, m.Rename("d/a", "d/b"))

	got, err := ReadFile(m.CrashClone(Crash{}), "d/a")
	must(t, err)
	if string(got) != "synced" {
		t.Fatalf("after the crash: %q", got)
	}
	got, err = ReadFile(m.CrashClone(Killed()), "d/b")
	must(t, err)
	if string(got) != "synced lost" {
		t.Fatalf("after the kill: %q", got)
	}
	if m.CrashClone(Killed()).BootID() != m.BootID() || m.CrashClone(Crash{}).BootID() == m.BootID() {
		t.Fatal("boot ids")
	}
}

func TestATornWriteKeepsWholeSectors(t *testing.T) {
	m := NewMem()
	f, err := m.Create("a")
	must(t, err)
	must(t, m.SyncDir("/"))
	_, err = f.WriteAt(bytes.Repeat([]byte{7}, 5000), 0)
	must(t, err)
	tornSeen := false
	for seed := range uint64(20) {
		got, err := ReadFile(m.CrashClone(Crash{Keep: 0.999, Tear: 1, Seed: seed}), "a")
		must(t, err)
		for i, b := range got {
			if b != got[i/sector*sector] {
				t.Fatalf("seed %d: byte %d differs within its sector", seed, i)
			}
			tornSeen = tornSeen || b == 0
		}
	}
	if !tornSeen {
		t.Fatal("nothing was torn")
	}
}

func TestFaultsCanBeInjected(t *testing.T) {
	m := NewMem()
	f, err := m.Create("a")
	must(t, err)
	m.SetHook(func(op Op) error {
		switch op.Kind {
		case OpWrite:
			return &TornWrite{N: 2, Err: syscall.EIO}
		case OpSync:
			return syscall.EIO
		default:
			return nil
		}
	})
	if n, err := f.WriteAt([]byte("abc"), 0); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("torn write: %d %v", n, err)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	m.SetHook(nil)
	m.FillDisk(3)
	n, err := f.WriteAt([]byte("xxxxxx"), 2)
	if n != 3 || !IsNoSpace(err) {
		t.Fatalf("full disk: %d %v", n, err)
	}
}

func TestAFileStaysReadableThroughItsRange(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		cache := NewCache(fsys, 2)
		h, err := cache.Create(path.Join(dir, "a"))
		must(t, err)
		r, err := h.Range(1, 3)
		must(t, err)
		_, err = r.File.WriteAt([]byte("abcde"), 0)
		must(t, err)
		for _, name := range []string{"b", "c", "d", "e"} { // pushes idle files out
			_, err := cache.Create(path.Join(dir, name))
			must(t, err)
		}
		must(t, fsys.Remove(path.Join(dir, "a")))
		h.Drop()
		var b [3]byte
		if _, err := r.ReadAt(b[:], 0); err != nil || string(b[:]) != "bcd" {
			t.Fatalf("read %q %v", b, err)
		}
		r.Release()
		if _, err := h.Acquire(); !errors.Is(err, ErrDropped) {
			t.Fatalf("acquired a dropped file: %v", err)
		}
		if cache.Open() > 2 {
			t.Fatalf("%d files are open, the limit is 2", cache.Open())
		}
	})
}

func TestAnEvictedFileIsOpenedAgain(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		cache := NewCache(fsys, 1)
		var handles []*Handle
		for _, name := range []string{"a", "b", "c"} {
			h, err := cache.Create(path.Join(dir, name))
			must(t, err)
			f, err := h.Acquire()
			must(t, err)
			_, err = f.WriteAt([]byte(name), 0)
			must(t, err)
			h.Release()
			handles = append(handles, h)
		}
		must(t, fsys.Rename(path.Join(dir, "a"), path.Join(dir, "z")))
		handles[0].Renamed(path.Join(dir, "z"))
		for range 3 {
			for i, h := range handles {
				f, err := h.Acquire()
				must(t, err)
				var b [1]byte
				if _, err := f.ReadAt(b[:], 0); err != nil || b[0] != "abc"[i] {
					t.Fatalf("handle %d: %q %v", i, b, err)
				}
				h.Release()
			}
		}
	})
}
