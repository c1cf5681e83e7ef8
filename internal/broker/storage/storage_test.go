package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// clock is a clock that tests set.
type clock struct{ ms int64 }

func (c *clock) now() time.Time { return time.UnixMilli(c.ms) }

// fixture is a manager over a memory file system, driven by hand.
type fixture struct {
	t     testing.TB
	fs    *vfs.Mem
	clock *clock
	cfg   Config
	topic config.Topic
	m     *Manager
}

func newFixture(t testing.TB, change ...func(*Config, *config.Topic)) *fixture {
	f := &fixture{t: t, fs: vfs.NewMem(), clock: &clock{ms: 1_700_000_000_000}, topic: config.DefaultTopic()}
	f.topic.FileDeleteDelayMs = 1000
	f.cfg = Config{
		Dirs: []string{"data"}, NodeID: 1, Now: f.clock.now, Manual: true,
		Logger: slog.New(slog.DiscardHandler),
		Topic:  func(string) config.Topic { return f.topic },
	}
	for _, c := range change {
		c(&f.cfg, &f.topic)
	}
	f.open(f.fs)
	return f
}

func (f *fixture) open(fsys *vfs.Mem) {
	f.t.Helper()
	f.fs = fsys
	f.cfg.FS = fsys
	m, err := Open(f.cfg)
	if err != nil {
		f.t.Fatalf("open: %v", err)
	}
	f.m = m
}

