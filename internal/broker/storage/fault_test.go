package storage

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// watcher records what a listener is told.
type watcher struct {
	appended, durable int64
	failed            error
}

func (w *watcher) Appended(end int64)   { w.appended = end }
func (w *watcher) Durable(offset int64) { w.durable = offset }
func (w *watcher) Failed(err error)     { w.failed = err }

func TestAFullDiskRefusesAppendsUntilThereIsSpaceAgain(t *testing.T) {
	for _, free := range []int64{0, 10, 100, 5000} {
		t.Run(fmt.Sprint(free), func(t *testing.T) {
			f := newFixture(t, func(c *Config, topic *config.Topic) {
				topic.SegmentBytes = 2000
				c.ReserveBytes = 4096
			})
			l := f.create("t")
			l.SetDurability(DurabilityGroup)
			for range 5 {
				f.append(l, 2)
			}
			f.m.RunSyncs()
			f.fs.FillDisk(free)
			refused := false
			for range 40 {
				a := append1(l, batch(t, 2, 100, f.clock.ms), 0)
				if a.Err != nil {
					refused = true
					if protocol.CodeOf(a.Err) != protocol.KafkaStorageError || !protocol.CodeOf(a.Err).Retriable() {
						t.Fatalf("refused with %v", a.Err)
					}
				}
				f.m.RunSyncs()
			}
			if !refused {
				t.Fatal("nothing was refused")
			}
			checkContiguous(t, l)
			if info := f.m.Dirs()[0]; info.Err != nil || !info.Full {
				t.Fatalf("the directory: %+v", info)
			}
			end := l.LogEndOffset()
			if _, err := l.DeleteRecordsBefore(3); err != nil {
				t.Fatalf("deleting records on a full disk: %v", err)
			}
			// whatever happens now, the log is there again
			clone := &fixture{t: t, clock: f.clock, cfg: f.cfg, topic: f.topic}
			clone.open(f.fs.CrashClone(vfs.Crash{}))
			if got := clone.log("t").LogEndOffset(); got < l.DurableOffset() {
				t.Fatalf("after a crash the log ends at %d, durable was %d", got, l.DurableOffset())
			}
			f.fs.FillDisk(math.MaxInt64)
			f.clock.ms += 1100
			f.m.Tick()
			a := append1(l, batch(t, 2, 100, f.clock.ms), 0)
			if a.Err != nil || a.BaseOffset != end {
				t.Fatalf("append after space came back: %d, want %d, %v", a.BaseOffset, end, a.Err)
			}
			checkContiguous(t, l)
			if err := f.m.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestARefusedBatchMayBeSentAgain(t *testing.T) {
	f := newFixture(t)
	l := f.create("t")
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch = 5, 0
	send := func(seq int32) *Append {
		spec.BaseSequence = seq
		return &Append{Batches: batchOf(t, spec, 2, 50, 0), Done: func(*Append) {}}
	}
	l.Append(send(0))
	f.fs.FillDisk(20)
	first, again := send(2), send(2)
	l.exclusive(func() { l.Append(first); l.Append(again) }) // one write for both
	if first.Err == nil || again.Err == nil {
		t.Fatalf("answered as written: %v, and its retry %v", first.Err, again.Err)
	}
	f.fs.FillDisk(math.MaxInt64)
	f.m.Tick()
	third := send(2)
	if l.Append(third); third.Err != nil || third.Duplicate || third.BaseOffset != 2 {
		t.Fatalf("sent again: %+v", third)
	}
	checkContiguous(t, l)
}

func TestAFullDiskStillClosesInOrder(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *config.Topic) { c.ReserveBytes = 8192 })
	l := f.create("t")
	for range 5 {
		f.append(l, 2)
	}
	f.fs.FillDisk(0)
	if a := append1(l, batch(t, 2, 100, f.clock.ms), 0); a.Err == nil {
		t.Fatal("appended on a full disk")
	}
	if err := f.m.Close(); err != nil {
		t.Fatal(err)
	}
	fsys := f.fs.CrashClone(vfs.Crash{})
	f.open(fsys)
	if f.log("t").LogEndOffset() != 10 || len(f.m.Damage()) > 0 {
		t.Fatalf("after the close: %d %v", f.log("t").LogEndOffset(), f.m.Damage())
	}
}

// TestWhatIsKeptOfAFullDiskIsForThoseWhoDrainIt: below MinFreeBytes clients are
// refused and coordinators are not; when even that is used up, the metadata log goes
// on in the reserve, and the node starts again.
func TestWhatIsKeptOfAFullDiskIsForThoseWhoDrainIt(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *config.Topic) { c.MinFreeBytes, c.ReserveBytes = 1<<20, 64<<10 })
	logs := map[string]*Log{}
	for _, name := range []string{"client", "coordinator", "vital"} {
		logs[name] = f.create(name)
		logs[name].SetDurability(DurabilityGroup)
	}
	write := func(name string) error {
		a := &Append{Batches: batch(t, 2, 100, f.clock.ms), Done: func(*Append) {}, Vital: name == "vital"}
		if name != "client" {
			a.Origin = OriginCoordinator
		}
		logs[name].Append(a)
		f.m.RunSyncs()
		return a.Err
	}
	expect := func(when string, served ...string) {
		t.Helper()
		for name := range logs {
			err := write(name)
			if want := slices.Contains(served, name); want != (err == nil) {
				t.Errorf("%s: %s gets %v", when, name, err)
			}
			if err != nil && protocol.CodeOf(err) != protocol.KafkaStorageError {
				t.Errorf("%s: %s gets %v, want a retriable storage error", when, name, err)
			}
		}
	}
	later := func() {
		f.clock.ms += 1100
		f.m.dirs[0].health.CheckSpace()
	}
	expect("space", "client", "coordinator", "vital")
	f.fs.FillDisk(1 << 19)
	later()
	expect("below what is kept", "coordinator", "vital")
	f.fs.FillDisk(0)
	_ = write("coordinator") // finds it out
	expect("no space at all", "vital")
	end := logs["vital"].LogEndOffset()
	if _, err := f.m.Create("new", topicID, 0, f.topic); err != nil {
		t.Fatalf("a partition on a full disk: %v", err)
	}
	crashed := f.fs.CrashClone(vfs.Crash{})
	crashed.FillDisk(48 << 10) // what is left of the reserve
	f.open(crashed)
	for name := range logs {
		logs[name] = f.log(name)
	}
	expect("started on a full disk", "vital")
	if got := logs["vital"].LogEndOffset(); got <= end {
		t.Errorf("the vital log ends at %d, before the restart at %d", got, end)
	}
	f.fs.FillDisk(1 << 19)
	later()
	expect("some space again", "coordinator", "vital")
	f.fs.FillDisk(math.MaxInt64)
	later()
	expect("space again", "client", "coordinator", "vital")
}

