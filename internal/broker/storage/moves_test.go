package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// runMoves carries out what is queued, for a manager that is driven by hand.
func runMoves(m *Manager) {
	for v := m.moves.next(); v != nil; v = m.moves.next() {
		m.carryOut(v)
	}
}

func twoDirs(c *Config, topic *config.Topic) {
	c.Dirs = []string{"a", "b"}
	topic.SegmentBytes, topic.IndexIntervalBytes, topic.RetentionBytes = 1500, 200, -1
	c.JournalFileBytes = 16 << 10
}

func (f *fixture) move(topic, dir string) {
	f.t.Helper()
	if err := f.m.Move(topic, 0, dir); err != nil {
		f.t.Fatalf("move to %s: %v", dir, err)
	}
}

// elsewhere returns the directory where the log is not.
func elsewhere(l *Log) string {
	if l.Dir() == "a" {
		return "b"
	}
	return "a"
}

// filesOf returns what there is of a topic, by directory.
func filesOf(fsys *vfs.Mem, topic string) map[string]int {
	found := map[string]int{}
	for _, name := range fsys.Files() {
		if strings.Contains(name, "/"+topic+"-0") {
			found[path.Dir(name)]++
		}
	}
	return found
}

// moveAway moves the log to the other directory.
func (r *crashRun) moveAway(round int) {
	r.do(fmt.Sprintf("asking for move %d", round), func() { r.move(crashTopic, elsewhere(r.l)) })
	r.do(fmt.Sprintf("move %d", round), func() {
		from := r.l.Dir()
		runMoves(r.m)
		if r.l.Dir() == from {
			r.t.Fatalf("move %d left the log in %s", round, from)
		}
	})
}

// moving appends, deletes and compacts between moves to and fro.
func (r *crashRun) moving() {
	for round := range 2 {
		r.do(fmt.Sprintf("appends before move %d", round), func() { r.produce(12); r.tick(1100) })
		r.moveAway(round)
		r.do("appends after the move", func() { r.produce(4) })
		r.do("truncation", func() { r.truncate(20) }) // also of what there was before the move
		r.do("appends in their place", func() { r.produce(6) })
		r.do("delete records", func() {
			start, err := r.l.DeleteRecordsBefore(r.now.durable - 11)
			if err != nil {
				r.t.Fatal(err)
			}
			r.now.logStart = start
		})
		r.do("checkpoint and deletion of files", func() { r.tick(1100); r.tick(11000) })
	}
	r.do("close", func() {
		if err := r.m.Close(); err != nil {
			r.t.Fatal(err)
		}
	})
}

func TestAMovedLogLosesNothingPromisedAtAnyCrashBoundary(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, mode := range []Durability{DurabilityOS, DurabilityGroup} {
			t.Run(fmt.Sprintf("%s shared %t", mode, shared), func(t *testing.T) {
				r := newCrashRun(t, mode, twoDirs)
				if shared {
					r.share()
					r.every = 2
				}
				r.moving()
				t.Logf("%d boundaries, 4 images each", r.taken)
			})
		}
	}
}

func TestACompactedLogThatIsMovedKeepsTheLastOfEveryKey(t *testing.T) {
	r := newCrashRun(t, DurabilityGroup, twoDirs)
	r.every = 2
	r.compaction()
	t.Logf("%d boundaries, 4 images each", r.taken)
}

func TestWhatWaitsForASyncIsDurableOnceItIsMoved(t *testing.T) {
	f := newFixture(t, twoDirs)
	l := f.create("t")
	l.SetDurability(DurabilityGroup)
	w := &watcher{}
	l.SetListener(w)
	for range 20 {
		f.append(l, 1)
	}
	f.move("t", "b")
	runMoves(f.m)
	if w.durable != 20 {
		t.Errorf("durable up to %d", w.durable)
	}
	f.append(l, 1)
	f.m.RunSyncs() // also the one that is queued where the log was
	if w.durable != 21 {
		t.Errorf("durable up to %d", w.durable)
	}
}

