package cleaner

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/record"
)

var histories = flag.Int("histories", 1500, "how many random histories are played")

// memSegment is a segment in memory.
type memSegment struct {
	base, next int64
	data       []byte
}

// memLog is a log in memory beside its own uncompacted history.
type memLog struct {
	segments  []*memSegment // the last one is active
	full      []byte
	end       int64
	cleaned   int64
	policy    Policy
	state     *producerstate.State
	aborted   []producerstate.AbortedTxn // still indexed
	everAbort []producerstate.AbortedTxn
	seqs      map[int64]int32
	epochs    map[int64]int16
	inTxn     map[int64]bool
	replaces  int
	failAfter int  // Replace fails from this one on, 0: never
	failLate  bool // it fails when it has replaced, as a crash may come then
}

func newMemLog() *memLog {
	return &memLog{
		segments: []*memSegment{{}}, policy: Policy{DeleteRetentionMs: 1000, SegmentBytes: 2000, MaxCompactionLagMs: 1 << 62},
		state: producerstate.New(producerstate.Limits{}),
		seqs:  map[int64]int32{}, epochs: map[int64]int16{}, inTxn: map[int64]bool{},
	}
}

func (l *memLog) String() string { return "memory-0" }

func (l *memLog) Picture() (Picture, error) {
	p := Picture{CleanedOffset: l.cleaned, StableOffset: l.state.LastStableOffset(l.end), Policy: l.policy}
	for _, s := range l.segments[:len(l.segments)-1] {
		p.Segments = append(p.Segments, l.describe(s))
	}
	return p, nil
}

func (l *memLog) describe(s *memSegment) Segment {
	out := Segment{BaseOffset: s.base, NextOffset: s.next, SizeBytes: int64(len(s.data)), FirstTimestampMs: -1, MaxTimestampMs: -1}
	for i, b := range batches(s.data) {
		if i == 0 {
			out.FirstTimestampMs = b.MaxTimestamp()
		}
		out.MaxTimestampMs = max(out.MaxTimestampMs, b.MaxTimestamp())
	}
	return out
}

func (l *memLog) Transactions(end int64) (aborted []producerstate.AbortedTxn, live []producerstate.Producer, err error) {
	for _, a := range l.aborted {
		if a.FirstOffset < end {
			aborted = append(aborted, a)
		}
	}
	return aborted, slices.Collect(l.state.All()), nil
}

type memSource struct{ *bytes.Reader }

func (memSource) Close() error { return nil }

func (l *memLog) Open(base int64) (Source, error) {
	for _, s := range l.segments {
		if s.base == base {
			return memSource{bytes.NewReader(s.data)}, nil
		}
	}
	return nil, ErrChanged
}

type memOutput struct{ data []byte }

func (o *memOutput) Write(b []byte) error { o.data = append(o.data, b...); return nil }
func (o *memOutput) Discard() error       { o.data = nil; return nil }

func (l *memLog) Create(int64) (Output, error) { return &memOutput{}, nil }

func (l *memLog) Replace(old []Segment, out Output) error {
	l.replaces++
	fails := l.failAfter > 0 && l.replaces >= l.failAfter
	if fails && !l.failLate {
		return ErrChanged
	}
	at := slices.IndexFunc(l.segments, func(s *memSegment) bool { return s.base == old[0].BaseOffset })
	joined := &memSegment{base: old[0].BaseOffset, next: old[len(old)-1].NextOffset, data: out.(*memOutput).data}
	l.segments = slices.Replace(l.segments, at, at+len(old), joined)
	l.aborted = slices.DeleteFunc(l.aborted, func(a producerstate.AbortedTxn) bool {
		return a.LastOffset >= joined.base && a.LastOffset < joined.next
	})
	if fails {
		return ErrChanged
	}
	return nil
}

func (l *memLog) Cleaned(offset int64) error { l.cleaned = offset; return nil }

func batches(data []byte) (out []record.Batch) {
	for len(data) > 0 {
		b, rest, err := record.Next(data)
		if err != nil {
			panic(err)
		}
		out, data = append(out, b), rest
	}
	return out
}

func (l *memLog) all() (out []record.Batch) {
	for _, s := range l.segments {
		out = append(out, batches(s.data)...)
	}
	return out
}

func (l *memLog) roll() {
	if active := l.segments[len(l.segments)-1]; len(active.data) > 0 {
		l.segments = append(l.segments, &memSegment{base: l.end, next: l.end})
	}
}