// TestADirectoryOutlivesALackOfDescriptors: every operation that opens something is
// told several times that there are none left, as happens when clients open
// connections without end.
func TestADirectoryOutlivesALackOfDescriptors(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpCreate, vfs.OpSyncDir} {
		t.Run(string(kind), func(t *testing.T) {
			f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 1500 })
			l := f.create("t")
			l.SetDurability(DurabilityGroup)
			refused := 0
			f.fs.SetHook(func(op vfs.Op) error {
				if op.Kind == kind && refused < 5 {
					refused++
					return syscall.EMFILE
				}
				return nil
			})
			for range 12 {
				f.append(l, 2)
				f.m.RunSyncs()
			}
			if info := f.m.Dirs()[0]; refused < 5 || info.Err != nil || info.Full {
				t.Fatalf("after %d refusals: %+v", refused, info)
			}
			if l.DurableOffset() != 24 {
				t.Fatalf("durable up to %d of 24", l.DurableOffset())
			}
			checkContiguous(t, l)
		})
	}
}

func TestAFailedWriteOrSyncFailsTheDirectoryForGood(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir, vfs.OpCreate} {
		t.Run(string(kind), func(t *testing.T) {
			f := newFixture(t)
			l := f.create("t")
			l.SetDurability(DurabilityGroup)
			w := &watcher{}
			l.SetListener(w)
			broken := true
			f.fs.SetHook(func(op vfs.Op) error {
				if op.Kind == kind && broken && strings.Contains(op.Name, "t-0") {
					return syscall.EIO
				}
				return nil
			})
			a := append1(l, batch(t, 2, 100, 0), 0)
			f.m.RunSyncs()
			if w.durable != 0 {
				t.Fatalf("durable up to %d although it failed", w.durable)
			}
			if w.failed == nil || protocol.CodeOf(w.failed) != protocol.KafkaStorageError {
				t.Fatalf("the listener was told %v", w.failed)
			}
			broken = false // the disk looks well again: it is not to be believed
			b := append1(l, batch(t, 2, 100, 0), 0)
			f.m.Tick()
			if protocol.CodeOf(b.Err) != protocol.KafkaStorageError {
				t.Fatalf("append in a failed directory: %v (the first one: %v)", b.Err, a.Err)
			}
			if w.durable != 0 {
				t.Fatal("durable in a failed directory")
			}
			if f.m.Dirs()[0].Err == nil {
				t.Fatal("the directory is not reported as failed")
			}
			if err := f.m.Close(); err == nil {
				t.Fatal("a failed directory was closed as clean")
			}
		})
	}
}

