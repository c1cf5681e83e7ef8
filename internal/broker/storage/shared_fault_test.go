package storage

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/datadir"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/vfs"
)

// failJournal lets the operations of one kind on the journal fail.
func failJournal(f *fixture, kind vfs.OpKind, err error) {
	f.fs.SetHook(func(op vfs.Op) error {
		if op.Kind == kind && strings.Contains(op.Name, "naru.journal") {
			return err
		}
		return nil
	})
}

func TestAJournalThatCannotBeTrustedFailsTheDirectory(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync} {
		for _, begun := range []bool{false, true} {
			f := newFixture(t)
			logs := shareLogs(f, 2)
			if begun {
				shareSync(f, logs)
			}
			before := logs[0].DurableOffset()
			failJournal(f, kind, syscall.EIO)
			shareSync(f, logs)
			if f.m.Dirs()[0].Err == nil {
				t.Errorf("%s fails, begun %v: the directory works on", kind, begun)
			}
			if got := logs[0].DurableOffset(); got != before {
				t.Errorf("%s fails, begun %v: durable went from %d to %d", kind, begun, before, got)
			}
		}
	}
}

func TestLogsAreSyncedByThemselvesWhenTheJournalHasNoRoomOnTheDisk(t *testing.T) {
	for _, torn := range []int{0, 10, 100} {
		for _, begun := range []bool{false, true} {
			f := newFixture(t)
			logs := shareLogs(f, 2)
			if begun {
				shareSync(f, logs)
			}
			failJournal(f, vfs.OpWrite, &vfs.TornWrite{N: torn, Err: syscall.ENOSPC})
			for range 3 {
				if n := shareSync(f, logs); n != 0 {
					t.Fatalf("%d logs share a sync that failed", n)
				}
				for _, l := range logs {
					f.m.dirs[0].schedule(l, true)
				}
				f.m.RunSyncs()
				checkPowerCut(f, logs)
			}
			f.fs.SetHook(nil)
			if n := shareSync(f, logs); n != 2 || f.m.Dirs()[0].Err != nil {
				t.Fatalf("%d logs share a sync after there is space, %v", n, f.m.Dirs()[0].Err)
			}
			for _, l := range logs {
				if _, durable, end := l.Offsets(); durable != end {
					t.Fatalf("%s ends at %d, durable is %d", l, end, durable)
				}
			}
			checkPowerCut(f, logs)
		}
	}
}

func TestManyLogsShareAsManySyncsAsTheyNeed(t *testing.T) {
	f := newFixture(t, func(cfg *Config, _ *config.Topic) { cfg.JournalFileBytes = 8 << 10 })
	logs := shareLogs(f, 20) // 1 KiB holds 4
	syncs := 0
	f.fs.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && !strings.Contains(op.Name, "naru.manifest") {
			syncs++
		}
		return nil
	})
	if n := shareSync(f, logs); n != len(logs) || syncs > 7 { // one of them begins the file
		t.Fatalf("%d of %d logs shared %d syncs", n, len(logs), syncs)
	}
	checkPowerCut(f, logs)
}

// What the journal has behind bytes that rotted away has no place in the segment: it
// is reported and kept, and its offsets are not used again.
func TestWhatTheJournalHasBehindAGapIsReportedAndKept(t *testing.T) {
	f := newFixture(t)
	logs := shareLogs(f, 2)
	shareSync(f, logs)
	durable, file := logs[0].DurableOffset(), logs[0].file(0, segmentfile.LogSuffix)
	crashed := f.fs.CrashClone(vfs.Crash{})
	crashed.Corrupt(file, func(b []byte) []byte { return b[:len(b)-7] })
	f.open(crashed)
	lost := false
	for _, d := range f.m.Damage() {
		if d.KeptAs != "" && d.ToOffset == durable {
			info, err := f.fs.Stat(d.KeptAs)
			lost = err == nil && info.Size > 0
		}
	}
	if !lost {
		t.Fatalf("not reported and kept: %v", f.m.Damage())
	}
	for range 2 { // a second crash finds the same
		if got := f.log("t0").LogEndOffset(); got != durable {
			t.Fatalf("the log goes on at %d, %d was durable", got, durable)
		}
		checkContiguous(t, f.log("t1"))
		f.append(f.log("t0"), 1)
		durable++
		f.open(f.fs.CrashClone(vfs.Killed()))
	}
}

// A program that knows no journal would lose what only the journal has.
func TestADirectoryWithAJournalIsRefusedByOlderPrograms(t *testing.T) {
	f := newFixture(t)
	version := func(fsys *vfs.Mem) byte {
		b, err := vfs.ReadFile(fsys, "data/"+datadir.ManifestFile)
		if err != nil {
			t.Fatal(err)
		}
		return b[11]
	}
	logs := shareLogs(f, 2)
	if got := version(f.fs); got != 1 {
		t.Fatalf("version %d without a journal", got)
	}
	f.fs.SetHook(func(op vfs.Op) error {
		if strings.Contains(op.Name, "naru.journal") && version(f.fs.CrashClone(vfs.Crash{})) != manifest.Version {
			return errors.New("an older program would not see the journal")
		}
		return nil
	})
	if n := shareSync(f, logs); n != 2 {
		t.Fatalf("%d logs share", n)
	}
	f.fs.SetHook(nil)
	after := &fixture{t: t, clock: f.clock, cfg: f.cfg, topic: f.topic}
	after.open(f.fs.CrashClone(vfs.Crash{}))
	if got := version(after.fs); got != 1 {
		t.Errorf("version %d after the recovery", got)
	}
	if err := f.m.Close(); err != nil {
		t.Fatal(err)
	}
	if got := version(f.fs); got != 1 {
		t.Errorf("version %d after a clean close", got)
	}
	for _, name := range f.fs.Files() {
		if strings.Contains(name, "journal") {
			t.Errorf("%s is there after a clean close", name)
		}
	}
}

// After a kill only segments with journaled batches that the manifest does not know as
// synced are synced before the journal goes.
func TestRecoverySyncsOnlyWhatTheJournalIsNeededFor(t *testing.T) {
	f := newFixture(t)
	logs := shareLogs(f, 10)
	shareSync(f, logs)
	f.clock.ms += 1100
	f.m.Tick()
	shareSync(f, logs[:2])
	crashed, syncs := f.fs.CrashClone(vfs.Killed()), 0
	crashed.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, segmentfile.LogSuffix) {
			syncs++
		}
		return nil
	})
	f.open(crashed)
	if syncs != 2 {
		t.Errorf("%d segments were synced, 2 were ahead of the manifest", syncs)
	}
}
