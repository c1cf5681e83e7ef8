package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

func TestHighWatermarkNeedsEnoughInSyncReplicasAndNeverMovesBack(t *testing.T) {
	var s state
	s.advance(10)
	if s.highWatermark != 0 {
		t.Error("a replica that does not lead moved its high watermark")
	}
	s.lead(1, 1, 1, 1, 10)
	if s.highWatermark != 10 {
		t.Errorf("high watermark %d: the sole replica has every committed record", s.highWatermark)
	}
	if s.advance(7) || s.highWatermark != 10 {
		t.Errorf("high watermark moved back to %d", s.highWatermark)
	}
	s.lead(2, 3, 1, 2, 12)
	if s.advance(20) || s.acceptsAll() {
		t.Error("one of two required replicas is in sync, yet records are committed")
	}
	s.lead(2, 3, 2, 2, 20)
	if s.highWatermark != 20 || !s.acceptsAll() {
		t.Errorf("high watermark %d after the second replica joined, want 20", s.highWatermark)
	}
	s.lead(3, 1, 1, 3, 21)
	if !s.acceptsAll() {
		t.Error("min.insync.replicas above the replication factor must not stop writes")
	}
}

func TestWaitingAppendsAreTakenInOrderOfOffset(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var w waiting
	pending := map[int64]bool{}
	next, high := int64(1), int64(0)
	for range 5000 {
		if random.IntN(3) > 0 {
			// Two appends may arrive in the other order.
			w.add(&Append{until: next + 1})
			w.add(&Append{until: next})
			pending[next], pending[next+1] = true, true
			next += 2
			continue
		}
		high += random.Int64N(max(1, next-high))
		last := int64(-1)
		for _, a := range w.take(high, nil) {
			if a.until > high || a.until < last || !pending[a.until] {
				t.Fatalf("append for %d was taken at high watermark %d after %d", a.until, high, last)
			}
			last = a.until
			delete(pending, a.until)
		}
		for until := range pending {
			if until <= high {
				t.Fatalf("append for %d still waits at high watermark %d", until, high)
			}
		}
	}
}

// world is a manager over real logs that follows images made from records.
type world struct {
	t       *testing.T
	manager *Manager
	image   *metadata.Image
	logs    *storage.Manager
}

func newWorld(t *testing.T, settings map[string]string) *world {
	t.Helper()
	logs, err := storage.Open(storage.Config{Dirs: []string{t.TempDir()}, NodeID: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := logs.Close(); err != nil {
			t.Error(err)
		}
	})
	values, err := config.NewValues(settings)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, image: metadata.NewImage(), logs: logs, manager: NewManager(Config{
		NodeID: 1, Logs: logs, Log: slog.New(slog.DiscardHandler),
		Settings: func(*metadata.Image) config.Values { return values },
	})}
}

// change applies records to the image and to the manager.
func (w *world) change(records ...metadata.Record) {
	w.t.Helper()
	d := metadata.NewDelta(w.image)
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			w.t.Fatal(err)
		}
	}
	next := d.Image(w.image.Offset+1, 1)
	changes := d.Changes(next)
	w.image = next
	if err := w.manager.Apply(changes); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) createTopic(name string, id byte, leader int32) {
	w.t.Helper()
	topicID := protocol.UUID{id}
	partition := &metarecord.PartitionRecord{}
	partition.SetDefaults()
	partition.PartitionId, partition.LeaderEpoch, partition.PartitionEpoch = 0, 0, 0
	partition.TopicId, partition.Replicas, partition.Isr, partition.Leader = topicID, []int32{1}, []int32{1}, leader
	partition.Directories = []protocol.UUID{{15: 1}}
	w.change(&metarecord.TopicRecord{Name: name, TopicId: topicID}, partition)
}

