package storage

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/cleaner"
	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

var histories = flag.Int("histories", 150, "how many random histories of compacted logs are played")

const (
	historyDeleteRetentionMs = 3000
	historyProducers         = 3
)

// written is a record as it was appended.
type written struct {
	key, value []byte
	timestamp  int64
	producer   int64 // -1: not in a transaction
	aborted    bool
	// coveredMs is when a cleaning first reached it, 0: none has.
	coveredMs int64
}

// compactionHistory is a compacted log on a file system that crashes, beside everything
// that was ever written to it.
type compactionHistory struct {
	*fixture
	rng   *rand.Rand
	mode  Durability
	l     *Log
	all   []written // by offset; markers have no producer and no key
	start int64     // below it records were deleted
	state *producerstate.State
	open  map[int64]int64 // first offset of the open transaction, by producer
	epoch map[int64]int16
	seq   map[int64]int32
	bl    record.Builder
}

func newCompactionHistory(t *testing.T, seed uint64) *compactionHistory {
	h := &compactionHistory{
		rng: rand.New(rand.NewPCG(seed, 11)), state: producerstate.New(producerstate.Limits{}),
		open: map[int64]int64{}, epoch: map[int64]int16{}, seq: map[int64]int32{},
	}
	h.mode = Durability(h.rng.IntN(2))
	h.fixture = newFixture(t, func(_ *Config, topic *config.Topic) {
		topic.CleanupPolicy = []string{"compact"}
		topic.MinCleanableDirtyRatio = 0.01
		topic.DeleteRetentionMs = historyDeleteRetentionMs
		topic.SegmentBytes, topic.IndexIntervalBytes = 700, 200
		topic.FileDeleteDelayMs = 50
	})
	h.l = h.create(crashTopic)
	h.l.SetDurability(h.mode)
	return h
}

// step appends, ends a transaction, or deletes what is oldest.
func (h *compactionHistory) step() {
	h.clock.ms += int64(h.rng.IntN(300))
	id := int64(h.rng.IntN(historyProducers))
	switch n := h.rng.IntN(20); {
	case n < 7:
		h.data(-1)
	case n < 14:
		h.data(id)
	case n < 19:
		h.end(id, h.rng.IntN(2) == 0)
	default:
		at := h.start + h.rng.Int64N(h.stable()-h.start+1)/4
		if _, err := h.l.DeleteRecordsBefore(at); err != nil {
			h.t.Fatal(err)
		}
		h.start = h.l.LogStartOffset()
	}
}

func (h *compactionHistory) stable() int64 {
	at, err := h.l.LastStableOffset(h.l.LogEndOffset())
	if err != nil {
		h.t.Fatal(err)
	}
	return at
}