func (l *memLog) append(b []byte, origin producerstate.Origin, now int64) {
	if _, err := l.state.Prepare(b, origin, 0, now); err != nil {
		panic(err)
	}
	ended := l.state.Commit()
	l.aborted, l.everAbort = append(l.aborted, ended...), append(l.everAbort, ended...)
	active := l.segments[len(l.segments)-1]
	active.data, l.full = append(active.data, b...), append(l.full, b...)
	l.end = record.Batch(b).NextOffset()
	active.next = l.end
	l.state.OnHighWatermark(l.end)
}

// history drives a memLog at random.
type history struct {
	*memLog

	rng    *rand.Rand
	now    int64
	bl     record.Builder
	codecs []compress.Codec
	// covered is when a tombstone or marker was first below the end of a cleaning.
	covered map[int64]int64
	// touched is the highest end of a cleaning, one that failed on the way too.
	touched int64
}

func (h *history) data(pid int64, txn bool) {
	spec := record.DefaultSpec()
	spec.BaseOffset, spec.PartitionLeaderEpoch = h.end, 3
	spec.Codec = h.codecs[h.rng.IntN(len(h.codecs))]
	spec.Level = spec.Codec.DefaultLevel()
	if h.rng.IntN(8) == 0 {
		spec.TimestampType, spec.LogAppendTimeMs = record.LogAppendTime, h.now
	}
	n := 1 + h.rng.IntN(4)
	if pid >= 0 {
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = pid, h.epochs[pid], h.seqs[pid], txn
		h.seqs[pid] += int32(n)
	}
	h.bl.Reset(spec)
	for i := range n {
		key := fmt.Appendf(nil, "k%d", h.rng.IntN(6))
		value := fmt.Appendf(nil, "v%d", h.end+int64(i))
		switch h.rng.IntN(12) {
		case 0, 1, 2:
			value = nil
		case 3:
			value = []byte{}
		case 4:
			key = nil
		}
		if err := h.bl.Append(h.now+int64(h.rng.IntN(50)), key, value, record.Header{Key: []byte("h"), Value: value}); err != nil {
			panic(err)
		}
	}
	b, err := h.bl.Build(nil)
	if err != nil {
		panic(err)
	}
	h.append(b, producerstate.Client, h.now)
}

func (h *history) marker(pid int64, typ record.ControlType) {
	spec := record.DefaultSpec()
	if h.rng.IntN(2) == 0 { // as transaction version 2 does
		h.epochs[pid]++
		h.seqs[pid] = 0
	}
	spec.BaseOffset, spec.ProducerID, spec.ProducerEpoch = h.end, pid, h.epochs[pid]
	b, err := record.AppendEndTxn(nil, spec, record.EndTxnMarker{Type: typ}, h.now, &h.bl)
	if err != nil {
		panic(err)
	}
	h.append(b, producerstate.Coordinator, h.now)
	h.inTxn[pid] = false
}

func (h *history) step() {
	h.now += int64(h.rng.IntN(200))
	pid := int64(h.rng.IntN(3))
	switch h.rng.IntN(10) {
	case 0, 1:
		h.data(-1, false)
	case 2, 3:
		h.data(10+pid, false)
	case 4, 5, 6:
		h.data(pid, true)
		h.inTxn[pid] = true
	case 7, 8:
		if h.inTxn[pid] {
			h.marker(pid, record.ControlType(h.rng.IntN(2)))
		}
	case 9:
		h.roll()
	}
}

func (h *history) clean(t *testing.T, dedupe int64, buffer int) {
	t.Helper()
	p, _ := h.Picture()
	plan := Make(p, h.now)
	if len(plan.Segments) == 0 {
		return
	}
	limits := Limits{DedupeBufferBytes: dedupe, BufferBytes: buffer, Pace: func(context.Context, int) error { return nil }}
	stats, err := Clean(context.Background(), h, plan, h.policy, h.now, limits)
	if err != nil && !errors.Is(err, ErrChanged) {
		t.Fatal(err)
	}
	if err == nil && plan.Due && stats.EndOffset <= plan.FirstDirtyOffset {
		t.Fatalf("no progress: %+v of %+v", stats, plan)
	}
	touched := stats.EndOffset
	if err != nil {
		touched = plan.EndOffset // some of it
	}
	h.touched = max(h.touched, touched)
	for _, r := range visible(t, batches(h.full), h.everAbort) {
		if _, ok := h.covered[r.offset]; r.value == nil && !ok && r.offset < touched {
			h.covered[r.offset] = h.now
		}
	}
	// A marker does not wait for the keys: the whole of a segment is looked at.
	for _, s := range plan.Segments {
		if s.BaseOffset < touched {
			touched = max(touched, s.NextOffset)
		}
	}
	for _, b := range batches(h.full) {
		if _, ok := h.covered[b.BaseOffset()]; b.IsControl() && !ok && b.BaseOffset() < touched {
			h.covered[b.BaseOffset()] = h.now
		}
	}
}

