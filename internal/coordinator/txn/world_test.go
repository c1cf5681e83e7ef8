package txn

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/coordinator/runtime/runtimetest"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

const testPartitions = 3

// world is a coordinator in virtual time over a log in memory. After every step it
// holds the memory against a replay of the log.
type world struct {
	*runtimetest.World
	t          testing.TB
	log        *runtimetest.Log
	c          *Coordinator
	settings   Settings
	cores      map[int32]*core
	epoch      int32
	producerID int64
	places     *places
}

func newWorld(t testing.TB, change func(*Settings)) *world {
	w := &world{World: runtimetest.NewWorld(1_000_000), t: t, log: runtimetest.NewLog(), settings: DefaultSettings(), producerID: 100}
	w.places = &places{}
	if change != nil {
		change(&w.settings)
	}
	w.start()
	return w
}

// start makes a coordinator that knows nothing but the log.
func (w *world) start() {
	cores := map[int32]*core{}
	w.cores = cores
	w.epoch++
	w.c = build(Config{
		Settings: w.settings, Partitions: testPartitions, Log: w.log, Clock: w.World, Go: w.Go,
		Logger: slog.New(slog.DiscardHandler), Participants: w.places,
		NewProducerID: func() (int64, error) {
			w.producerID++
			return w.producerID, nil
		},
	}, func(c *core) runtime.Core {
		return watched{c, cores}
	})
	for p := range int32(testPartitions) {
		w.c.OnElected(p, w.epoch)
	}
	w.Run()
}

// watched is a core of which it is known when it has memory.
type watched struct {
	*core
	cores map[int32]*core
}

func (w watched) Loaded(nowMs int64, out *runtime.Effects) {
	w.core.Loaded(nowMs, out)
	w.cores[w.partition()] = w.core
}

func (w watched) partition() int32 {
	s := w.core.end(Ending{}).(*sender)
	return s.partition
}

func (w watched) Unload() []runtime.Call {
	delete(w.cores, w.partition())
	return w.core.Unload()
}

// crash forgets everything but the log.
func (w *world) crash() {
	old := w.c
	w.start()
	for p := range int32(testPartitions) {
		old.OnResigned(p, w.epoch)
	}
	w.Run()
}

// check holds memory against a replay of the log, and of the compacted log.
func (w *world) check() {
	w.t.Helper()
	for p, live := range w.cores {
		want := dump(live)
		for name, log := range map[string]*runtimetest.Log{"log": w.log, "compacted log": w.log.Compacted()} {
			replayed := newCore(&w.settings, nil)
			for _, e := range log.Entries(p) {
				if err := replayed.Apply(e.Key, e.Value, runtime.Origin{Offset: e.Offset}); err != nil {
					w.t.Fatalf("replaying the %s: %v", name, err)
				}
			}
			if got := dump(replayed); got != want {
				w.t.Fatalf("partition %d: a replay of the %s gives\n%s\nbut memory is\n%s", p, name, got, want)
			}
		}
	}
}

func dump(c *core) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(c.ids)) {
		fmt.Fprintln(&b, c.ids[id])
	}
	for _, id := range slices.Sorted(maps.Keys(c.ongoing)) {
		fmt.Fprintln(&b, "ongoing", id)
	}
	return b.String()
}

// places are the partitions that take part: what they are told is kept, and their
// answers can be held back or be errors.
type places struct {
	held  bool
	code  protocol.ErrorCode
	calls []func()
	seen  func(m Marker, p TopicPartition)
}

// WriteMarkers implements Participants.
func (s *places) WriteMarkers(m Marker, partitions []TopicPartition, done func(TopicPartition, error)) {
	for _, p := range partitions {
		if s.seen != nil {
			s.seen(m, p)
		}
		answer := func(code protocol.ErrorCode) {
			if code != protocol.None {
				done(p, code)
				return
			}
			done(p, nil)
		}
		if s.held {
			s.calls = append(s.calls, func() { answer(protocol.None) })
			continue
		}
		answer(s.code)
	}
}

func (s *places) release() {
	calls := s.calls
	s.held, s.calls = false, nil
	for _, f := range calls {
		f()
	}
}