func TestEveryOperationMayFail(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 1500 })
		l := f.create("t")
		l.SetDurability(DurabilityGroup)
		w := &watcher{}
		l.SetListener(w)
		count, hit := 0, ""
		f.fs.SetHook(func(op vfs.Op) error {
			if count++; count == n {
				hit = fmt.Sprintf("%s %s", op.Kind, op.Name)
				return syscall.EIO
			}
			return nil
		})
		var end int64
		for range 12 {
			if a := append1(l, batch(t, 2, 100, f.clock.ms), 0); a.Err == nil {
				end = a.LastOffset + 1
			}
			f.m.RunSyncs()
		}
		f.clock.ms += 12000
		f.m.Tick()
		f.clock.ms += 12000
		f.m.Tick()
		_, _ = l.DeleteRecordsBefore(min(5, end))
		_, _ = l.TruncateTo(end - 2)
		durable := min(w.durable, l.LogEndOffset())
		_ = f.m.Close()
		f.fs.SetHook(nil)
		if hit == "" {
			if n < 50 {
				t.Fatalf("only %d operations", n)
			}
			return
		}
		f.open(f.fs.CrashClone(vfs.Crash{}))
		l = f.m.Log("t", 0)
		if l == nil {
			if durable > 0 {
				t.Fatalf("%s failed: the partition is gone", hit)
			}
			continue
		}
		if l.LogEndOffset() < min(durable, end-2) {
			t.Fatalf("%s failed: the log ends at %d, durable was %d", hit, l.LogEndOffset(), durable)
		}
		checkContiguous(t, l)
	}
}

func TestDamageIsFoundAndReportedAndNeverPanics(t *testing.T) {
	changes := map[string]func([]byte, int) []byte{
		"flip":     func(b []byte, at int) []byte { b[at] ^= 0x20; return b },
		"truncate": func(b []byte, at int) []byte { return b[:at] },
		"zero":     func(b []byte, at int) []byte { clear(b[at:min(len(b), at+64)]); return b },
	}
	for name, change := range changes {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/clean=%v", name, clean), func(t *testing.T) {
				base := damageFixture(t, clean)
				for _, file := range base.fs.Files() {
					info, err := base.fs.Stat(file)
					if err != nil {
						t.Fatal(err)
					}
					for at := 0; at < int(info.Size); at += 1 + int(info.Size)/23 {
						damageOnce(t, base, file, func(b []byte) []byte { return change(b, at) })
					}
				}
			})
		}
	}
}

