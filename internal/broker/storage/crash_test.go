package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/cleaner"
	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// acked is what a client was told by the time of a crash.
type acked struct {
	logStart int64            // a DeleteRecords that returned
	durable  int64            // the durable offset that was reported
	appended int64            // the log end that was reported
	cutTo    int64            // a truncation that may be under way; -1 if none
	payload  map[int64]uint32 // CRC by base offset of what was appended and not truncated
	sequence map[int64]int32  // last sequence by producer of what was reported durable
	deleted  bool
	keys     map[string][]int64 // offsets by key, if the log is compacted
}

// crashRun runs a workload and takes crash images at every boundary of it.
type crashRun struct {
	*fixture
	mode    Durability
	l       *Log
	now     acked
	taken   int
	step    string
	seeds   uint64
	every   int
	problem error
	beside  *besideLog // nil if no other log shares the syncs
	shared  int        // writes to the journal
}

// besideLog is a log whose appends share their syncs with those of the log under test.
type besideLog struct {
	l                 *Log
	durable, appended int64
}

// Appended implements Listener.
func (b *besideLog) Appended(end int64) { b.appended = end }

// Durable implements Listener.
func (b *besideLog) Durable(offset int64) { b.durable = offset }

// Failed implements Listener.
func (b *besideLog) Failed(error) {}

const besideTopic = "u"

// share adds a second log, so that syncs are shared.
func (r *crashRun) share() *crashRun {
	l, err := r.m.Create(besideTopic, wire.UUID{9}, 0, r.topic)
	if err != nil {
		r.t.Fatal(err)
	}
	r.beside = &besideLog{l: l}
	l.SetDurability(r.mode)
	l.SetListener(r.beside)
	return r
}

// check checks that what was promised is there.
func (b *besideLog) check(m *Manager, killed bool) error {
	promised := b.durable
	if killed {
		promised = b.appended
	}
	l := m.Log(besideTopic, 0)
	if l == nil {
		if promised > 0 {
			return errors.New("the other partition is gone")
		}
		return nil
	}
	if end := l.LogEndOffset(); end < promised {
		return fmt.Errorf("the other log ends at %d, %d was promised", end, promised)
	}
	known, err := l.Producers()
	if err != nil {
		return err
	}
	if promised > 0 {
		return checkProducer(known, 78, int32(promised-1))
	}
	return nil
}

// Appended implements Listener.
func (r *crashRun) Appended(end int64) { r.now.appended = end }

// Durable implements Listener.
func (r *crashRun) Durable(offset int64) { r.now.durable = offset }

// Failed implements Listener.
func (r *crashRun) Failed(error) {}

const crashTopic = "t"

func newCrashRun(t *testing.T, mode Durability, change ...func(*Config, *config.Topic)) *crashRun {
	r := &crashRun{mode: mode, seeds: 2, every: 1}
	r.now = acked{payload: map[int64]uint32{}, sequence: map[int64]int32{}, cutTo: -1}
	r.fixture = newFixture(t, append([]func(*Config, *config.Topic){func(cfg *Config, topic *config.Topic) {
		topic.SegmentBytes = 1500
		topic.IndexIntervalBytes = 200
		topic.RetentionBytes = -1
		topic.FileDeleteDelayMs = 50
		cfg.JournalFileBytes = 16 << 10
	}}, change...)...)
	r.l = r.create(crashTopic)
	r.l.SetDurability(mode)
	r.l.SetListener(r)
	r.fs.SetHook(r.boundary)
	return r
}

// boundary is called before every operation of the file system.
func (r *crashRun) boundary(op vfs.Op) error {
	if !op.Kind.Changes() || r.problem != nil {
		return nil //nolint:nilerr // the problem found is reported at the end
	}
	if strings.Contains(op.Name, "naru.journal") && op.Kind == vfs.OpWrite {
		r.shared++
	}
	if r.taken++; r.taken%r.every != 0 {
		return nil
	}
	r.image(vfs.Killed(), fmt.Sprintf("killed before %s %s during %s", op.Kind, op.Name, r.step))
	r.image(vfs.Crash{}, fmt.Sprintf("power lost before %s %s during %s", op.Kind, op.Name, r.step))
	for seed := range r.seeds {
		c := vfs.Crash{Keep: 0.6, Tear: 0.3, Seed: uint64(r.taken)*31 + seed}
		r.image(c, fmt.Sprintf("power lost (seed %d) before %s %s during %s", c.Seed, op.Kind, op.Name, r.step))
	}
	return nil
}