func TestAMovedLogLeavesNothingBehind(t *testing.T) {
	for _, records := range []int{0, 3, 40} {
		f := newFixture(t, twoDirs)
		l := f.create("t")
		for range records {
			f.append(l, 1)
		}
		from, to := l.Dir(), elsewhere(l)
		f.move("t", to)
		runMoves(f.m)
		if l.Dir() != to || len(f.m.Moves()) != 0 {
			t.Fatalf("the log is in %s, %v", l.Dir(), f.m.Moves())
		}
		f.append(l, 1)
		f.clock.ms += f.topic.FileDeleteDelayMs
		f.m.Tick()
		if files := filesOf(f.fs, "t"); len(files) != 1 || files[to+"/t-0"] == 0 {
			t.Errorf("with %d records there are %v, moved from %s to %s", records, files, from, to)
		}
		if err := f.m.Close(); err != nil {
			t.Fatal(err)
		}
		f.open(f.fs)
		if l := f.log("t"); l.Dir() != to || l.LogEndOffset() != int64(records+1) {
			t.Errorf("after a restart it is in %s, up to %d", l.Dir(), l.LogEndOffset())
		}
		checkContiguous(t, f.log("t"))
	}
}

// aboutToMove makes a log of several segments that is to go from a to b.
func aboutToMove(t *testing.T) (*fixture, *Log) {
	f := newFixture(t, twoDirs)
	l := f.create("t")
	for range 40 {
		f.append(l, 1)
	}
	f.move("t", "b")
	return f, l
}

// moveWith carries the moves out and uses the log before one of their changes to the file
// system, false if there are fewer.
func (f *fixture) moveWith(l *Log, step int, use func()) (used bool) {
	seen := 0
	var later sync.WaitGroup
	f.fs.SetHook(func(op vfs.Op) error {
		if !op.Kind.Changes() || used {
			return nil
		}
		if seen++; seen > step {
			used = true
			later.Go(use)
			if len(l.structural) == 0 { // otherwise it waits until the copy is in its place
				later.Wait()
			}
		}
		return nil
	})
	runMoves(f.m)
	later.Wait()
	f.fs.SetHook(nil)
	return used
}

// appendWaiting appends where others may be writing.
func appendWaiting(f *fixture, l *Log, records int) {
	done := make(chan struct{})
	a := &Append{Batches: batch(f.t, records, 100, f.clock.ms), Done: func(*Append) { close(done) }}
	l.Append(a)
	if <-done; a.Err != nil {
		f.t.Error(a.Err)
	}
}

// What else happens to a log goes on while it is copied, and is true of the copy.
func TestALogIsUsedWhileItIsMoved(t *testing.T) {
	uses := map[string]func(f *fixture, l *Log){
		"appended to": func(f *fixture, l *Log) { appendWaiting(f, l, 2) },
		"appended to and rolled": func(f *fixture, l *Log) {
			for range 10 {
				appendWaiting(f, l, 2)
			}
		},
		"deleted from": func(f *fixture, l *Log) {
			if _, err := l.DeleteRecordsBefore(31); err != nil {
				f.t.Error(err)
			}
		},
		"truncated": func(f *fixture, l *Log) {
			if _, err := l.TruncateTo(33); err != nil {
				f.t.Error(err)
			}
			appendWaiting(f, l, 1)
		},
		"sealed": func(f *fixture, l *Log) {
			if err := errors.Join(l.sync(), l.checkpoint(true)); err != nil {
				f.t.Error(err)
			}
		},
	}
	for name, use := range uses {
		for step := 0; ; step++ {
			f, l := aboutToMove(t)
			if !f.moveWith(l, step, func() { use(f, l) }) {
				break
			}
			start, _, end := l.Offsets()
			checkContiguous(t, l)
			if l.Dir() != "b" {
				t.Fatalf("%s at step %d: it is still in %s", name, step, l.Dir())
			}
			f.open(f.fs.CrashClone(vfs.Killed()))
			l = f.log("t")
			if l.Dir() != "b" || l.LogStartOffset() != start || l.LogEndOffset() != end {
				t.Fatalf("%s at step %d: after a crash it is in %s, from %d to %d, before from %d to %d",
					name, step, l.Dir(), l.LogStartOffset(), l.LogEndOffset(), start, end)
			}
			checkContiguous(t, l)
		}
	}
}

