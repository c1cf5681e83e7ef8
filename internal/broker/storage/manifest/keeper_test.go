package manifest

import (
	"errors"
	"syscall"
	"testing"

	"github.com/naru-stream/naru/internal/vfs"
)

// keep returns a Keeper of a manifest that describes one partition, and how often the file
// was written anew.
func keep(t *testing.T, fs *vfs.Mem) (*Keeper, *int) {
	rewritten := 0
	k := NewKeeper(KeeperConfig{
		FS: fs, Name: "/m", NowMs: func() int64 { return 7 }, Failure: func() error { return nil }, ReleaseReserve: func() bool { return false },
		Describe: func(b []byte) []byte {
			rewritten++
			return AppendPartition(b, &Partition{ID: 1, Topic: "t"})
		},
	})
	if err := k.Create(); err != nil {
		t.Fatal(err)
	}
	return k, &rewritten
}

func content(t *testing.T, fs *vfs.Mem) *State {
	t.Helper()
	b, err := vfs.ReadFile(fs, "/m")
	if err != nil {
		t.Fatal(err)
	}
	state, err := Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestEditsWaitWhileTheDiskIsFull(t *testing.T) {
	fs := vfs.NewMem()
	k, _ := keep(t, fs)
	fs.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite {
			return &vfs.TornWrite{N: 3, Err: syscall.ENOSPC}
		}
		return nil
	})
	k.Add(func(b []byte) []byte { return AppendPartition(b, &Partition{ID: 2, Topic: "u"}) })
	for range 2 {
		if err := k.Write(true); !vfs.IsNoSpace(err) {
			t.Fatal(err)
		}
	}
	if state := content(t, fs); len(state.Partitions) != 1 || state.Reason != nil {
		t.Fatalf("%+v", state)
	}
	fs.SetHook(nil)
	k.Add(func(b []byte) []byte { return AppendPartition(b, &Partition{ID: 3, Topic: "v"}) })
	if err := k.Write(true); err != nil {
		t.Fatal(err)
	}
	if state := content(t, fs); len(state.Partitions) != 3 || state.Reason != nil {
		t.Fatalf("%+v", state)
	}
}

func TestAManifestThatHasGrownIsWrittenAnew(t *testing.T) {
	fs := vfs.NewMem()
	k, rewritten := keep(t, fs)
	for range 3 {
		k.Add(func(b []byte) []byte {
			for range maxSlack / 8 {
				b = AppendDrop(b, 9)
			}
			return b
		})
		if err := k.Write(false); err != nil {
			t.Fatal(err)
		}
	}
	if *rewritten < 2 {
		t.Errorf("written anew %d times", *rewritten)
	}
	if state := content(t, fs); len(state.Partitions) != 1 {
		t.Fatalf("%+v", state)
	}
}

func TestNothingIsWrittenInAFailedDirectory(t *testing.T) {
	fs := vfs.NewMem()
	k, _ := keep(t, fs)
	broken := errors.New("broken")
	k.cfg.Failure = func() error { return broken }
	k.Add(func(b []byte) []byte { return AppendDrop(b, 1) })
	if err := k.Write(true); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if state := content(t, fs); len(state.Partitions) != 1 {
		t.Fatalf("%+v", state)
	}
}