var topicID = wire.UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func (f *fixture) create(topic string) *Log {
	f.t.Helper()
	l, err := f.m.Create(topic, topicID, 0, f.topic)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

func (f *fixture) log(topic string) *Log {
	f.t.Helper()
	l := f.m.Log(topic, 0)
	if l == nil {
		f.t.Fatalf("%s-0 is not here", topic)
	}
	return l
}

// batch makes a batch of n records whose values have size bytes.
func batch(t testing.TB, n, size int, timestampMs int64) []byte {
	t.Helper()
	return batchOf(t, record.DefaultSpec(), n, size, timestampMs)
}

func batchOf(t testing.TB, spec record.Spec, n, size int, timestampMs int64) []byte {
	t.Helper()
	bl := &record.Builder{}
	bl.Reset(spec)
	value := make([]byte, size)
	for i := range n {
		for j := range value {
			value[j] = byte(i + j)
		}
		if err := bl.Append(timestampMs+int64(i), fmt.Appendf(nil, "key-%d", i), value); err != nil {
			t.Fatal(err)
		}
	}
	b, err := bl.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// append1 appends and returns the finished append.
func append1(l *Log, b []byte, epoch int32) *Append {
	a := &Append{Batches: b, LeaderEpoch: epoch, Done: func(*Append) {}}
	l.Append(a)
	return a
}

func (f *fixture) append(l *Log, records int) {
	f.t.Helper()
	if a := append1(l, batch(f.t, records, 100, f.clock.ms), 0); a.Err != nil {
		f.t.Fatalf("append: %v", a.Err)
	}
}

// readAll returns every batch from offset on, checking that they are whole, in
// order and undamaged.
func readAll(t testing.TB, l *Log, offset int64, maxBytes int32) []record.Batch {
	t.Helper()
	var all []record.Batch
	for next := offset; next < l.LogEndOffset(); {
		s, err := l.Read(next, maxBytes, l.LogEndOffset(), true)
		if err != nil {
			t.Fatalf("read at %d: %v", next, err)
		}
		if s.Length == 0 {
			t.Fatalf("nothing at %d although the log ends at %d", next, l.LogEndOffset())
		}
		b := make([]byte, s.Length)
		if _, err := s.ReadAt(b, 0); err != nil {
			t.Fatalf("read at %d: %v", next, err)
		}
		s.Release()
		if n, _ := record.SizeOf(b); len(b) > int(maxBytes) && n != len(b) {
			t.Fatalf("read at %d gave %d bytes, %d were asked for", next, len(b), maxBytes)
		}
		for first := true; len(b) > 0; first = false {
			bt, rest, err := record.Next(b)
			if err != nil {
				t.Fatalf("read at %d: %v", next, err)
			}
			if err := bt.CheckCRC(); err != nil {
				t.Fatal(err)
			}
			if first && bt.BaseOffset() > next {
				t.Fatalf("read at %d gave a batch at %d", next, bt.BaseOffset())
			}
			all = append(all, bt)
			b = rest
		}
		if got := all[len(all)-1].NextOffset(); got != s.NextOffset {
			t.Fatalf("the slice goes on at %d, its last batch ends at %d", s.NextOffset, got)
		}
		next = s.NextOffset
	}
	return all
}

// checkContiguous reads the log and checks that no offset is missing.
func checkContiguous(t testing.TB, l *Log) {
	t.Helper()
	start, _, end := l.Offsets()
	next := int64(-1)
	for _, b := range readAll(t, l, start, 1000) {
		if next >= 0 && b.BaseOffset() != next {
			t.Fatalf("%s: offset %d follows %d", l, b.BaseOffset(), next-1)
		}
		next = b.NextOffset()
	}
	if next >= 0 && next != end {
		t.Fatalf("%s: the last batch ends at %d, the log at %d", l, next, end)
	}
}

func TestAppendedRecordsAreReadInOrder(t *testing.T) {
	f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 5000; topic.IndexIntervalBytes = 500 })
	l := f.create("orders")
	var want int64
	for i := range 100 {
		a := append1(l, batch(t, 1+i%3, 100, f.clock.ms), 5)
		if a.Err != nil || a.BaseOffset != want {
			t.Fatalf("append %d: offset %d, want %d, %v", i, a.BaseOffset, want, a.Err)
		}
		want = a.LastOffset + 1
	}
	if len(l.Segments()) < 3 {
		t.Fatalf("%d segments", len(l.Segments()))
	}
	for _, maxBytes := range []int32{1, 300, 777, 1000, 1 << 20} {
		for offset := range want {
			got := readAll(t, l, offset, maxBytes)
			if got[0].BaseOffset() > offset || got[0].LastOffset() < offset {
				t.Fatalf("offset %d read from batch %v", offset, got[0])
			}
			if got[0].PartitionLeaderEpoch() != 5 {
				t.Fatal("leader epoch not set")
			}
			if maxBytes == 1<<20 {
				continue
			}
			break
		}
		checkContiguous(t, l)
	}
	var out *OffsetRangeError
	if _, err := l.Read(want+1, 1, want+1, true); !errors.As(err, &out) || protocol.CodeOf(err) != protocol.OffsetOutOfRange {
		t.Fatalf("read behind the end: %v", err)
	}
	if s, err := l.Read(want, 1, want, true); err != nil || s.Length != 0 {
		t.Fatalf("read at the end: %v %v", s, err)
	}
}

func TestALogIsThereAfterACleanCloseAndAfterKill(t *testing.T) {
	for _, how := range []string{"close", "kill", "power"} {
		t.Run(how, func(t *testing.T) {
			f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 3000 })
			l := f.create("orders")
			f.create("empty")
			for range 30 {
				f.append(l, 3)
			}
			want := readAll(t, l, 0, 1000)
			switch how {
			case "close":
				if err := f.m.Close(); err != nil {
					t.Fatal(err)
				}
				f.open(f.fs.CrashClone(vfs.Crash{}))
			case "kill":
				f.open(f.fs.CrashClone(vfs.Killed()))
			case "power":
				f.clock.ms += 2000
				f.m.Tick()
				f.open(f.fs.CrashClone(vfs.Crash{}))
			}
			if d := f.m.Damage(); len(d) > 0 {
				t.Fatalf("damage: %v", d)
			}
			l = f.log("orders")
			got := readAll(t, l, 0, 1000)
			if len(got) != len(want) || l.LogEndOffset() != 90 || l.TopicID() != topicID {
				t.Fatalf("%d batches of %d, end %d", len(got), len(want), l.LogEndOffset())
			}
			if how != "power" { // its creation was not synced; whoever wanted it creates it again
				f.log("empty")
			}
			f.append(l, 1)
			checkContiguous(t, l)
		})
	}
}