type visibleRecord struct {
	offset, timestamp  int64
	key, value, header []byte
}

func (r visibleRecord) String() string {
	return fmt.Sprintf("%d@%d %q=%q %x", r.offset, r.timestamp, r.key, r.value, r.header)
}

// visible returns what a consumer with read_committed sees.
func visible(t *testing.T, all []record.Batch, aborted []producerstate.AbortedTxn) (out []visibleRecord) {
	t.Helper()
	for _, b := range all {
		if err := errors.Join(b.CheckCRC(), b.CheckHeader()); err != nil {
			t.Fatal(err)
		}
		skip := b.IsControl() || slices.ContainsFunc(aborted, func(a producerstate.AbortedTxn) bool {
			return b.IsTransactional() && a.ProducerID == b.ProducerID() && a.FirstOffset <= b.BaseOffset() && b.BaseOffset() < a.LastOffset
		})
		if skip {
			continue
		}
		it, err := b.Iterate(&record.Scratch{})
		if err != nil {
			t.Fatal(err)
		}
		for it.Next() {
			r := it.Record
			clone := func(b []byte) []byte {
				if b == nil {
					return nil
				}
				return append([]byte{}, b...)
			}
			out = append(out, visibleRecord{r.Offset, r.Timestamp, clone(r.Key), clone(r.Value), clone(r.RawHeaders)})
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
	}
	return out
}

func (h *history) check(t *testing.T) {
	t.Helper()
	before := visible(t, batches(h.full), h.everAbort)
	after := visible(t, h.all(), h.everAbort)
	was := map[int64]string{}
	lastBefore, lastAfter := map[string]visibleRecord{}, map[string]visibleRecord{}
	behind := 0
	for _, r := range before {
		was[r.offset] = r.String()
		if r.key != nil {
			lastBefore[string(r.key)] = r
		}
		if r.offset >= h.touched {
			behind++
		}
	}
	for _, r := range after {
		if was[r.offset] != r.String() {
			t.Fatalf("record changed from %s to %s", was[r.offset], r)
		}
		if r.offset >= h.touched {
			behind--
		}
		if r.offset >= h.cleaned {
			lastAfter[string(r.key)] = r
			continue
		}
		if r.key == nil {
			t.Fatalf("record %s has no key", r)
		} else if old, ok := lastAfter[string(r.key)]; ok {
			t.Fatalf("two of a key: %s and %s", old, r)
		}
		lastAfter[string(r.key)] = r
	}
	if behind != 0 {
		t.Fatalf("%d records are missing behind offset %d", behind, h.touched)
	}
	for key, want := range lastBefore {
		got, ok := lastAfter[key]
		if ok && got.String() != want.String() || !ok && want.value != nil {
			t.Fatalf("last of %q was %s, is %s", key, want, got)
		}
		if !ok && h.now < h.covered[want.offset]+h.policy.DeleteRetentionMs {
			t.Fatalf("tombstone %s is gone at %d, first cleaned at %d", want, h.now, h.covered[want.offset])
		}
	}
	h.checkBatches(t)
}

// checkBatches looks at what consumers do not see.
func (h *history) checkBatches(t *testing.T) {
	t.Helper()
	original := map[int64]record.Batch{}
	for _, b := range batches(h.full) {
		original[b.BaseOffset()] = b
	}
	next := int64(0)
	replayed := producerstate.New(producerstate.Limits{})
	for _, b := range h.all() {
		o := original[b.BaseOffset()]
		if b.BaseOffset() < next || o == nil || b.LastOffset() != o.LastOffset() || b.ProducerID() != o.ProducerID() ||
			b.ProducerEpoch() != o.ProducerEpoch() || b.LastSequence() != o.LastSequence() ||
			b.PartitionLeaderEpoch() != o.PartitionLeaderEpoch() || b.IsTransactional() != o.IsTransactional() ||
			b.IsControl() != o.IsControl() || b.TimestampType() != o.TimestampType() || b.Count() > 0 && b.Codec() != o.Codec() {
			t.Fatalf("%s was %s", b, o)
		}
		next = b.NextOffset()
		delete(original, b.BaseOffset())
		replayed.Replay(b, h.now)
		aborted := slices.ContainsFunc(h.everAbort, func(a producerstate.AbortedTxn) bool {
			return b.IsTransactional() && !b.IsControl() && a.ProducerID == b.ProducerID() && a.FirstOffset <= b.BaseOffset() && b.BaseOffset() < a.LastOffset
		})
		if aborted && b.Count() > 0 && b.BaseOffset() < h.cleaned {
			t.Fatalf("aborted records are left: %s", b)
		}
	}
	for _, o := range original {
		if o.IsControl() && h.now < h.covered[o.BaseOffset()]+h.policy.DeleteRetentionMs {
			t.Fatalf("marker %s is gone at %d, first cleaned at %d", o, h.now, h.covered[o.BaseOffset()])
		}
	}
	now := map[int64]producerstate.Producer{}
	for p := range replayed.All() {
		now[p.ID] = p
	}
	for p := range h.state.All() {
		got := now[p.ID]
		if got.Epoch != p.Epoch || got.LastSequence != p.LastSequence || got.TxnFirstOffset != p.TxnFirstOffset {
			t.Fatalf("the log replays producer %+v, was %+v", got, p)
		}
	}
}

func (h *history) bytes() []byte {
	var all []byte
	for _, b := range h.all() {
		all = append(all, b...)
	}
	return all
}

func TestRandomHistoriesKeepTheLastOfEveryKey(t *testing.T) {
	for seed := range uint64(*histories) {
		runHistory(t, seed)
		if t.Failed() {
			return
		}
	}
}

func runHistory(t *testing.T, seed uint64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 7))
	h := &history{memLog: newMemLog(), rng: rng, covered: map[int64]int64{}, codecs: []compress.Codec{compress.None}}
	if seed%4 == 0 {
		h.codecs = append(h.codecs, compress.Snappy, compress.Lz4)
	}
	dedupe, buffer := int64(1<<20), 1<<16
	if rng.IntN(3) == 0 {
		dedupe = 24 * int64(2+rng.IntN(6))
	}
	if rng.IntN(3) == 0 {
		buffer = 1 + rng.IntN(300)
	}
	for range 4 {
		for range 5 + rng.IntN(20) {
			h.step()
		}
		h.failAfter = 0
		if rng.IntN(4) == 0 {
			h.failAfter, h.failLate = h.replaces+1+rng.IntN(3), rng.IntN(2) == 0
		}
		h.clean(t, dedupe, buffer)
		if rng.IntN(8) == 0 { // a crash, and the manifest lags behind
			h.cleaned = rng.Int64N(h.cleaned + 1)
		}
		h.check(t)
	}
	h.failAfter = 0
	h.finish(t)
}

