package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// sharer is one of several logs that share syncs, and what was promised of it.
type sharer struct {
	l                 *Log
	id                wire.UUID
	appended, durable int64
	cutTo             int64            // a truncation may be under way; -1 if none
	payload           map[int64]uint32 // CRC by base offset
}

// Appended implements Listener.
func (s *sharer) Appended(end int64) { s.appended = end }

// Durable implements Listener.
func (s *sharer) Durable(offset int64) { s.durable = offset }

// Failed implements Listener.
func (s *sharer) Failed(error) {}

// check checks that a log has what was promised.
func (s *sharer) check(m *Manager, name string, killed bool) error {
	promised := s.durable
	if killed {
		promised = s.appended
	}
	if s.cutTo >= 0 {
		promised = min(promised, s.cutTo)
	}
	l := m.Log(name, 0)
	if promised == 0 {
		return nil
	}
	if l == nil || l.TopicID() != s.id {
		return fmt.Errorf("%s is gone", name)
	}
	start, _, end := l.Offsets()
	if end < promised {
		return fmt.Errorf("%s ends at %d, %d was promised", name, end, promised)
	}
	for next := start; next < end; {
		slice, err := l.Read(next, 1<<20, end, true)
		if err != nil || slice.Length == 0 {
			return fmt.Errorf("%s: reading at %d gives %d bytes: %w", name, next, slice.Length, err)
		}
		b := make([]byte, slice.Length)
		_, err = slice.ReadAt(b, 0)
		slice.Release()
		if err != nil {
			return err
		}
		for len(b) > 0 {
			bt, rest, err := record.Next(b)
			if err != nil {
				return err
			}
			if want, ok := s.payload[bt.BaseOffset()]; bt.BaseOffset() != next || bt.CheckCRC() != nil || bt.BaseOffset() < promised && (!ok || want != bt.CRC()) {
				return fmt.Errorf("%s: the batch at %d is not the one that was appended at %d", name, bt.BaseOffset(), next)
			}
			next, b = bt.NextOffset(), rest
		}
	}
	return nil
}

// sharing is a random run of several logs with power cuts everywhere.
type sharing struct {
	*fixture
	rng     *rand.Rand
	logs    map[string]*sharer
	names   []string
	ids     byte
	images  int
	problem error
}

func newSharing(t *testing.T, seed uint64) *sharing {
	s := &sharing{rng: rand.New(rand.NewPCG(seed, 1)), logs: map[string]*sharer{}, names: []string{"a", "b", "c"}}
	s.fixture = newFixture(t, func(cfg *Config, topic *config.Topic) {
		topic.SegmentBytes = 4000
		topic.FileDeleteDelayMs = 50
		cfg.JournalFileBytes = 8 << 10
	})
	for _, name := range s.names {
		s.begin(name, s.newID())
	}
	s.fs.SetHook(func(op vfs.Op) error {
		if op.Kind.Changes() && s.problem == nil && s.rng.IntN(6) == 0 {
			s.crash(fmt.Sprintf("before %s %s", op.Kind, op.Name))
		}
		return nil
	})
	return s
}

func (s *sharing) newID() wire.UUID {
	s.ids++
	return wire.UUID{s.ids}
}

func (s *sharing) begin(name string, id wire.UUID) {
	sh := &sharer{id: id, cutTo: -1, payload: map[int64]uint32{}}
	l, err := s.m.Create(name, sh.id, 0, s.topic)
	if err != nil {
		s.t.Fatal(err)
	}
	sh.l = l
	l.SetDurability(DurabilityGroup)
	l.SetListener(sh)
	s.logs[name] = sh
}

// crash checks what a crash leaves now, and what a power cut leaves right after the
// recovery from it.
func (s *sharing) crash(when string) {
	s.images++
	c := vfs.Crash{Keep: s.rng.Float64(), Tear: 0.3, Seed: s.rng.Uint64()}
	switch s.rng.IntN(4) {
	case 0:
		c = vfs.Crash{}
	case 1:
		c = vfs.Killed()
	}
	fsys := s.fs.CrashClone(c)
	for n, killed := range []bool{c.SameBoot, false} {
		cfg := s.cfg
		cfg.FS = fsys
		m, err := Open(cfg)
		for name, sh := range s.logs {
			if err == nil {
				err = sh.check(m, name, killed)
			}
		}
		if err == nil && !onlySetAside(m.Damage()) {
			err = fmt.Errorf("reports damage: %v", m.Damage())
		}
		if err != nil {
			s.problem = fmt.Errorf("crash %+v %s, recovery %d: %w", c, when, n+1, err)
			return
		}
		fsys = fsys.CrashClone(vfs.Crash{})
	}
}

