package deadletter

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// world is a cluster with one source partition and perhaps a dead-letter topic.
type world struct {
	t        *testing.T
	settings Settings
	topic    *Topic
	source   []byte
	// produce lets a produce fail; create what is created.
	produce func(n int) error
	create  func() error

	written  []string // partition, then the records, then the next batch
	batches  int
	produced int // calls
	logged   strings.Builder
	done     atomic.Int64
	writer   *Writer
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, settings: Settings{Topic: "dlq.g", Prefix: "dlq."}, topic: &Topic{Partitions: 2, Enabled: true, MaxMessageBytes: 1 << 20}}
	timer := purgatory.NewTimer(nil)
	t.Cleanup(timer.Close)
	w.writer = NewWriter(Config{
		Cluster: w, Settings: func(string) Settings { return w.settings }, Timer: timer,
		NowMs: func() int64 { return time.Now().UnixMilli() }, Log: slog.New(slog.NewTextHandler(&w.logged, nil)),
	})
	return w
}

func (w *world) DeadLetterTopic(string) (Topic, bool) {
	if w.topic == nil {
		return Topic{}, false
	}
	return *w.topic, true
}

func (w *world) CreateDeadLetterTopic(string) error {
	if w.create != nil {
		return w.create()
	}
	w.topic = &Topic{Partitions: 1, Enabled: true, MaxMessageBytes: 1 << 20}
	return nil
}

func (w *world) ReadSource(_ protocol.UUID, partition int32, offset int64, maxBytes int) ([]byte, error) {
	if partition != 5 {
		return nil, protocol.UnknownTopicOrPartition
	}
	for rest := w.source; len(rest) > 0; {
		b, more, err := record.Next(rest)
		if err != nil {
			return nil, err
		}
		if b.LastOffset() >= offset {
			return rest[:max(len(b), min(maxBytes, len(rest)))], nil
		}
		rest = more
	}
	return nil, protocol.OffsetOutOfRange
}

func (w *world) Produce(topic string, partition int32, batch []byte) error {
	w.produced++
	if w.produce != nil {
		if err := w.produce(w.produced); err != nil {
			return err
		}
	}
	if topic != w.settings.Topic {
		w.t.Errorf("produced to %q", topic)
	}
	b, rest, err := record.Next(batch)
	if err != nil || len(rest) > 0 || len(batch) > w.topic.MaxMessageBytes && b.Count() > 1 {
		w.t.Errorf("a batch of %d bytes, %d records, rest %d: %v", len(batch), b.Count(), len(rest), err)
	}
	w.batches++
	it, err := b.Iterate(nil)
	for err == nil && it.Next() {
		r := it.Record
		text := fmt.Sprintf("%d:", partition)
		for h := r.Headers(); h.Next(); {
			text += " " + strings.TrimPrefix(string(h.Header.Key), "__dlq.errors.") + "=" + string(h.Header.Value)
		}
		if r.Value != nil {
			text += fmt.Sprintf(" %s=%.10s", r.Key, r.Value)
		}
		w.written = append(w.written, text)
	}
	return errors.Join(err, it.Err())
}

// batch appends records to the source, whose keys and values tell their offsets.
func (w *world) batch(codec compress.Codec, size int, offsets ...int64) {
	var bl record.Builder
	spec := record.DefaultSpec()
	spec.BaseOffset, spec.Codec, spec.Level = offsets[0], codec, codec.DefaultLevel()
	bl.Reset(spec)
	for _, o := range offsets {
		value := fmt.Sprint("v", o)
		value += strings.Repeat(".", max(0, size-len(value)))
		if err := bl.AppendRecord(&record.Record{Offset: o, Key: []byte(fmt.Sprint("k", o)), Value: []byte(value), RawHeaders: []byte{0}}); err != nil {
			w.t.Fatal(err)
		}
	}
	var err error
	if w.source, err = bl.Build(w.source); err != nil {
		w.t.Fatal(err)
	}
}

// write writes a letter of the given ranges and waits until nothing moves any more.
func (w *world) write(records ...Range) {
	w.writer.Write(Letter{Group: "g", Topic: "t", Partition: 5, Records: records, Done: func() { w.done.Add(1) }})
	synctest.Wait()
}