func batch(t *testing.T, values ...string) []byte {
	t.Helper()
	var b record.Builder
	b.Reset(record.DefaultSpec())
	for _, v := range values {
		if err := b.Append(time.Now().UnixMilli(), nil, []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// append appends and waits for the answer.
func (w *world) append(p *Partition, acks int16, values ...string) *Append {
	w.t.Helper()
	done := make(chan struct{})
	a := &Append{Log: storage.Append{Batches: batch(w.t, values...)}, Acks: acks, Done: func(*Append) { close(done) }}
	p.Append(a)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		w.t.Fatal("the append was not answered")
	}
	return a
}

func TestAppendIsReadableWhenItIsAnswered(t *testing.T) {
	for _, durability := range []string{"os", "group"} {
		t.Run(durability, func(t *testing.T) {
			w := newWorld(t, map[string]string{"naru.durability": durability})
			w.createTopic("t", 7, 1)
			p := w.manager.Partition("t", 0)
			if p == nil || p != w.manager.PartitionByID(protocol.UUID{7}, 0) || w.manager.Partition("t", 1) != nil {
				t.Fatal("the partition is not found by name and id, or one too many is")
			}
			for i := range 20 {
				a := w.append(p, -1, "one", "two")
				if a.Err != nil || a.Log.BaseOffset != int64(2*i) {
					t.Fatalf("append %d: offset %d, error %v", i, a.Log.BaseOffset, a.Err)
				}
				if durability == "group" && p.Log().DurableOffset() < int64(2*i+2) {
					t.Fatalf("answered at durable offset %d, the records end at %d", p.Log().DurableOffset(), 2*i+2)
				}
				var r ReadResult
				err := p.Read(ReadRequest{Offset: int64(2 * i), MaxBytes: 1 << 20, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}, &r)
				if err != nil || r.Size() == 0 || r.HighWatermark != int64(2*i+2) {
					t.Fatalf("read %d bytes, high watermark %d, error %v", r.Size(), r.HighWatermark, err)
				}
				r.Release()
			}
		})
	}
}

func TestReadChecksEpochsAndBounds(t *testing.T) {
	w := newWorld(t, map[string]string{"naru.durability": "os"})
	w.createTopic("t", 7, 1)
	p := w.manager.Partition("t", 0)
	w.append(p, 1, "a", "b", "c")
	for _, c := range []struct {
		request ReadRequest
		want    protocol.ErrorCode
	}{
		{ReadRequest{Offset: 0, CurrentLeaderEpoch: 0, LastFetchedEpoch: -1}, protocol.None},
		{ReadRequest{Offset: 3, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}, protocol.None},
		{ReadRequest{Offset: 4, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}, protocol.OffsetOutOfRange},
		{ReadRequest{Offset: -1, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}, protocol.OffsetOutOfRange},
		{ReadRequest{Offset: 0, CurrentLeaderEpoch: 1, LastFetchedEpoch: -1}, protocol.UnknownLeaderEpoch},
	} {
		var r ReadResult
		c.request.MaxBytes = 1000
		if got := protocol.CodeOf(p.Read(c.request, &r)); got != c.want {
			t.Errorf("%+v: %v, want %v", c.request, got, c.want)
		}
		r.Release()
	}
	if err := p.DeleteRecordsBefore(2); err != nil {
		t.Fatal(err)
	}
	var r ReadResult
	if err := p.Read(ReadRequest{Offset: 1, MaxBytes: 10, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}, &r); !errors.Is(err, protocol.OffsetOutOfRange) {
		t.Errorf("a deleted offset: %v", err)
	}
}

func TestResignedPartitionRefusesAppendsAndTellsThoseWhoWait(t *testing.T) {
	w := newWorld(t, map[string]string{"naru.durability": "os"})
	w.createTopic("t", 7, 1)
	p := w.manager.Partition("t", 0)
	var got atomic.Pointer[error]
	TopicLog{w.manager, "t"}.AwaitCommitted(0, 0, 100, func(err error) { got.Store(&err) })
	if got.Load() != nil {
		t.Fatal("offset 100 is not there, yet it is said to be committed")
	}
	change := &metarecord.PartitionChangeRecord{}
	change.SetDefaults()
	change.PartitionId = 0
	change.TopicId, change.Leader = protocol.UUID{7}, -1
	w.change(change)
	if err := got.Load(); err == nil || !errors.Is(*err, protocol.NotLeaderOrFollower) {
		t.Error("who waited was not told that leadership ended")
	}
	if a := w.append(p, 1, "late"); !errors.Is(a.Err, protocol.NotLeaderOrFollower) {
		t.Errorf("append after resigning: %v", a.Err)
	}
}

func TestWatchFiresOnceForEachArming(t *testing.T) {
	w := newWorld(t, map[string]string{"naru.durability": "os"})
	w.createTopic("a", 1, 1)
	w.createTopic("b", 2, 1)
	a, b := w.manager.Partition("a", 0), w.manager.Partition("b", 0)
	fired := 0
	watch := &Watch{}
	watch.Notify = func() { fired++ }
	watch.Add([]*Partition{a, b})
	w.append(a, 1, "not armed")
	watch.Arm()
	w.append(b, 1, "x")
	w.append(a, 1, "x")
	if fired != 1 {
		t.Errorf("fired %d times for one arming", fired)
	}
	watch.Arm()
	watch.Close()
	w.append(a, 1, "x")
	if fired != 1 || a.watches != nil || b.watches != nil {
		t.Errorf("a closed watch fired or stayed linked (%d)", fired)
	}
}

func TestDeletedTopicIsGoneAndItsNameCanBeUsedAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.createTopic("t", 1, 1)
	w.append(w.manager.Partition("t", 0), 1, "old")
	w.change(&metarecord.RemoveTopicRecord{TopicId: protocol.UUID{1}})
	if w.manager.Partition("t", 0) != nil || w.logs.Log("t", 0) != nil {
		t.Fatal("the deleted topic is still there")
	}
	w.createTopic("t", 2, 1)
	if end := w.manager.Partition("t", 0).Log().LogEndOffset(); end != 0 {
		t.Errorf("the new topic begins at offset %d", end)
	}
}

func TestTopicLogReadsBackWhatItAppended(t *testing.T) {
	w := newWorld(t, nil)
	w.createTopic("__consumer_offsets", 1, 1)
	log := TopicLog{w.manager, "__consumer_offsets"}
	for i := range 3 {
		end, err := log.Append(0, 0, batch(t, fmt.Sprint(i)))
		if err != nil || end != int64(i+1) {
			t.Fatalf("end %d, error %v", end, err)
		}
		committed := make(chan error)
		log.AwaitCommitted(0, 0, end, func(err error) { committed <- err })
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
	}
	data, err := log.Read(0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for len(data) > 0 {
		var b record.Batch
		if b, data, err = record.Next(data); err != nil || b.BaseOffset() != int64(n+1) {
			t.Fatalf("batch at %d: %v", b.BaseOffset(), err)
		}
		n++
	}
	if _, err := log.Append(0, 5, batch(t, "x")); !errors.Is(err, protocol.NotLeaderOrFollower) {
		t.Errorf("append in another epoch: %v", err)
	}
	if n != 2 {
		t.Errorf("%d batches from offset 1, want 2", n)
	}
}

func BenchmarkAppendWithAcksAll(b *testing.B) {
	b.ReportAllocs()
	logs, err := storage.Open(storage.Config{Dirs: []string{b.TempDir()}, NodeID: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer logs.Close()
	topic := &topic{name: "t", id: protocol.UUID{1}, partitions: make([]*Partition, 1)}
	m := NewManager(Config{NodeID: 1, Logs: logs, Log: slog.New(slog.DiscardHandler)})
	cfg := config.DefaultTopic()
	values, _ := config.NewValues(map[string]string{"naru.durability": "os"})
	p, err := m.open(topic, 0, cfg, values, 1)
	if err != nil {
		b.Fatal(err)
	}
	p.lead(1, 1, 1, 1)
	var builder record.Builder
	builder.Reset(record.DefaultSpec())
	_ = builder.Append(1, nil, make([]byte, 1000))
	data, _ := builder.Build(nil)
	a := &Append{Acks: -1, Done: func(a *Append) {
		if a.Err != nil {
			b.Error(a.Err)
		}
	}}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		a.Log.Batches = data
		p.Append(a)
	}
}