func TestAMoveEndsWhereItIsAskedToLast(t *testing.T) {
	for step := -1; ; step++ {
		f, l := aboutToMove(t)
		if step < 0 {
			f.move("t", "a") // before it has begun
			runMoves(f.m)
		} else if !f.moveWith(l, step, func() { f.move("t", "a") }) {
			break
		}
		runMoves(f.m) // if it had come to its end
		f.clock.ms += f.topic.FileDeleteDelayMs
		f.m.Tick()
		if files := filesOf(f.fs, "t"); l.Dir() != "a" || len(files) != 1 || len(f.m.Moves()) != 0 {
			t.Errorf("called back at step %d: it is in %s, %v", step, l.Dir(), files)
		}
		f.append(l, 1)
		checkContiguous(t, l)
	}
}

func TestADeletedLogIsNotMoved(t *testing.T) {
	for step := -1; ; step++ {
		f, l := aboutToMove(t)
		remove := func() {
			if err := f.m.Delete("t", 0); err != nil {
				t.Error(err)
			}
		}
		if step < 0 {
			remove()
			runMoves(f.m)
		} else if !f.moveWith(l, step, remove) {
			break
		}
		f.clock.ms += f.topic.FileDeleteDelayMs
		f.m.Tick()
		if files := filesOf(f.fs, "t"); len(files) != 0 || len(f.m.Moves()) != 0 || f.m.dirs[0].partitions+f.m.dirs[1].partitions != 0 {
			t.Errorf("deleted at step %d: %v is left, %v", step, files, f.m.Moves())
		}
	}
}

// Whatever goes wrong with a move, the log stays where it was or is where it was to go,
// with everything that was durable.
func TestAMoveThatFailsHarmsNothing(t *testing.T) {
	for _, cause := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		for step := 1; ; step++ {
			f, l := aboutToMove(t)
			seen := 0
			f.fs.SetHook(func(op vfs.Op) error {
				// A full disk does not fail what has its space.
				if op.Kind.Changes() && (cause == syscall.EIO || op.Kind != vfs.OpSync && op.Kind != vfs.OpSyncDir) {
					if seen++; seen == step {
						return cause
					}
				}
				return nil
			})
			runMoves(f.m)
			f.fs.SetHook(nil)
			if seen < step {
				break
			}
			if len(f.m.Moves()) != 0 {
				t.Fatalf("%v at step %d: it goes on with %v", cause, step, f.m.Moves())
			}
			f.clock.ms += 1100
			f.m.Tick() // there is space again
			a := append1(l, batch(t, 1, 100, f.clock.ms), 0)
			failed := errors.Join(f.m.dirs[0].health.Failure(), f.m.dirs[1].health.Failure())
			if a.Err != nil && failed == nil {
				t.Fatalf("%v at step %d: no directory failed, and an append gets %v", cause, step, a.Err)
			}
			if cause == syscall.ENOSPC && failed != nil {
				t.Fatalf("a full disk at step %d: %v", step, failed)
			}
			end := l.LogEndOffset()
			f.open(f.fs.CrashClone(vfs.Killed()))
			if got := f.log("t"); got.LogEndOffset() != end {
				t.Fatalf("%v at step %d: after a restart it ends at %d in %s, it was %d", cause, step, got.LogEndOffset(), got.Dir(), end)
			}
			runMoves(f.m)
			checkContiguous(t, f.log("t"))
		}
	}
}