// finish ends what is open and lets all horizons pass: then cleaning has an end,
// and nothing is left that nobody needs.
func (h *history) finish(t *testing.T) {
	t.Helper()
	for pid, open := range h.inTxn {
		if open {
			h.marker(pid, record.ControlAbort)
		}
	}
	h.roll()
	again := func() {
		h.cleaned = 0
		h.clean(t, 1<<20, 1<<16)
		h.check(t)
	}
	again()
	again() // markers of transactions emptied by the first get their horizon
	stable := h.bytes()
	again()
	if !bytes.Equal(stable, h.bytes()) {
		t.Fatal("cleaning what is clean changes it")
	}
	h.now += h.policy.DeleteRetentionMs
	again()
	for _, r := range visible(t, h.all(), nil) {
		if r.value == nil {
			t.Fatalf("tombstone %s is left", r)
		}
	}
	last := map[int64]producerstate.Producer{}
	for p := range h.state.All() {
		last[p.ID] = p
	}
	for _, b := range h.all() {
		p := last[b.ProducerID()]
		if b.Count() == 0 && p.LastDataOffset != b.LastOffset() {
			t.Fatalf("an empty batch nobody needs: %s", b)
		}
	}
	again() // joins what became small
	if len(h.segments) > 2 && len(h.bytes()) < int(h.policy.SegmentBytes) {
		t.Fatalf("%d segments for %d bytes", len(h.segments), len(h.bytes()))
	}
}