// image opens what a crash would leave now and checks it.
func (r *crashRun) image(c vfs.Crash, what string) {
	clone := r.fs.CrashClone(c)
	if err := r.check(clone, c.SameBoot); err != nil && r.problem == nil {
		r.problem = fmt.Errorf("%s: %w", what, err)
	}
}

func (r *crashRun) check(fsys *vfs.Mem, killed bool) error {
	cfg := r.cfg
	cfg.FS = fsys
	m, err := Open(cfg)
	if err != nil {
		return fmt.Errorf("does not start: %w", err)
	}
	if d := m.Damage(); len(d) > 0 && (killed || r.mode == DurabilityGroup && !onlySetAside(d)) {
		return fmt.Errorf("reports damage: %v", d)
	}
	if r.beside != nil {
		if err := r.beside.check(m, killed); err != nil {
			return err
		}
	}
	l := m.Log(crashTopic, 0)
	if l == nil {
		if r.now.durable > 0 && !r.now.deleted {
			return errors.New("the partition is gone")
		}
		return m.Close()
	}
	for range 2 {
		if err := r.checkLog(l, killed); err != nil {
			return fmt.Errorf("%w (in %s, segments %v, start %d, end %d)", err, l.Dir(), l.Segments(), l.LogStartOffset(), l.LogEndOffset())
		}
		runMoves(m) // one that the crash interrupted
	}
	return r.checkGoesOn(m, l)
}

// onlySetAside tells damage that only keeps unsynced bytes for the curious.
func onlySetAside(found []damage.Damage) bool {
	for _, d := range found {
		if d.FromOffset >= 0 || d.KeptAs == "" && d.File == "" {
			return false
		}
	}
	return true
}

// checkLog checks that everything promised is there, and nothing else.
func (r *crashRun) checkLog(l *Log, killed bool) error {
	start, _, end := l.Offsets()
	promised := r.now.durable
	if killed {
		promised = r.now.appended
	}
	if r.now.cutTo >= 0 {
		promised = min(promised, r.now.cutTo)
	}
	if end < promised {
		return fmt.Errorf("ends at %d, %d was promised", end, promised)
	}
	if start < r.now.logStart && r.now.logStart <= promised {
		return fmt.Errorf("starts at %d, deleted up to %d", start, r.now.logStart)
	}
	if start > end {
		return fmt.Errorf("starts at %d, ends at %d", start, end)
	}
	last := map[string]int64{}
	next := start
	for next < end {
		s, err := l.Read(next, 1000, end, true)
		if err != nil || s.Length == 0 {
			return fmt.Errorf("reading at %d gives %d bytes: %w", next, s.Length, err)
		}
		b := make([]byte, s.Length)
		_, err = s.ReadAt(b, 0)
		s.Release()
		if err != nil {
			return fmt.Errorf("reading at %d: %w", next, err)
		}
		for len(b) > 0 {
			bt, rest, err := record.Next(b)
			if err == nil {
				err = bt.CheckCRC()
			}
			if err != nil {
				return fmt.Errorf("reading at %d: %w", next, err)
			}
			if r.now.keys != nil {
				if err := noteKeys(last, bt); err != nil {
					return err
				}
				next, b = bt.NextOffset(), rest
				continue
			}
			if bt.BaseOffset() > next {
				return fmt.Errorf("offsets %d to %d are missing", next, bt.BaseOffset()-1)
			}
			if want, ok := r.now.payload[bt.BaseOffset()]; bt.BaseOffset() < promised && (!ok || want != bt.CRC()) {
				return fmt.Errorf("the batch at %d is not the one appended", bt.BaseOffset())
			}
			next, b = bt.NextOffset(), rest
		}
	}
	return r.checkKeys(last, end)
}

func noteKeys(last map[string]int64, b record.Batch) error {
	it, err := b.Iterate(nil)
	if err != nil {
		return err
	}
	for it.Next() {
		last[string(it.Record.Key)] = it.Record.Offset
	}
	return it.Err()
}

// checkKeys checks that the last record of every key is there.
func (r *crashRun) checkKeys(last map[string]int64, end int64) error {
	for key, offsets := range r.now.keys {
		want := int64(-1)
		for _, o := range offsets {
			if o < end {
				want = o
			}
		}
		if got, ok := last[key]; want >= 0 && (!ok || got != want) {
			return fmt.Errorf("the last record of %s is at %d, found at %d", key, want, got)
		}
	}
	return nil
}