func (s *sharing) step() {
	name := s.names[s.rng.IntN(len(s.names))]
	sh := s.logs[name]
	switch n := s.rng.IntN(40); {
	case n == 0:
		s.clock.ms += 1100
		s.m.Tick()
	case n < 3 && sh.appended > 4:
		to := sh.appended - int64(1+s.rng.IntN(4))
		sh.cutTo = to - 1 // a batch of two may reach over it
		end, err := sh.l.TruncateTo(to)
		if err != nil {
			s.t.Fatal(err)
		}
		for base := range sh.payload {
			if base >= end {
				delete(sh.payload, base)
			}
		}
		sh.appended, sh.durable, sh.cutTo = end, min(end, sh.durable), -1
	case n == 3:
		delete(s.logs, name)
		if err := s.m.Delete(name, 0); err != nil {
			s.t.Fatal(err)
		}
		if s.rng.IntN(2) == 0 {
			s.begin(name, sh.id) // the partition comes back
		} else {
			s.begin(name, s.newID())
		}
	default:
		for _, i := range s.rng.Perm(len(s.names))[:1+s.rng.IntN(len(s.names))] {
			sh := s.logs[s.names[i]]
			b := batch(s.t, 1+s.rng.IntN(2), 10+s.rng.IntN(100), s.clock.ms+int64(s.rng.IntN(1000)))
			sh.payload[sh.appended] = record.Batch(b).CRC()
			if a := append1(sh.l, b, 1); a.Err != nil {
				s.t.Fatal(a.Err)
			}
		}
		if s.rng.IntN(4) > 0 { // a truncation may come before the syncs
			s.m.RunSyncs()
		}
		s.clock.ms += 10
	}
}

// shareLogs creates logs whose syncs can be shared.
func shareLogs(f *fixture, n int) []*Log {
	f.t.Helper()
	var logs []*Log
	for i := range n {
		l, err := f.m.Create(fmt.Sprintf("t%d", i), wire.UUID{byte(i + 1)}, 0, f.topic)
		if err != nil {
			f.t.Fatal(err)
		}
		l.SetDurability(DurabilityGroup)
		f.append(l, 1)
		logs = append(logs, l)
	}
	f.m.RunSyncs() // their first sync is their own
	return logs
}

// shareSync appends to each log and has them synced together; it returns how many were.
func shareSync(f *fixture, logs []*Log) int {
	f.t.Helper()
	for _, l := range logs {
		f.append(l, 1)
	}
	var members []member
	for _, l := range logs {
		members = append(members, member{l, l.dir()})
	}
	return len(logs) - len(f.m.dirs[0].syncs.SyncShared(members))
}

// checkPowerCut checks that a power cut now leaves everything that is durable.
func checkPowerCut(f *fixture, logs []*Log) {
	f.t.Helper()
	after := &fixture{t: f.t, clock: f.clock, cfg: f.cfg, topic: f.topic}
	after.open(f.fs.CrashClone(vfs.Crash{}))
	for _, l := range logs {
		if got, want := after.log(l.Topic()).LogEndOffset(), l.DurableOffset(); got < want {
			f.t.Fatalf("%s ends at %d after a power cut, %d was durable; damage %v", l, got, want, after.m.Damage())
		}
	}
}

// A file of the journal is not begun anew while a segment lacks what it has: the logs
// are synced by themselves then, and share again afterwards.
func TestTheJournalWaitsForTheSegments(t *testing.T) {
	f := newFixture(t, func(cfg *Config, _ *config.Topic) { cfg.JournalFileBytes = 8 << 10 })
	logs := shareLogs(f, 2)
	n := 0
	for shareSync(f, logs) == 2 {
		checkPowerCut(f, logs)
		if n++; n > 100 {
			t.Fatal("both files of the journal were begun anew although no segment was synced")
		}
	}
	if n < 30 {
		t.Fatalf("%d shared syncs fit into two files", n)
	}
	f.m.RunSyncs()
	for _, l := range logs {
		if _, durable, end := l.Offsets(); durable != end {
			t.Fatalf("%s ends at %d, durable is %d", l, end, durable)
		}
	}
	if shareSync(f, logs) != 2 {
		t.Error("nothing is shared after the segments were synced")
	}
	checkPowerCut(f, logs)
}

// Logs that share syncs keep what was promised whenever the power goes, and when it
// goes again right after the recovery.
func TestSharedSyncsSurvivePowerCutsAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	images := 0
	for i := range uint64(12) {
		s := newSharing(t, seed+i)
		for range 150 {
			if s.step(); s.problem != nil {
				t.Fatalf("seed %d: %v", seed+i, s.problem)
			}
		}
		images += s.images
	}
	t.Logf("seed %d: %d crash images", seed, images)
}
