package share

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/coordinator/runtime/runtimetest"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

const testPartitions = 2

// testTopic is the topic whose share partitions the tests have; it has three partitions.
var testTopic = protocol.UUID{1}

// prunedLog is a log in memory of which the old records can be deleted.
type prunedLog struct {
	*runtimetest.Log
	starts map[int32]int64
}

// Committed implements Log.
func (l *prunedLog) Committed(partition int32) int64 {
	_, end, _ := l.Log.Range(partition) // it does not fail
	return end
}

// DeleteBefore implements Log.
func (l *prunedLog) DeleteBefore(partition int32, offset int64) error {
	l.starts[partition] = offset
	return nil
}

// Range implements runtime.Log.
func (l *prunedLog) Range(partition int32) (start, end int64, err error) {
	_, end, err = l.Log.Range(partition)
	return l.starts[partition], end, err
}

// world is a coordinator in virtual time over a log in memory. After every step it
// holds the memory against a replay of what is left of the log.
type world struct {
	*runtimetest.World
	t        testing.TB
	log      *prunedLog
	c        *Coordinator
	settings Settings
	cores    map[int32]*core
	epoch    int32
}

func newWorld(t testing.TB, change func(*Settings)) *world {
	w := &world{
		World: runtimetest.NewWorld(1_000_000), t: t, settings: DefaultSettings(),
		log: &prunedLog{runtimetest.NewLog(), map[int32]int64{}},
	}
	change(&w.settings)
	w.start()
	return w
}

func (w *world) start() {
	cores := map[int32]*core{}
	w.cores = cores
	w.epoch++
	w.c = build(Config{
		Settings: w.settings, Partitions: testPartitions, Log: w.log, Clock: w.World, Go: w.Go,
		Logger: slog.New(slog.DiscardHandler),
		TopicPartitions: func(topic protocol.UUID) int32 {
			if topic == testTopic {
				return 3
			}
			return 0
		},
	}, func(partition int32, c *core) runtime.Core { return watched{c, partition, cores} })
	for p := range int32(testPartitions) {
		w.c.OnElected(p, w.epoch)
	}
	w.Run()
}

// watched is a core of which it is known when it has memory.
type watched struct {
	*core
	partition int32
	cores     map[int32]*core
}

// Loaded implements runtime.Core.
func (w watched) Loaded(nowMs int64, out *runtime.Effects) {
	w.core.Loaded(nowMs, out)
	w.cores[w.partition] = w.core
}

// Unload implements runtime.Core.
func (w watched) Unload() []runtime.Call {
	delete(w.cores, w.partition)
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

func (w *world) check() {
	w.t.Helper()
	for p, live := range w.cores {
		replayed := w.c.newCore(p)
		for _, e := range w.log.Entries(p) {
			if e.Offset < w.log.starts[p] {
				continue
			}
			if err := replayed.Apply(e.Key, e.Value, runtime.Origin{Offset: e.Offset}); err != nil {
				w.t.Fatalf("replaying: %v", err)
			}
		}
		if got, want := dump(replayed), dump(live); got != want {
			w.t.Fatalf("partition %d: a replay from offset %d gives\n%s\nbut memory is\n%s", p, w.log.starts[p], got, want)
		}
	}
}

func dump(c *core) string {
	var b strings.Builder
	for _, k := range c.sorted() {
		fmt.Fprintln(&b, k, c.states[k])
	}
	return b.String()
}