// data appends a batch, in the producer's transaction if there is a producer.
func (h *compactionHistory) data(id int64) {
	spec := record.DefaultSpec()
	n := 1 + h.rng.IntN(4)
	base := int64(len(h.all))
	if id >= 0 {
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = id, h.epoch[id], h.seq[id], true
		h.seq[id] += int32(n)
		if _, ok := h.open[id]; !ok {
			h.open[id] = base
		}
	}
	h.bl.Reset(spec)
	for i := range n {
		w := written{key: fmt.Appendf(nil, "k%d", h.rng.IntN(6)), value: fmt.Appendf(nil, "%d", base+int64(i)), timestamp: h.clock.ms, producer: id}
		if h.rng.IntN(4) == 0 {
			w.value = nil
		}
		h.all = append(h.all, w)
		if err := h.bl.Append(w.timestamp, w.key, w.value); err != nil {
			h.t.Fatal(err)
		}
	}
	b, err := h.bl.Build(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.append(&Append{Batches: b, Origin: OriginClient})
}

// end ends the producer's transaction, if there is one.
func (h *compactionHistory) end(id int64, commit bool) {
	first, ok := h.open[id]
	if !ok {
		return
	}
	delete(h.open, id)
	version := int16(0)
	if h.rng.IntN(2) == 0 { // KIP-890: the marker carries the next epoch
		version = 2
		h.epoch[id]++
		h.seq[id] = 0
	}
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch = id, h.epoch[id]
	marker := record.EndTxnMarker{Type: record.ControlAbort}
	if commit {
		marker.Type = record.ControlCommit
	}
	b, err := record.AppendEndTxn(nil, spec, marker, h.clock.ms, &h.bl)
	if err != nil {
		h.t.Fatal(err)
	}
	for o := first; !commit && o < int64(len(h.all)); o++ {
		if h.all[o].producer == id {
			h.all[o].aborted = true
		}
	}
	h.all = append(h.all, written{producer: -1, aborted: true})
	h.append(&Append{Batches: b, Origin: OriginCoordinator, TransactionVersion: version})
}

func (h *compactionHistory) append(a *Append) {
	a.LeaderEpoch, a.Done = 4, func(*Append) {}
	h.l.Append(a)
	if a.Err != nil || a.LastOffset != int64(len(h.all))-1 {
		h.t.Fatalf("append of %s: offsets up to %d, want %d: %v", record.Batch(a.Batches), a.LastOffset, len(h.all)-1, a.Err)
	}
	if _, err := h.state.Prepare(a.Batches, a.Origin, a.TransactionVersion, h.clock.ms); err != nil {
		h.t.Fatal(err)
	}
	h.state.Commit()
	h.m.RunSyncs()
	h.l.OnHighWatermark(h.l.LogEndOffset())
}

var errCrashed = errors.New("the machine is off")

// clean cleans, and has the machine crash at some operation of it or after it. What is
// on the disk then goes on.
func (h *compactionHistory) clean() {
	h.clock.ms += 1100
	h.m.Tick() // syncs, so that segments are sealed
	how := vfs.Killed()
	if h.mode == DurabilityGroup && h.rng.IntN(2) == 0 {
		how = vfs.Crash{Keep: 0.6, Tear: 0.3, Seed: h.rng.Uint64()}
	}
	var left *vfs.Mem
	at, ops, end := 1+h.rng.IntN(40), 0, int64(0)
	h.fs.SetHook(func(op vfs.Op) error {
		if left == nil && op.Kind.Changes() {
			if ops++; ops == at {
				left = h.fs.CrashClone(how)
			}
		}
		if left != nil && op.Kind.Changes() {
			return errCrashed
		}
		return nil
	})
	for _, c := range h.m.Compactable() {
		p, err := c.Picture()
		if err != nil {
			h.t.Fatal(err)
		}
		plan := cleaner.Make(p, h.clock.ms)
		end = plan.EndOffset
		_, err = cleaner.Clean(h.t.Context(), c, plan, p.Policy, h.clock.ms, cleaner.Limits{
			DedupeBufferBytes: int64(24 * (2 + h.rng.IntN(20))), BufferBytes: 1 + h.rng.IntN(2000), Pace: func(context.Context, int) error { return nil },
		})
		if err != nil && left == nil {
			h.t.Fatal(err)
		}
	}
	for o := range min(end, int64(len(h.all))) {
		if h.all[o].coveredMs == 0 {
			h.all[o].coveredMs = h.clock.ms
		}
	}
	if left == nil && h.rng.IntN(2) == 0 {
		left = h.fs.CrashClone(how)
	}
	h.fs.SetHook(nil)
	if left != nil {
		h.restart(left)
	}
	h.clock.ms += 100
	h.m.Tick() // removes what was replaced
}

// restart starts again with what a crash left.
func (h *compactionHistory) restart(left *vfs.Mem) {
	h.fixture.open(left)
	if d := h.m.Damage(); len(d) > 0 && !onlySetAside(d) {
		h.t.Fatalf("damage after the crash: %v", d)
	}
	h.l = h.log(crashTopic)
	h.l.SetDurability(h.mode)
	h.l.OnHighWatermark(h.l.LogEndOffset())
}

// check holds what the log holds against what was written.
func (h *compactionHistory) check() {
	end, stable := h.l.LogEndOffset(), h.stable()
	if end != int64(len(h.all)) || h.l.LogStartOffset() > h.start {
		h.t.Fatalf("the log has offsets %d to %d, want %d to %d", h.l.LogStartOffset(), end, h.start, len(h.all))
	}
	aborted, err := h.l.AbortedTransactions(h.l.LogStartOffset(), end)
	if err != nil {
		h.t.Fatal(err)
	}
	cleaned := int64(0)
	for _, c := range h.m.Compactable() {
		p, err := c.Picture()
		if err != nil {
			h.t.Fatal(err)
		}
		cleaned = p.CleanedOffset
	}
	found := map[int64]bool{} // offsets
	last := map[string]int64{}
	for _, b := range h.batches() {
		ended := slices.ContainsFunc(aborted, func(a producerstate.AbortedTxn) bool {
			return b.IsTransactional() && a.ProducerID == b.ProducerID() && a.FirstOffset <= b.BaseOffset() && b.BaseOffset() < a.LastOffset
		})
		if b.IsControl() {
			continue
		}
		it, err := b.Iterate(nil)
		if err != nil {
			h.t.Fatal(err)
		}
		for it.Next() {
			r := &it.Record
			w := h.all[r.Offset]
			if !bytes.Equal(r.Key, w.key) || !bytes.Equal(r.Value, w.value) || (r.Value == nil) != (w.value == nil) || r.Timestamp != w.timestamp {
				h.t.Fatalf("the record at %d is %q=%q, was %q=%q", r.Offset, r.Key, r.Value, w.key, w.value)
			}
			found[r.Offset] = true
			if r.Offset < h.start || r.Offset >= stable || ended {
				continue
			}
			if w.aborted {
				h.t.Fatalf("the aborted record at %d is shown", r.Offset)
			}
			if old, ok := last[string(r.Key)]; ok && r.Offset < cleaned {
				h.t.Fatalf("%s is at %d and %d, although all is clean up to %d", r.Key, old, r.Offset, cleaned)
			}
			last[string(r.Key)] = r.Offset
		}
		if it.Err() != nil {
			h.t.Fatal(it.Err())
		}
	}
	h.checkLast(found, last, stable)
	h.checkProducers()
}

// batches reads all that is left, gaps and all.
func (h *compactionHistory) batches() (all []record.Batch) {
	for next := h.l.LogStartOffset(); next < h.l.LogEndOffset(); {
		s, err := h.l.Read(next, int32(1+h.rng.IntN(2000)), h.l.LogEndOffset(), true)
		if err != nil {
			h.t.Fatal(err)
		}
		b := make([]byte, s.Length)
		_, err = s.ReadAt(b, 0)
		s.Release()
		if err != nil {
			h.t.Fatal(err)
		}
		if len(b) == 0 {
			return all // nothing is left behind next
		}
		for len(b) > 0 {
			batch, rest, err := record.Next(b)
			if err == nil {
				err = batch.CheckCRC()
			}
			if err != nil {
				h.t.Fatal(err)
			}
			all, next, b = append(all, batch), batch.NextOffset(), rest
		}
	}
	return all
}

// checkLast checks that the last committed record of each key is there, and everything
// that is not decided.
func (h *compactionHistory) checkLast(found map[int64]bool, last map[string]int64, stable int64) {
	want := map[string]int64{}
	for o := h.start; o < int64(len(h.all)); o++ {
		w := &h.all[o]
		switch {
		case w.key == nil:
		case o >= stable:
			if !found[o] {
				h.t.Fatalf("the record at %d, behind the stable offset %d, is gone", o, stable)
			}
		case !w.aborted:
			want[string(w.key)] = o
		}
	}
	for key, o := range want {
		got, ok := last[key]
		w := &h.all[o]
		switch {
		case ok && got == o:
		case !ok && w.value == nil && w.coveredMs > 0 && h.clock.ms >= w.coveredMs+historyDeleteRetentionMs:
		default:
			h.t.Fatalf("the last record of %s is at %d (%q, covered at %d, now %d), found at %d %v", key, o, w.value, w.coveredMs, h.clock.ms, got, ok)
		}
	}
}

// checkProducers checks that the log remembers its producers.
func (h *compactionHistory) checkProducers() {
	known, err := h.l.Producers()
	if err != nil {
		h.t.Fatal(err)
	}
	got := map[int64]producerstate.Producer{}
	for _, p := range known {
		got[p.ID] = p
	}
	for want := range h.state.All() {
		p := got[want.ID]
		if p.Epoch != want.Epoch || p.LastSequence != want.LastSequence || p.TxnFirstOffset != want.TxnFirstOffset {
			h.t.Fatalf("producer %+v is remembered as %+v", want, p)
		}
	}
}

// TestRandomHistoriesOfCompactedLogsWithCrashes plays random histories (keys, tombstones,
// committed, aborted and open transactions, deleted records) and cleans the log, while
// the machine crashes at any operation of the cleaning, so also in the middle of a swap.
func TestRandomHistoriesOfCompactedLogsWithCrashes(t *testing.T) {
	for seed := range uint64(*histories) {
		if !t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			h := newCompactionHistory(t, seed)
			for range 4 {
				for range 10 + h.rng.IntN(20) {
					h.step()
				}
				h.clean()
				h.check()
			}
			for _, id := range slices.Sorted(maps.Keys(h.open)) {
				h.end(id, true)
			}
			h.clean()
			h.check()
		}) {
			return
		}
	}
}