// writeOutside is write outside of a bubble, which compression must not be called in: it
// keeps its encoders for whoever comes next.
func (w *world) writeOutside(records ...Range) {
	done := make(chan struct{})
	w.writer.Write(Letter{Group: "g", Topic: "t", Partition: 5, Records: records, Done: func() { w.done.Add(1); close(done) }})
	<-done
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if got := strings.Join(w.written, "\n"); got != strings.Join(want, "\n") {
		w.t.Errorf("written is\n%s\nit should be\n%s", got, strings.Join(want, "\n"))
	}
	if w.done.Load() != 1 {
		w.t.Errorf("done %d times; log: %s", w.done.Load(), &w.logged)
	}
}

func TestALetterTellsWhereItsRecordsAreAndWhyTheyAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.write(Range{7, 8, 3, "Offset rejected by client."}, Range{10, 10, 1, ""})
		w.expect(
			"1: topic=t partition=5 offset=7 group=g delivery.count=3 message=Offset rejected by client.",
			"1: topic=t partition=5 offset=8 group=g delivery.count=3 message=Offset rejected by client.",
			"1: topic=t partition=5 offset=10 group=g delivery.count=1",
		)
		if w.batches != 1 {
			t.Errorf("%d batches", w.batches)
		}
	})
}

func TestALetterCopiesWhatTheSourceStillHas(t *testing.T) {
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			w := newWorld(t)
			w.settings.Copy = true
			w.batch(codec, 0, 4, 5, 6, 8) // 7 was compacted away
			w.batch(codec, 0, 9)
			w.batch(codec, 0, 12) // so was all of 10-11
			w.writeOutside(Range{5, 10, 1, ""}, Range{12, 14, 2, ""})
			head := "1: topic=t partition=5 offset=%d group=g delivery.count=%d"
			w.expect(
				fmt.Sprintf(head+" k5=v5", 5, 1), fmt.Sprintf(head+" k6=v6", 6, 1), fmt.Sprintf(head, 7, 1), fmt.Sprintf(head+" k8=v8", 8, 1),
				fmt.Sprintf(head+" k9=v9", 9, 1), fmt.Sprintf(head, 10, 1),
				fmt.Sprintf(head+" k12=v12", 12, 2), fmt.Sprintf(head, 13, 2), fmt.Sprintf(head, 14, 2),
			)
			if w.batches != 1 {
				t.Errorf("%d batches", w.batches)
			}
		})
	}
}

func TestALetterIsCutToWhatTheTopicTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.settings.Copy = true
		w.topic.MaxMessageBytes = 1000
		w.batch(compress.None, 300, 0, 1, 2, 3)
		w.batch(compress.None, 2000, 4) // too large by itself
		w.batch(compress.None, 300, 5)
		w.write(Range{0, 5, 1, ""})
		head := "1: topic=t partition=5 offset=%d group=g delivery.count=1"
		var want []string
		for o := range 6 {
			text := fmt.Sprintf(head, o)
			if o != 4 {
				text += fmt.Sprintf(" k%d=%.10s", o, fmt.Sprintf("v%d..........", o))
			}
			want = append(want, text)
		}
		w.expect(want...)
		if w.batches < 3 {
			t.Errorf("%d batches", w.batches)
		}
	})
}

func TestADamagedSourceLeavesTheHeaders(t *testing.T) {
	w := newWorld(t)
	w.settings.Copy = true
	w.batch(compress.Gzip, 0, 0, 1)
	clear(w.source[record.HeaderSize:])
	w.writeOutside(Range{0, 1, 1, ""})
	w.expect("1: topic=t partition=5 offset=0 group=g delivery.count=1", "1: topic=t partition=5 offset=1 group=g delivery.count=1")
}

func TestWhatMaySucceedLaterIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		w.produce = func(n int) error {
			if n <= maxRetries {
				return fmt.Errorf("not now: %w", protocol.NotEnoughReplicas)
			}
			return nil
		}
		w.write(Range{0, 0, 1, ""})
		if w.done.Load() != 0 {
			t.Fatal("done with what is not written")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		w.expect("1: topic=t partition=5 offset=0 group=g delivery.count=1")
		if w.produced != maxRetries+1 || w.logged.Len() > 0 {
			t.Errorf("tried %d times since %v; %s", w.produced, start, &w.logged)
		}
	})
}

