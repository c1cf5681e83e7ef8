package cleaner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/broker/storage/throttle"
	"github.com/naru-stream/naru/internal/kafka/record"
)

func segmentsOf(sizes ...int64) (out []Segment) {
	for i, size := range sizes {
		base := int64(i) * 10
		out = append(out, Segment{BaseOffset: base, NextOffset: base + 10, SizeBytes: size, FirstTimestampMs: base * 100, MaxTimestampMs: base*100 + 900})
	}
	return out
}

func TestPlanStopsAtWhatIsUndecidedOrYoung(t *testing.T) {
	never := Policy{MinCleanableRatio: 0.5, MaxCompactionLagMs: math.MaxInt64}
	with := func(f func(p *Policy)) Policy { p := never; f(&p); return p }
	for name, tc := range map[string]struct {
		p    Picture
		now  int64
		want Plan
	}{
		"nothing": {Picture{Policy: never}, 0, Plan{}},
		"all dirty": {Picture{Segments: segmentsOf(100, 100), StableOffset: 20, Policy: never}, 0,
			Plan{Segments: segmentsOf(100, 100), EndOffset: 20, Ratio: 1, Due: true}},
		"half dirty": {Picture{Segments: segmentsOf(100, 100), StableOffset: 99, CleanedOffset: 10, Policy: never}, 0,
			Plan{Segments: segmentsOf(100, 100), EndOffset: 20, FirstDirtyOffset: 10, Ratio: 0.5, Due: true}},
		"too little dirty": {Picture{Segments: segmentsOf(300, 100), StableOffset: 99, CleanedOffset: 10, Policy: never}, 0,
			Plan{Segments: segmentsOf(300, 100), EndOffset: 20, FirstDirtyOffset: 10, Ratio: 0.25}},
		"all clean": {Picture{Segments: segmentsOf(300), StableOffset: 99, CleanedOffset: 10, Policy: never}, 0,
			Plan{Segments: segmentsOf(300), EndOffset: 10, FirstDirtyOffset: 10}},
		"unstable": {Picture{Segments: segmentsOf(100, 100, 100), StableOffset: 19, Policy: never}, 0,
			Plan{Segments: segmentsOf(100), EndOffset: 10, Ratio: 1, Due: true}},
		"young": {Picture{Segments: segmentsOf(100, 100, 100), StableOffset: 99, Policy: with(func(p *Policy) { p.MinCompactionLagMs = 1000 })}, 2500,
			Plan{Segments: segmentsOf(100), EndOffset: 10, Ratio: 1, Due: true}},
		"overdue": {Picture{Segments: segmentsOf(900, 100), StableOffset: 99, CleanedOffset: 10, Policy: with(func(p *Policy) { p.MaxCompactionLagMs = 500 })}, 1501,
			Plan{Segments: segmentsOf(900, 100), EndOffset: 20, FirstDirtyOffset: 10, Ratio: 0.1, Overdue: true, Due: true}},
		"not yet overdue": {Picture{Segments: segmentsOf(900, 100), StableOffset: 99, CleanedOffset: 10, Policy: with(func(p *Policy) { p.MaxCompactionLagMs = 500 })}, 1500,
			Plan{Segments: segmentsOf(900, 100), EndOffset: 20, FirstDirtyOffset: 10, Ratio: 0.1}},
		"truncated below what was clean": {Picture{Segments: segmentsOf(100), StableOffset: 99, CleanedOffset: 50, LogStartOffset: 3, Policy: never}, 0,
			Plan{Segments: segmentsOf(100), EndOffset: 10, FirstDirtyOffset: 3, Ratio: 1, Due: true}},
	} {
		got := Make(tc.p, tc.now)
		if len(got.Segments) == 0 {
			got.Segments = nil
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestGroupsKeepToSizeAndOffsetRange(t *testing.T) {
	sizes := func(groups [][]Segment) (out []int) {
		for _, g := range groups {
			out = append(out, len(g))
		}
		return out
	}
	p := Plan{Segments: segmentsOf(40, 40, 40, 500, 10, 10)}
	if got := sizes(p.Groups(100, 60)); !cmp.Equal(got, []int{2, 1, 1, 2}) {
		t.Error(got)
	}
	if got := sizes(p.Groups(100, 20)); !cmp.Equal(got, []int{2}) {
		t.Error(got)
	}
	if got := p.Groups(100, 0); got != nil {
		t.Error(got)
	}
	far := []Segment{{BaseOffset: 0, NextOffset: 10}, {BaseOffset: 10, NextOffset: math.MaxInt32 + 1}, {BaseOffset: math.MaxInt32 + 1, NextOffset: math.MaxInt32 + 2}}
	p = Plan{Segments: far}
	if got := sizes(p.Groups(100, math.MaxInt64)); !cmp.Equal(got, []int{2, 1}) {
		t.Error(got)
	}
}

func TestOffsetMapRemembersTheLastOffsetWithinItsMemory(t *testing.T) {
	m := NewOffsetMap(slotSize * 5000)
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }
	if m.Get(key(1)) != -1 {
		t.Fatal("an empty map knows a key")
	}
	n := 0
	for m.Put(key(n), int64(n)) {
		n++
	}
	if n != 5000*loadPercent/100 || m.Len() != n || len(m.slots) > 5000 {
		t.Fatalf("%d keys in %d slots", n, len(m.slots))
	}
	if m.LatestOffset != int64(n-1) {
		t.Fatal("a key without room moved the latest offset")
	}
	if !m.Put(key(7), 90_000) || m.Get(key(7)) != 90_000 || m.Get(key(n)) != -1 {
		t.Fatal("a full map does not update a key it has")
	}
	for i := range n {
		if got := m.Get(key(i)); i != 7 && got != int64(i) {
			t.Fatalf("key %d: offset %d", i, got)
		}
	}
}

// smallLog is a log of one key written over and over, in two segments beside the
// active one.
func smallLog(t testing.TB) *memLog {
	t.Helper()
	l := newMemLog()
	l.policy.SegmentBytes = 1 << 20
	var bl record.Builder
	for i := range 30 {
		spec := record.DefaultSpec()
		spec.BaseOffset = l.end
		bl.Reset(spec)
		if err := bl.Append(int64(i), []byte("key"), fmt.Appendf(nil, "value %d", i)); err != nil {
			t.Fatal(err)
		}
		b, err := bl.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		l.append(b, 0, 0)
		if i%10 == 9 {
			l.roll()
		}
	}
	return l
}

func TestADamagedBatchEndsTheCleaningAndStays(t *testing.T) {
	for at := range 60 {
		l := smallLog(t)
		l.segments[1].data[100+at] ^= 4
		before := (&history{memLog: l}).bytesRaw()
		p, _ := l.Picture()
		_, err := Clean(context.Background(), l, Make(p, 0), l.policy, 0, Limits{DedupeBufferBytes: 1000, BufferBytes: 300, Pace: noPace})
		// Base offset and leader epoch are not covered by the CRC.
		if err == nil && at != 0 {
			position := (100 + at) % len(batches(smallLog(t).segments[1].data)[0])
			if position >= 16 {
				t.Fatalf("byte %d (position %d of a batch) is not noticed", at, position)
			}
			continue
		}
		if err != nil && !bytes.Equal(before, (&history{memLog: l}).bytesRaw()) {
			t.Fatal("the log was changed")
		}
	}
}

// bytesRaw is the log's bytes without looking at them.
func (h *history) bytesRaw() (all []byte) {
	for _, s := range h.segments {
		all = append(all, s.data...)
	}
	return all
}

func noPace(context.Context, int) error { return nil }

func TestCleaningStopsWhenItsContextEnds(t *testing.T) {
	l := smallLog(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p, _ := l.Picture()
	_, err := Clean(ctx, l, Make(p, 0), l.policy, 0, Limits{DedupeBufferBytes: 1000, BufferBytes: 100, Pace: throttle.New(0).Spend})
	if !errors.Is(err, context.Canceled) || l.replaces != 0 {
		t.Fatal(err, l.replaces)
	}
}

// realClock is the time of the bubble that synctest makes.
type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// lockedLog makes a memLog safe for the goroutines of a Cleaner.
type lockedLog struct {
	*memLog

	mu      sync.Mutex
	entered int
	order   *[]string
	name    string
}

func (l *lockedLog) Picture() (Picture, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.memLog.Picture()
}

func (l *lockedLog) Replace(old []Segment, out Output) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entered++
	if l.order != nil {
		*l.order = append(*l.order, l.name)
	}
	return l.memLog.Replace(old, out)
}

func (l *lockedLog) Cleaned(offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.memLog.Cleaned(offset)
}

func newTestCleaner(logs ...Log) *Cleaner {
	return New(Config{
		Threads: 1, DedupeBufferBytes: 1 << 20, IOBufferBytes: 1 << 16, MaxBytesPerSecond: math.MaxFloat64,
		Backoff: 15 * time.Second, Logs: func() []Log { return logs }, Clock: realClock{}, Logger: slog.New(slog.DiscardHandler),
	})
}

func TestTheDirtiestLogIsCleanedFirst(t *testing.T) {
	var order []string
	half := &lockedLog{memLog: smallLog(t), order: &order, name: "half"}
	half.cleaned = 10
	full := &lockedLog{memLog: smallLog(t), order: &order, name: "full"}
	clean := &lockedLog{memLog: smallLog(t), order: &order, name: "clean"}
	clean.cleaned = 30
	c := newTestCleaner(half, clean, full)
	for c.CleanOne(context.Background()) {
	}
	if !cmp.Equal(order, []string{"full", "half"}) {
		t.Error(order)
	}
}

func TestABackgroundCleanerCleansRestsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lockedLog{memLog: smallLog(t)}
		c := newTestCleaner(l)
		c.cfg.Threads = 3
		c.Start()
		defer c.Close()
		synctest.Wait()
		if len(l.all()) != 1 || l.entered != 1 {
			t.Fatalf("%d batches after %d replacements", len(l.all()), l.entered)
		}
		// Nothing more to do: everybody rests.
		time.Sleep(time.Minute)
		if l.entered != 1 {
			t.Fatal("a clean log is cleaned again")
		}
	})
}

func TestAFailedLogIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &lockedLog{memLog: smallLog(t)}
		broken.segments[0].data[70] ^= 1
		good := &lockedLog{memLog: smallLog(t)}
		good.cleaned = 10
		c := newTestCleaner(broken, good)
		ctx := context.Background()
		rounds := 0
		for c.CleanOne(ctx) {
			rounds++
		}
		if rounds != 2 {
			t.Fatalf("%d rounds, wanted one failure and one cleaning", rounds)
		}
		if good.cleaned != 30 || broken.entered != 0 {
			t.Fatal(good.cleaned, broken.entered)
		}
		time.Sleep(failedRounds * c.cfg.Backoff)
		broken.segments[0].data[70] ^= 1
		if !c.CleanOne(ctx) || broken.cleaned != 30 {
			t.Fatal("the repaired log is not cleaned")
		}
	})
}

func TestACleanerGoesOnWithOtherSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &lockedLog{memLog: smallLog(t)}
		c := newTestCleaner(slow)
		cfg := c.cfg
		cfg.MaxBytesPerSecond = 1 // hours
		c.Reconfigure(cfg)
		c.Start()
		defer c.Close()
		time.Sleep(time.Minute)
		if slow.entered != 0 {
			t.Fatal("the rate did not count")
		}
		cfg.MaxBytesPerSecond = math.MaxFloat64
		c.Reconfigure(cfg)
		time.Sleep(cfg.Backoff)
		synctest.Wait()
		if slow.entered != 1 || slow.cleaned != 30 {
			t.Fatalf("with the new rate the log is clean to %d after %d replacements", slow.cleaned, slow.entered)
		}
		c.Close()
		c.Reconfigure(cfg) // nothing begins again
	})
}
