package producerstate

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/script"
)

// randomLine makes a script command of a few quarrelling producers.
func randomLine(rng *rand.Rand, seqs map[string]int64) string {
	pid, epoch := rng.IntN(4), rng.IntN(2)
	key := fmt.Sprint(pid, epoch)
	prepare := ""
	if rng.IntN(2) == 0 {
		prepare = " prepare"
	}
	switch rng.IntN(12) {
	case 0, 1:
		kind := [2]string{"abort", "commit"}[rng.IntN(2)]
		return fmt.Sprintf("marker pid=%d epoch=%d coordinator=%d %s%s", pid, epoch, rng.IntN(3), kind, prepare)
	case 2:
		return "commit"
	case 3:
		return "rollback"
	case 4:
		return fmt.Sprintf("data pid=%d epoch=%d seq=%d%s", pid, epoch, rng.Int64N(20), prepare)
	}
	n := 1 + rng.Int64N(3)
	line := fmt.Sprintf("data pid=%d epoch=%d seq=%d n=%d%s", pid, epoch, seqs[key], n, prepare)
	if rng.IntN(5) > 0 {
		seqs[key] += n
	}
	if rng.IntN(2) == 0 {
		line += " txn"
	}
	return line
}

func TestReplayFromAnySnapshotEqualsLiveState(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := newModel(t)
		seqs := map[string]int64{}
		snapshots := [][]byte{m.state.AppendSnapshot(nil)}
		for range 120 {
			m.run(randomLine(rng, seqs))
			if len(m.pending) == 0 && rng.IntN(8) == 0 {
				snapshots = append(snapshots, m.state.AppendSnapshot(nil))
			}
		}
		m.run("rollback")
		for _, n := range m.state.producers {
			n.endedAt = NoOffset // concerns requests that are under way
		}
		want := sortedProducers(m.state)
		var aborted []AbortedTxn
		for i, snap := range snapshots {
			s := New(Limits{})
			if err := s.Load(snap); err != nil {
				t.Fatal(err)
			}
			from := s.EndOffset()
			aborted = aborted[:0]
			for rest := m.log; len(rest) > 0; {
				b, next, err := record.Next(rest)
				if err != nil {
					t.Fatal(err)
				}
				if rest = next; b.BaseOffset() >= from {
					aborted = append(aborted, s.Replay(b, m.now)...)
				}
			}
			for _, n := range s.producers {
				n.endedAt = NoOffset
			}
			if !cmp.Equal(sortedProducers(s), want) {
				live := m.describe()
				m.state = s
				t.Fatalf("seed %d, snapshot %d at %d: replayed\n%s\nlive\n%s", seed, i, from, m.describe(), live)
			}
			if i == 0 && !cmp.Equal(append([]AbortedTxn{}, aborted...), append([]AbortedTxn{}, m.aborted...)) {
				t.Fatalf("seed %d: replay aborts %v, live %v", seed, aborted, m.aborted)
			}
		}
	}
}