func TestALetterIsGivenUpWhenNothingHelps(t *testing.T) {
	retriable := func(int) error { return protocol.NotLeaderOrFollower }
	for name, c := range map[string]struct {
		change func(*world)
		tries  int
		says   string // "" if it is no failure
	}{
		"retries are over":      {func(w *world) { w.produce = retriable }, maxRetries + 1, "NOT_LEADER"},
		"the topic refuses":     {func(w *world) { w.produce = func(int) error { return protocol.InvalidRecord } }, 1, "INVALID_RECORD"},
		"not meant for letters": {func(w *world) { w.topic.Enabled = false }, 0, "errors.deadletterqueue.group.enable=true"},
		"another prefix":        {func(w *world) { w.settings.Topic = "orders" }, 0, "errors.deadletterqueue.topic.name.prefix"},
		"internal":              {func(w *world) { w.settings = Settings{Topic: "__x"} }, 0, "errors.deadletterqueue.topic.name"},
		"missing":               {func(w *world) { w.topic = nil }, 0, "auto.create.topics.enable=true"},
		"cannot be created": {func(w *world) {
			w.topic, w.settings.AutoCreate, w.create = nil, true, func() error { return protocol.PolicyViolation }
		}, 0, "POLICY_VIOLATION"},
		"created, but not there":   {func(w *world) { w.topic, w.settings.AutoCreate, w.create = nil, true, func() error { return nil } }, 0, "LEADER_NOT_AVAILABLE"},
		"no dead-letter topic now": {func(w *world) { w.settings.Topic = "" }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c.change(w)
				w.write(Range{3, 4, 1, ""})
				time.Sleep(time.Hour)
				synctest.Wait()
				w.expect()
				if w.produced != c.tries {
					t.Errorf("tried %d times", w.produced)
				}
				said := w.logged.String()
				if c.says == "" && said != "" || !strings.Contains(said, c.says) || c.says != "" && !strings.Contains(said, "group=g") {
					t.Errorf("logged: %q", said)
				}
			})
		})
	}
}

func TestAMissingTopicIsCreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.topic, w.settings.AutoCreate = nil, true
		w.write(Range{0, 0, 1, ""})
		w.expect("0: topic=t partition=5 offset=0 group=g delivery.count=1")
	})
}

func TestLettersThatAreGivenUpDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.topic.Enabled = false
		for range 100 {
			w.write(Range{0, 0, 1, ""})
		}
		time.Sleep(warnEvery)
		w.write(Range{0, 0, 1, ""})
		if got := strings.Count(w.logged.String(), "\n"); got != 2 || !strings.Contains(w.logged.String(), "unreported_before=99") {
			t.Errorf("%d lines: %s", got, &w.logged)
		}
		if w.done.Load() != 101 {
			t.Errorf("done with %d", w.done.Load())
		}
	})
}

func TestAClosedWriterWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce = func(int) error { return protocol.NotEnoughReplicas }
		w.write(Range{0, 0, 1, ""})
		w.writer.Close()
		w.produce = nil
		time.Sleep(time.Hour)
		w.write(Range{1, 1, 1, ""})
		if w.done.Load() != 0 || len(w.written) > 0 {
			t.Errorf("done %d, written %v", w.done.Load(), w.written)
		}
	})
}

func TestFewLettersAreWrittenAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.writer.Log = slog.New(slog.DiscardHandler)
		gate := make(chan struct{})
		entered := make(chan struct{}, 100)
		w.writer.Cluster = slow{w, gate, entered}
		for range 20 {
			w.write(Range{0, 0, 1, ""})
		}
		if len(entered) != maxWorkers {
			t.Errorf("%d letters are written at a time", len(entered))
		}
		close(gate)
		synctest.Wait()
		if len(entered) != 20 {
			t.Errorf("%d letters were written", len(entered))
		}
	})
}

// slow is a cluster whose produces wait.
type slow struct {
	*world
	gate    chan struct{}
	entered chan struct{}
}

func (s slow) Produce(string, int32, []byte) error {
	s.entered <- struct{}{}
	<-s.gate
	return nil
}