func TestWhatCannotBeMovedIsRefused(t *testing.T) {
	f := newFixture(t, twoDirs)
	f.append(f.create("t"), 1)
	f.m.SetCordoned([]string{"b"})
	refused := func(topic, dir string, want protocol.ErrorCode) {
		t.Helper()
		if err := f.m.Move(topic, 0, dir); protocol.CodeOf(err) != want {
			t.Errorf("%.10s to %s: %v, want %s", topic, dir, err, want)
		}
	}
	refused("t", "c", protocol.LogDirNotFound)
	refused("t", "b", protocol.InvalidReplicaAssignment)
	f.m.SetCordoned(nil)
	refused("later", "b", protocol.ReplicaNotAvailable)
	refused("later", "a", protocol.ReplicaNotAvailable)
	refused("late", "b", protocol.ReplicaNotAvailable)
	for topic, want := range map[string]string{"later": "a", "late": "b"} {
		if dir := f.create(topic).Dir(); dir != want {
			t.Errorf("%s is created in %s", topic, dir)
		}
	}
	f.m.dirs[0].fail(errors.New("broken"))
	refused("t", "b", protocol.KafkaStorageError)
	if len(f.m.Moves()) != 0 {
		t.Errorf("%v", f.m.Moves())
	}
}

// withTwins has a partition in both directories, as a crash at the end of a move leaves it,
// and one more record in the one that is said.
func withTwins(t *testing.T, longer string) *fixture {
	f := newFixture(t, twoDirs)
	f.append(f.create("t"), 2)
	f.move("t", "b")
	var both *vfs.Mem
	f.fs.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpRename && op.Name == "a/t-0" {
			both = f.fs.CrashClone(vfs.Killed())
		}
		return nil
	})
	runMoves(f.m)
	f.cfg.Dirs = []string{longer}
	f.open(both)
	f.append(f.log("t"), 1)
	f.cfg.Dirs = []string{"a", "b"}
	f.fs = f.fs.CrashClone(vfs.Killed())
	return f
}

// stray is where the log that does not stay is kept.
func stray(stays string) string {
	return map[string]string{"a": "b", "b": "a"}[stays] + "/t-0." + topicID.String() + "-stray"
}

// Of two logs of one partition the one that reaches further stays: it has what was
// acknowledged last. The other is kept aside.
func TestOfTwoLogsOfAPartitionTheLongerStays(t *testing.T) {
	for _, longer := range []string{"a", "b"} {
		f := withTwins(t, longer)
		f.open(f.fs)
		l := f.log("t")
		if l.Dir() != longer || l.LogEndOffset() != 3 || f.m.dirs[0].partitions+f.m.dirs[1].partitions != 1 {
			t.Errorf("the log of %s stays, up to %d", l.Dir(), l.LogEndOffset())
		}
		if files := filesOf(f.fs, "t"); len(files) != 2 || files[stray(longer)] == 0 {
			t.Errorf("there are %v", files)
		}
		f.append(l, 1)
		if err := f.m.Close(); err != nil {
			t.Fatal(err)
		}
		f.open(f.fs)
		checkContiguous(t, f.log("t"))
	}
}

func TestWhatWasPutAsideBeforeIsNotGivenUp(t *testing.T) {
	f := withTwins(t, "b")
	if err := f.fs.MkdirAll(stray("b") + "/kept"); err != nil {
		t.Fatal(err)
	}
	f.cfg.FS = f.fs
	if _, err := Open(f.cfg); err == nil || !strings.Contains(err.Error(), "move that elsewhere") {
		t.Errorf("opened with %v", err)
	}
}