// damageFixture is a log with segments, indexes, a producer snapshot and a tail.
func damageFixture(t *testing.T, clean bool) *crashRun {
	r := newCrashRun(t, DurabilityGroup)
	r.fs.SetHook(nil)
	r.produce(30)
	r.tick(12000)
	r.tick(12000)
	known := r.now.durable
	r.produce(3) // behind the checkpoint a torn tail and rot look the same
	if !clean {
		r.now.durable = known
	}
	if clean {
		if err := r.m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r.fs = r.fs.CrashClone(vfs.Crash{})
	return r
}

// damageOnce damages a file: the storage starts or says why not, what it reads is
// undamaged or an error, and what is missing is reported.
func damageOnce(t *testing.T, r *crashRun, file string, change func([]byte) []byte) {
	t.Helper()
	fsys := r.fs.CrashClone(vfs.Crash{})
	fsys.Corrupt(file, change)
	cfg := r.cfg
	cfg.FS = fsys
	m, err := Open(cfg)
	if err != nil {
		if !strings.HasSuffix(file, "naru.meta") {
			t.Fatalf("%s: does not start: %v", file, err)
		}
		return
	}
	l := m.Log(crashTopic, 0)
	if l == nil {
		t.Fatalf("%s: the partition is gone, damage %v", file, m.Damage())
	}
	lost := readWithDamage(t, file, l)
	if lost && len(m.Damage()) == 0 {
		t.Fatalf("%s: records are missing and nothing is reported", file)
	}
	if end := l.LogEndOffset(); end < r.now.durable {
		t.Fatalf("%s: the log ends at %d, %d was durable: offsets would be used twice", file, end, r.now.durable)
	}
	_, _ = l.Producers()
	_, _, _ = l.MaxTimestamp()
	if a := append1(l, batch(t, 1, 10, 0), 9); a.Err != nil {
		t.Fatalf("%s: append: %v", file, a.Err)
	}
	if err := m.Close(); err != nil {
		t.Fatalf("%s: close: %v", file, err)
	}
}

// readWithDamage reads the log past what cannot be read, and tells whether records
// are missing without an error that says so.
func readWithDamage(t *testing.T, file string, l *Log) bool {
	start, _, end := l.Offsets()
	missing := false
	for next := start; next < end; {
		s, err := l.Read(next, 500, end, true)
		if err != nil {
			next++
			continue
		}
		if s.Length == 0 {
			return true
		}
		missing = missing || s.FirstOffset > next
		if s.NextOffset <= next {
			t.Fatalf("%s: a read at %d goes on at %d", file, next, s.NextOffset)
		}
		next = s.NextOffset
		s.Release()
	}
	return missing
}

func TestCodesTellWhatIsWrong(t *testing.T) {
	f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 2000 })
	l := f.create("t")
	if a := append1(l, batch(t, 30, 100, 0), 0); protocol.CodeOf(a.Err) != protocol.RecordListTooLarge {
		t.Fatalf("larger than a segment: %v", a.Err)
	}
	if a := append1(l, []byte("nonsense"), 0); protocol.CodeOf(a.Err) != protocol.CorruptMessage {
		t.Fatalf("no batch: %v", a.Err)
	}
	if _, err := f.m.Create("t", [16]byte{9}, 0, f.topic); protocol.CodeOf(err) != protocol.InconsistentTopicId {
		t.Fatalf("another topic id: %v", err)
	}
	var out *OffsetRangeError
	if _, err := l.DeleteRecordsBefore(1); !errors.As(err, &out) {
		t.Fatalf("deleting behind the end: %v", err)
	}
	if err := f.m.Delete("t", 0); err != nil {
		t.Fatal(err)
	}
	if a := append1(l, batch(t, 1, 1, 0), 0); protocol.CodeOf(a.Err) != protocol.UnknownTopicOrPartition {
		t.Fatalf("append to a deleted log: %v", a.Err)
	}
}