func TestRollbackRestoresTheStateExactly(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := newModel(t)
		seqs := map[string]int64{}
		for range 60 {
			m.run(randomLine(rng, seqs))
		}
		m.run("commit")
		before := sortedProducers(m.state)
		for range 10 {
			line := randomLine(rng, seqs)
			if line == "commit" {
				continue
			}
			m.run(line + " prepare")
		}
		m.run("rollback")
		if diff := cmp.Diff(before, sortedProducers(m.state)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

// sortedProducers is the State without the order in which producers were seen,
// which refused and rolled back appends may leave changed.
func sortedProducers(s *State) map[int64]string {
	out := map[int64]string{-2: fmt.Sprint(s.open, s.unreplicated, s.endOffset, len(s.aborted), len(s.undo))}
	for _, n := range s.producers {
		p := n.producer
		var window []batch
		for i := range int(p.used) {
			window = append(window, *p.at(i))
		}
		p.batches, p.oldest = [Window]batch{}, 0
		out[n.id] = fmt.Sprintf("%+v %+v", p, window)
	}
	return out
}

func TestOnlyIntactSnapshotsAreLoaded(t *testing.T) {
	m := newModel(t)
	for _, line := range []string{"data pid=1 epoch=0 seq=0 txn", "data pid=2 epoch=0 seq=3", "data pid=2 epoch=0 seq=4 txn", "marker pid=2 epoch=0 abort"} {
		m.run(line)
	}
	snap := m.state.AppendSnapshot(nil)
	s := New(Limits{})
	if err := s.Load(snap); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.AppendSnapshot(nil), snap) {
		t.Fatal("the snapshot of a loaded snapshot differs")
	}
	for i := range snap {
		bad := bytes.Clone(snap)
		bad[i] ^= 0x10
		if err := s.Load(bad); !errors.Is(err, ErrSnapshot) || s.Len() != 0 {
			t.Fatalf("flipped byte %d: %v, %d producers", i, err, s.Len())
		}
		if err := s.Load(snap[:i]); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
}

func TestGarbageIsRefusedAndLeavesNoTrace(t *testing.T) {
	s := New(Limits{})
	m := newModel(t)
	good := m.data(script.Parse(t, "pid=1 epoch=0 seq=0"))
	if _, err := s.Prepare(append(bytes.Clone(good), 1, 2, 3), Client, 0, 0); protocol.CodeOf(err) != protocol.CorruptMessage {
		t.Fatal(err)
	}
	marker := m.marker(script.Parse(t, "pid=1 epoch=0"))
	marker[len(marker)-20] = 0x7f
	if _, err := s.Prepare(marker, Coordinator, 0, 0); protocol.CodeOf(err) != protocol.CorruptMessage {
		t.Fatal(err)
	}
	if s.Len() != 0 || s.EndOffset() != 0 {
		t.Fatal(s.Len(), s.EndOffset())
	}
}

func TestAbortedTransactionsOfAFetch(t *testing.T) {
	entries := []AbortedTxn{
		{ProducerID: 1, FirstOffset: 10, LastOffset: 20, LastStableOffset: 15},
		{ProducerID: 2, FirstOffset: 15, LastOffset: 30, LastStableOffset: 31},
		{ProducerID: 3, FirstOffset: 40, LastOffset: 50, LastStableOffset: 51},
	}
	var b []byte
	for _, e := range entries {
		b = e.Append(b)
	}
	got, err := DecodeAborted(nil, b)
	if err != nil || !cmp.Equal(got, entries) {
		t.Fatal(got, err)
	}
	for _, tc := range []struct {
		from, to int64
		want     []int64
		complete bool
	}{
		{0, 10, nil, true},
		{0, 12, []int64{1}, true},
		{0, 16, []int64{1, 2}, true},
		{20, 31, []int64{1, 2}, true},
		{21, 40, []int64{2}, true},
		{31, 100, []int64{3}, false},
		{51, 100, nil, false},
	} {
		out, complete := CollectAborted(nil, entries, tc.from, tc.to)
		var ids []int64
		for _, a := range out {
			ids = append(ids, a.ProducerID)
		}
		if !cmp.Equal(ids, tc.want) || complete != tc.complete {
			t.Errorf("%d–%d: producers %v, complete %t", tc.from, tc.to, ids, complete)
		}
	}
	for cut := range len(b) {
		got, err := DecodeAborted(nil, b[:cut])
		if len(got) != cut/AbortedTxnSize || errors.Is(err, ErrAbortedTxn) != (cut%AbortedTxnSize != 0) {
			t.Fatalf("cut to %d: %d entries, %v", cut, len(got), err)
		}
	}
	b[AbortedTxnSize+5] ^= 1
	if got, err := DecodeAborted(nil, b); len(got) != 1 || !errors.Is(err, ErrAbortedTxn) {
		t.Fatal(got, err)
	}
}

// warm returns a State that knows the producer of the batch and a function that
// moves the batch on to its next offset and sequence.
func warm(tb testing.TB) (*State, []byte, func()) {
	tb.Helper()
	s := New(Limits{})
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 7, 0, 0
	buf, err := record.AppendEmpty(nil, spec, 9, 0)
	if err != nil {
		tb.Fatal(err)
	}
	b := record.Batch(buf)
	return s, buf, func() {
		b.SetBaseOffset(b.NextOffset())
		b.SetProducer(7, 0, record.AddSequence(b.LastSequence(), 1))
	}
}

func TestAKnownProducerCostsNoAllocation(t *testing.T) {
	s, b, next := warm(t)
	step := func() {
		if _, err := s.Prepare(b, Client, 0, 1); err != nil {
			t.Fatal(err)
		}
		s.Commit()
		next()
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzLoad(f *testing.F) {
	m := newModel(f)
	m.run("data pid=1 epoch=0 seq=0 txn")
	m.run("marker pid=1 epoch=0 abort")
	f.Add(m.state.AppendSnapshot(nil)[snapshotCRCFrom:])
	f.Fuzz(func(t *testing.T, body []byte) {
		snap := append([]byte(snapshotMagic), 0, snapshotVersion, 0, 0, 0, 0)
		snap = append(snap, body...)
		crc := record.Batch(append(make([]byte, 21), body...)).ComputeCRC()
		snap[6], snap[7], snap[8], snap[9] = byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc)
		s := New(Limits{MaxProducers: 4})
		if err := s.Load(snap); err == nil {
			s.Commit()
			s.OnHighWatermark(5)
			s.Expire(1 << 60)
			m := newModel(t)
			m.state = s
			m.run("data pid=1 epoch=0 seq=0 txn")
			m.run("rollback")
		}
	})
}

func FuzzPrepare(f *testing.F) {
	m := newModel(f)
	f.Add(m.data(script.Parse(f, "pid=1 epoch=0 seq=0")))
	f.Add(m.marker(script.Parse(f, "pid=1 epoch=0")))
	f.Fuzz(func(_ *testing.T, in []byte) {
		s := New(Limits{})
		for origin := Client; origin <= Replication; origin++ {
			_, _ = s.Prepare(in, origin, 2, 5)
		}
		s.Rollback()
	})
}

func BenchmarkPrepareCommit(b *testing.B) {
	s, batch, next := warm(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Prepare(batch, Client, 0, 1); err != nil {
			b.Fatal(err)
		}
		s.Commit()
		next()
	}
}

func TestARecordThatWasOvertakenByItsTransactionsEndIsNotWritten(t *testing.T) {
	m := newModel(t)
	guard, isOpen := m.state.Guard(7, 1)
	if isOpen {
		t.Fatal("a producer that is not known has a transaction")
	}
	m.run("data pid=7 epoch=1 seq=0 txn")
	if _, isOpen := m.state.Guard(7, 1); !isOpen {
		t.Fatal("the transaction is not open")
	}
	if _, isOpen := m.state.Guard(7, 2); isOpen {
		t.Fatal("the transaction is open in another epoch")
	}
	if err := m.state.Guarded(7, guard); err != nil {
		t.Fatal(err)
	}
	guard, _ = m.state.Guard(7, 1)
	m.run("marker pid=7 epoch=1 coordinator=0 commit prepare")
	if err := m.state.Guarded(7, guard); !errors.Is(err, protocol.InvalidTxnState) {
		t.Fatalf("records that the marker overtook: %v", err)
	}
	m.run("rollback")
	if err := m.state.Guarded(7, guard); err != nil {
		t.Fatalf("the marker was not written after all: %v", err)
	}
	m.run("marker pid=7 epoch=1 coordinator=0 commit")
	guard, _ = m.state.Guard(7, 1)
	if err := m.state.Guarded(7, guard); err != nil {
		t.Fatalf("records verified after the marker: %v", err)
	}
}