func TestLogsOfTwoTopicsOfOneNameAreNotDecidedBetween(t *testing.T) {
	f := newFixture(t, twoDirs)
	for i, dir := range []string{"a", "b"} {
		f.cfg.Dirs = []string{dir}
		f.open(f.fs.CrashClone(vfs.Killed()))
		l, err := f.m.Create("t", wire.UUID{byte(i + 1)}, 0, f.topic)
		if err != nil {
			t.Fatal(err)
		}
		f.append(l, i+1)
	}
	f.cfg.Dirs, f.cfg.FS = []string{"a", "b"}, f.fs.CrashClone(vfs.Killed())
	if _, err := Open(f.cfg); err == nil || !strings.Contains(err.Error(), "data directory b has t-0") {
		t.Errorf("opened with %v", err)
	}
}

// Producers and consumers do not notice that a log is moved to and fro under them.
func TestClientsDoNotNoticeMoves(t *testing.T) {
	topic := config.DefaultTopic()
	topic.SegmentBytes, topic.FileDeleteDelayMs = 64<<10, 0
	dirs := []string{path.Join(t.TempDir(), "a"), path.Join(t.TempDir(), "b")}
	m, err := Open(Config{Dirs: dirs, Topic: func(string) config.Topic { return topic }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	moved := make(chan wire.UUID, 100)
	m.StartMoves(func(id wire.UUID) { moved <- id })
	l, err := m.Create("t", topicID, 0, topic)
	if err != nil {
		t.Fatal(err)
	}
	l.SetDurability(DurabilityGroup)
	synced := &syncWaiter{}
	synced.changed.L = &synced.mu
	l.SetListener(synced)
	var stop atomic.Bool
	var clients sync.WaitGroup
	for producer := range 3 {
		clients.Go(func() { produceUntil(t, l, synced, int64(producer), &stop) })
	}
	clients.Go(func() {
		for next := int64(0); !stop.Load() || next < l.LogEndOffset(); {
			s, err := l.Read(next, 10_000, l.LogEndOffset(), true)
			if err != nil || s.FirstOffset > next {
				t.Errorf("reading at %d: %d, %v", next, s.FirstOffset, err)
				return
			}
			next = s.NextOffset
			s.Release()
		}
	})
	for i := range 10 {
		if err := m.Move("t", 0, dirs[(i+1)%2]); err != nil {
			t.Error(err)
		}
		<-moved
	}
	stop.Store(true)
	clients.Wait()
	end := l.LogEndOffset()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err = Open(m.cfg); err != nil {
		t.Fatal(err)
	}
	if l := m.Log("t", 0); l.LogEndOffset() != end {
		t.Errorf("it ends at %d, %d before", l.LogEndOffset(), end)
	}
	checkContiguous(t, m.Log("t", 0))
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// syncWaiter waits for a log to become durable.
type syncWaiter struct {
	mu      sync.Mutex
	changed sync.Cond
	durable int64
}

func (w *syncWaiter) Appended(int64) {}

func (w *syncWaiter) Failed(error) {}

func (w *syncWaiter) Durable(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.durable = offset
	w.changed.Broadcast()
}

func (w *syncWaiter) wait(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.durable <= offset {
		w.changed.Wait()
	}
}

// produceUntil appends one batch after the other, in sequence, each when the one before is
// durable.
func produceUntil(t *testing.T, l *Log, synced *syncWaiter, producer int64, stop *atomic.Bool) {
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch = producer, 0
	rng := rand.New(rand.NewPCG(uint64(producer), 1)) //nolint:gosec // a test's
	for seq := int32(0); !stop.Load(); {
		n := 1 + rng.IntN(3)
		spec.BaseSequence = seq
		done := make(chan struct{})
		a := &Append{Batches: batchOf(t, spec, n, 200, 1), Done: func(*Append) { close(done) }}
		l.Append(a)
		if <-done; a.Err != nil || a.Duplicate {
			t.Errorf("producer %d at %d: %v", producer, seq, a.Err)
			return
		}
		synced.wait(a.LastOffset)
		seq += int32(n) //nolint:gosec // small
	}
	known, err := l.Producers()
	if err != nil || !slices.ContainsFunc(known, func(p producerstate.Producer) bool { return p.ID == producer }) {
		t.Errorf("producer %d is not known: %v", producer, err)
	}
}