// checkGoesOn checks that producers are known, that the log can be written, closed
// and opened again.
func (r *crashRun) checkGoesOn(m *Manager, l *Log) error {
	known, err := l.Producers()
	if err != nil {
		return fmt.Errorf("producers: %w", err)
	}
	if r.now.cutTo < 0 && !r.now.deleted {
		for id, seq := range r.now.sequence {
			if err := checkProducer(known, id, seq); err != nil {
				return err
			}
		}
	}
	before := l.LogEndOffset()
	a := append1(l, batch(r.t, 2, 50, r.clock.ms), 9)
	if a.Err != nil || a.BaseOffset != before {
		return fmt.Errorf("append at %d after recovery: %d %w", before, a.BaseOffset, a.Err)
	}
	m.Tick()
	if err := m.Close(); err != nil {
		return fmt.Errorf("close after recovery: %w", err)
	}
	cfg := m.cfg
	again, err := Open(cfg)
	if err != nil {
		return fmt.Errorf("open after recovery and close: %w", err)
	}
	l2 := again.Log(crashTopic, 0)
	if l2 == nil || l2.LogEndOffset() != before+2 || l2.LogStartOffset() != l.LogStartOffset() {
		return fmt.Errorf("after recovery, append and close: %+v", l2)
	}
	s, err := l2.Read(before, 1000, before+2, true)
	if err != nil || s.Length == 0 {
		return fmt.Errorf("reading the record appended after recovery: %w", err)
	}
	s.Release()
	return again.Close()
}

func checkProducer(known []producerstate.Producer, id int64, seq int32) error {
	for _, p := range known {
		if p.ID == id {
			if p.LastSequence < seq {
				return fmt.Errorf("producer %d is known up to sequence %d, %d was reported durable", id, p.LastSequence, seq)
			}
			return nil
		}
	}
	return fmt.Errorf("producer %d is forgotten", id)
}

// produce appends n batches of an idempotent producer.
func (r *crashRun) produce(n int) {
	r.t.Helper()
	for range n {
		const id = 77
		spec := record.DefaultSpec()
		spec.ProducerID, spec.ProducerEpoch = id, 0
		spec.BaseSequence = int32(r.now.appended) // every record of the log is this producer's
		b := batchOf(r.t, spec, 2, 60, r.clock.ms)
		r.now.payload[r.now.appended] = record.Batch(b).CRC()
		a := append1(r.l, b, 3)
		if a.Err != nil {
			r.t.Fatalf("%s: %v", r.step, a.Err)
		}
		r.sync()
		r.clock.ms += 100
		if r.now.durable == r.now.appended {
			r.now.sequence[id] = int32(a.LastOffset)
		}
	}
}

// sync syncs what was appended, together with an append to the other log.
func (r *crashRun) sync() {
	r.t.Helper()
	if r.beside != nil {
		spec := record.DefaultSpec()
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 78, 0, int32(r.beside.appended)
		if a := append1(r.beside.l, batchOf(r.t, spec, 1, 30, r.clock.ms), 0); a.Err != nil {
			r.t.Fatalf("%s: %v", r.step, a.Err)
		}
	}
	r.m.RunSyncs()
}

func (r *crashRun) do(step string, f func()) {
	r.t.Helper()
	r.step = step
	f()
	r.image(vfs.Crash{}, "power lost after "+step)
	r.image(vfs.Killed(), "killed after "+step)
	if r.problem != nil {
		r.t.Fatal(r.problem)
	}
}

func (r *crashRun) tick(ms int64) {
	r.clock.ms += ms
	r.m.Tick()
}

// truncate takes the last records away.
func (r *crashRun) truncate(records int64) {
	r.t.Helper()
	to := r.now.appended - records
	r.now.cutTo = to - to%2
	end, err := r.l.TruncateTo(to)
	if err != nil || end > to {
		r.t.Fatalf("truncate: %d %v", end, err)
	}
	for base := range r.now.payload {
		if base >= end {
			delete(r.now.payload, base)
		}
	}
	r.now.appended, r.now.durable = end, min(end, r.now.durable)
	r.now.cutTo, r.now.sequence = -1, map[int64]int32{}
}

