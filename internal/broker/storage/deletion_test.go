package storage

import (
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// Topics are deleted while their last appends are being synced. A failed sync fails
// the directory, but files that are gone on purpose are no failure.
func TestADeletionBetweenTheStepsOfASyncFailsNothing(t *testing.T) {
	for _, how := range []string{"created", "killed"} {
		for step := 0; ; step++ {
			f := newFixture(t)
			f.append(f.create("t"), 3)
			if how == "killed" { // no file is open and nothing is known to be synced
				f.open(f.fs.CrashClone(vfs.Killed()))
				f.append(f.log("t"), 1)
			}
			l := f.log("t")
			f.append(l, 1)
			seen, done := 0, false
			f.fs.SetHook(func(vfs.Op) error {
				if seen++; !done && seen > step {
					done = true
					return f.m.Delete("t", 0)
				}
				return nil
			})
			if err := l.sync(); err != nil {
				t.Fatalf("%s, deleted before step %d of a sync: %v", how, step, err)
			}
			f.fs.SetHook(nil)
			if !done {
				break // every step was tried
			}
		}
	}
}

// A topic's name may be so long that nothing can be added to that of its directory.
func TestAPartitionWithTheLongestNameIsDeleted(t *testing.T) {
	name := strings.Repeat("x", 249)
	f := newFixture(t)
	f.append(f.create(name), 3)
	f.fs.SetHook(func(op vfs.Op) error { // a crash behind the first step finds it deleted, too
		if op.Kind == vfs.OpSyncDir {
			clone := newFixture(t)
			clone.open(f.fs.CrashClone(vfs.Killed()))
			if l := clone.m.Log(name, 0); l != nil {
				t.Error("it is back after a crash")
			}
		}
		return nil
	})
	if err := f.m.Delete(name, 0); err != nil {
		t.Fatal(err)
	}
	f.fs.SetHook(nil)
	f.clock.ms += f.topic.FileDeleteDelayMs
	f.m.Tick()
	for _, file := range f.fs.Files() {
		if strings.Contains(file, "xxx") {
			t.Errorf("%s is left", file)
		}
	}
}

func TestADeletedLogWritesNothingIntoItsSuccessor(t *testing.T) {
	f := newFixture(t)
	old := f.create("t")
	f.append(old, 3)
	if err := f.m.Delete("t", 0); err != nil {
		t.Fatal(err)
	}
	l, err := f.m.Create("t", wire.UUID{9}, 0, f.topic)
	if err != nil {
		t.Fatal(err)
	}
	f.append(l, 1)
	before, err := f.fs.List(l.path())
	if err != nil {
		t.Fatal(err)
	}
	if err := old.checkpoint(true); err != nil {
		t.Fatal(err)
	}
	if after, err := f.fs.List(l.path()); err != nil || len(after) != len(before) {
		t.Fatalf("files %v, before %v, %v", after, before, err)
	}
	if err := f.m.Close(); err != nil {
		t.Fatal(err)
	}
	f.open(f.fs)
	if end := f.log("t").LogEndOffset(); end != 1 {
		t.Fatalf("the new log ends at %d", end)
	}
}