// workload goes through everything a log does.
func (r *crashRun) workload() {
	r.do("first appends", func() { r.produce(3) })
	r.do("appends with rolls", func() { r.produce(20) })
	r.do("checkpoint", func() { r.tick(1100) })
	r.do("snapshot and manifest sync", func() { r.tick(11000); r.tick(11000) })
	r.do("appends behind the checkpoint", func() { r.produce(6) })
	r.do("delete records", func() {
		at := r.now.durable - 20
		start, err := r.l.DeleteRecordsBefore(at)
		if err != nil || start != at {
			r.t.Fatalf("delete records: %d %v", start, err)
		}
		r.now.logStart = start
	})
	r.do("deletion of files", func() { r.tick(1000) })
	r.do("retention", func() {
		r.topic.RetentionBytes = 3000
		r.l.SetConfig(r.topic)
		r.l.SetDurability(r.mode)
		r.m.EnforceRetention()
		r.now.logStart = r.l.LogStartOffset()
	})
	r.do("truncation", func() { r.truncate(7) })
	r.do("appends after the truncation", func() { r.produce(8); r.tick(1100) })
	r.do("roll and seal", func() { r.produce(12); r.tick(1100); r.tick(11000) })
	r.do("close", func() {
		if err := r.m.Close(); err != nil {
			r.t.Fatal(err)
		}
	})
}

// compaction appends keyed records and compacts them, several times. With two directories
// the log is moved each time.
func (r *crashRun) compaction() {
	r.topic.CleanupPolicy = []string{"compact"}
	r.topic.MinCleanableDirtyRatio = 0.01
	r.l.SetConfig(r.topic)
	r.l.SetDurability(r.mode)
	r.now.keys = map[string][]int64{}
	bl := &record.Builder{}
	i := 0
	keyed := func(n int) {
		for range n {
			bl.Reset(record.DefaultSpec())
			for range 2 {
				key := fmt.Sprintf("k%d", i*i%7)
				if err := bl.Append(r.clock.ms, []byte(key), make([]byte, 100)); err != nil {
					r.t.Fatal(err)
				}
				r.now.keys[key] = append(r.now.keys[key], int64(i))
				i++
			}
			b, err := bl.Build(nil)
			if err != nil {
				r.t.Fatal(err)
			}
			if a := append1(r.l, b, 0); a.Err != nil {
				r.t.Fatal(a.Err)
			}
			r.sync()
		}
		r.tick(1100)
		r.l.OnHighWatermark(r.l.LogEndOffset())
	}
	r.do("keyed appends", func() { keyed(30) })
	for round := range 3 {
		r.do(fmt.Sprintf("compaction %d", round), func() { r.clean() })
		if len(r.cfg.Dirs) > 1 {
			r.moveAway(round)
		}
		r.do("deletion of compacted segments", func() { r.tick(2000) })
		r.do("more keyed appends", func() { keyed(9) })
	}
	if size, before := r.l.Size(), int64(i*110); size > before/2 {
		r.t.Fatalf("compaction left %d of %d bytes", size, before)
	}
	r.do("close", func() {
		if err := r.m.Close(); err != nil {
			r.t.Fatal(err)
		}
	})
}

func (r *crashRun) clean() {
	for _, c := range r.m.Compactable() {
		p, err := c.Picture()
		if err != nil {
			r.t.Fatal(err)
		}
		_, err = cleaner.Clean(r.t.Context(), c, cleaner.Make(p, r.clock.ms), p.Policy, r.clock.ms, cleaner.Limits{
			DedupeBufferBytes: 1 << 20, BufferBytes: 1 << 16, Pace: func(context.Context, int) error { return nil },
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestACompactedLogKeepsTheLastOfEveryKeyAtAnyCrashBoundary(t *testing.T) {
	for _, mode := range []Durability{DurabilityOS, DurabilityGroup} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newCrashRun(t, mode)
			r.compaction()
			t.Logf("%d boundaries", r.taken)
		})
	}
}

func TestNothingPromisedIsLostWhereLogsShareTheirSyncs(t *testing.T) {
	for name, work := range map[string]func(*crashRun){"workload": (*crashRun).workload, "compaction": (*crashRun).compaction} {
		t.Run(name, func(t *testing.T) {
			r := newCrashRun(t, DurabilityGroup).share()
			r.every = 3
			work(r)
			t.Logf("%d boundaries, 4 images each, %d writes to the journal", r.taken, r.shared)
			if r.shared < 30 {
				t.Errorf("only %d writes to the journal: the syncs were not shared", r.shared)
			}
		})
	}
}

func TestNothingPromisedIsLostAtAnyCrashBoundary(t *testing.T) {
	for _, mode := range []Durability{DurabilityOS, DurabilityGroup} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newCrashRun(t, mode)
			r.workload()
			t.Logf("%d boundaries, 4 images each", r.taken)
		})
	}
}
