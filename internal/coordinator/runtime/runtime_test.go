package runtime_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/coordinator/runtime/runtimetest"
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// call is an operation of the core below: "put k v", "get k", "wait k" (answered when
// k is put), "timer k ms", "cancel k", "many n" (n records).
type call struct {
	op    string
	value string // answered by the core
	reply func(string)
}

func (c *call) Reply()                       { c.reply(c.value) }
func (c *call) Fail(code protocol.ErrorCode) { c.reply(code.String()) }

// kv is a core that remembers keys and values.
type kv struct {
	data    map[string]string
	waiting map[string]*call
	expired []string
}

func newKV(int32) runtime.Core { return &kv{data: map[string]string{}, waiting: map[string]*call{}} }

func (k *kv) Handle(c runtime.Call, nowMs int64, out *runtime.Effects) {
	call := c.(*call)
	words := strings.Fields(call.op)
	var n int64
	switch words[0] {
	case "put":
		k.data[words[1]] = words[2]
		out.Write([]byte(words[1]), []byte(words[2]))
		if w := k.waiting[words[1]]; w != nil {
			delete(k.waiting, words[1])
			w.value = words[2]
			out.Answer(w)
		}
	case "get":
		call.value = k.data[words[1]]
	case "wait":
		k.waiting[words[1]] = call
		return
	case "timer":
		fmt.Sscan(words[2], &n)
		out.Schedule(runtime.TimerKey{Name: words[1]}, nowMs+n)
	case "cancel":
		out.Cancel(runtime.TimerKey{Name: words[1]})
	case "expired":
		call.value = strings.Join(k.expired, ",")
	case "many":
		fmt.Sscan(words[1], &n)
		for i := range n {
			key := fmt.Sprint("key", i)
			k.data[key] = strings.Repeat("x", 100)
			out.Write([]byte(key), []byte(k.data[key]))
		}
	}
	out.Answer(call)
}

func (k *kv) Expire(key runtime.TimerKey, nowMs int64, _ *runtime.Effects) {
	k.expired = append(k.expired, fmt.Sprintf("%s@%d", key.Name, nowMs))
}

func (k *kv) Apply(key, value []byte, _ runtime.Origin) error {
	if string(key) == "poison" {
		return errors.New("cannot be read")
	}
	k.data[string(key)] = string(value)
	return nil
}

func (k *kv) ApplyMarker(runtime.Origin, bool) error { return nil }
func (k *kv) Loaded(int64, *runtime.Effects)         {}

func (k *kv) Unload() []runtime.Call {
	var out []runtime.Call
	for _, c := range k.waiting {
		out = append(out, c)
	}
	return out
}

type fixture struct {
	*runtimetest.World
	log     *runtimetest.Log
	rt      *runtime.Runtime
	answers []string
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{World: runtimetest.NewWorld(1000), log: runtimetest.NewLog()}
	f.rt = runtime.New(f.config())
	f.rt.Elect(0, 1)
	t.Cleanup(func() {
		f.rt.Resign(0, 100)
		f.Run()
		f.rt.Close()
	})
	return f
}

func (f *fixture) config() runtime.Config {
	return runtime.Config{
		Topic: "test", Log: f.log, Clock: f.World, NewCore: newKV, Go: f.Go, WriteTimeoutMs: 500,
		LoadBufferBytes: 200, MaxBatchBytes: 1000, Logger: slog.New(slog.DiscardHandler),
	}
}

func (f *fixture) submit(op string) {
	f.rt.Submit(0, &call{op: op, reply: func(s string) { f.answers = append(f.answers, op+" = "+s) }})
}

func (f *fixture) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(f.answers, want) {
		t.Fatalf("answers are %q, want %q", f.answers, want)
	}
	f.answers = nil
}

func TestCallsAreRefusedUntilThePartitionIsLoaded(t *testing.T) {
	f := newFixture(t)
	f.submit("get a")
	f.expect(t, "get a = COORDINATOR_LOAD_IN_PROGRESS")
	f.Run()
	f.submit("get a")
	f.Run()
	f.expect(t, "get a = ")
}

func TestCallsForAPartitionOfAnotherNodeAreRefused(t *testing.T) {
	f := newFixture(t)
	f.rt.Submit(7, &call{op: "get a", reply: func(s string) { f.answers = append(f.answers, s) }})
	f.expect(t, "NOT_COORDINATOR")
}

func TestAnswersWaitForTheHighWatermark(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.log.Hold()
	f.submit("put a 1")
	f.Run()
	f.submit("get a")
	f.Run()
	f.expect(t)
	f.log.Release()
	f.expect(t, "put a 1 = ", "get a = 1")
}

func TestReadsWithNothingUncommittedAreAnsweredAtOnce(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.log.Hold()
	f.submit("get a")
	f.Run()
	f.expect(t, "get a = ")
}

func TestEventsDrainedTogetherAreOneBatch(t *testing.T) {
	f := newFixture(t)
	f.Run()
	for i := range 5 {
		f.submit(fmt.Sprintf("put k%d v", i))
	}
	f.Run()
	if n := f.log.Batches(0); n != 1 {
		t.Fatalf("%d batches were written for one drain, want 1", n)
	}
}

func TestBatchesAreCompressedAndReadBack(t *testing.T) {
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		f := newFixture(t)
		f.Run()
		cfg := f.config()
		cfg.Codec = codec
		for range 2 { // the second reads what the first wrote
			rt := runtime.New(cfg)
			rt.Elect(0, 1)
			f.Run()
			rt.Submit(0, &call{op: "get key19", reply: func(s string) { f.answers = append(f.answers, s) }})
			f.Run()
			rt.Submit(0, &call{op: "many 20", reply: func(string) {}})
			f.Run()
			rt.Resign(0, 2)
			f.Run()
			rt.Close()
		}
		f.expect(t, "", strings.Repeat("x", 100))
		raw, err := f.log.Read(0, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		if batch, _, err := record.Next(raw); err != nil || batch.Codec() != codec {
			t.Errorf("with codec %d a batch has codec %d, %v", codec, batch.Codec(), err)
		}
	}
}

func TestAnEventTooLargeForOneBatchIsSplitAndAnsweredOnce(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.submit("put small v")
	f.submit("many 20")
	f.submit("put after v")
	f.Run()
	f.expect(t, "put small v = ", "many 20 = ", "put after v = ")
	if n := f.log.Batches(0); n < 3 {
		t.Fatalf("%d batches, want several of at most 1000 bytes", n)
	}
	if n := len(f.log.Entries(0)); n != 22 {
		t.Fatalf("%d records in the log, want 22", n)
	}
}

func TestMemoryIsReadAgainAfterAFailedWrite(t *testing.T) {
	f := newFixture(t)
	f.Advance(1000)
	f.submit("put a 1")
	f.submit("wait b")
	f.Run()
	f.expect(t, "put a 1 = ")
	f.log.FailAppends(fmt.Errorf("too few replicas: %w", protocol.NotEnoughReplicas))
	f.submit("put a 2")
	f.Run()
	f.expect(t, "put a 2 = COORDINATOR_NOT_AVAILABLE", "wait b = COORDINATOR_NOT_AVAILABLE")
	f.log.FailAppends(nil)
	f.submit("get a")
	f.Run()
	f.expect(t, "get a = 1")
}

func TestALogThatRefusesEveryWriteIsNotReadAllTheTime(t *testing.T) {
	f := newFixture(t)
	f.Advance(1000)
	f.log.FailAppends(protocol.NotEnoughReplicas)
	f.submit("put a 1") // the load was long ago: memory is read again at once
	f.Run()
	f.submit("put a 2")
	f.Run()
	f.submit("get a")
	f.expect(t, "put a 1 = COORDINATOR_NOT_AVAILABLE", "put a 2 = COORDINATOR_NOT_AVAILABLE", "get a = COORDINATOR_LOAD_IN_PROGRESS")
	f.Advance(999)
	f.submit("get a")
	f.Advance(1)
	f.submit("get a")
	f.Run()
	f.expect(t, "get a = COORDINATOR_LOAD_IN_PROGRESS", "get a = ")
}

func TestLosingTheLeadershipFailsEverybodyWhoWaits(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.log.Hold()
	f.submit("put a 1")
	f.submit("wait b")
	f.Run()
	f.log.LoseLeadership(0)
	f.Run()
	f.expect(t, "put a 1 = NOT_COORDINATOR", "wait b = NOT_COORDINATOR")
}

func TestResigningFailsEverybodyWhoWaits(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.log.Hold()
	f.submit("wait b")
	f.submit("put a 1")
	f.Run()
	f.submit("get a")
	f.rt.Resign(0, 2)
	f.Run()
	f.log.Release()
	f.expect(t, "get a = NOT_COORDINATOR", "put a 1 = NOT_COORDINATOR", "wait b = NOT_COORDINATOR")
	f.rt.Elect(0, 3)
	f.Run()
	f.submit("get a")
	f.Run()
	f.expect(t, "get a = 1")
}

// hookedLog does something while a write is under way.
type hookedLog struct {
	*runtimetest.Log
	during func()
}

func (l hookedLog) Append(partition, leaderEpoch int32, batches []byte) (int64, error) {
	l.during()
	return l.Log.Append(partition, leaderEpoch, batches)
}

func TestAWriteThatWasUnderWayWhenThePartitionWasResignedIsNotConfirmed(t *testing.T) {
	f := &fixture{World: runtimetest.NewWorld(1000), log: runtimetest.NewLog()}
	cfg := f.config()
	cfg.Log = hookedLog{f.log, func() { f.rt.Resign(0, 2) }}
	f.rt = runtime.New(cfg)
	f.rt.Elect(0, 1)
	f.Run()
	f.submit("put a 1")
	f.submit("get a")
	f.Run()
	f.expect(t, "put a 1 = NOT_COORDINATOR", "get a = NOT_COORDINATOR")
}

func TestAnOldResignationIsIgnored(t *testing.T) {
	f := newFixture(t)
	f.rt.Elect(0, 5)
	f.Run()
	f.rt.Resign(0, 4)
	f.submit("get a")
	f.Run()
	f.expect(t, "get a = ")
}

func TestWhatIsReadAtLoadIsNotToldBeforeItIsCommitted(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.log.Hold()
	f.submit("put a 1")
	f.Run()
	f.rt.Resign(0, 2)
	f.rt.Elect(0, 3)
	f.Run()
	f.answers = nil
	f.submit("get a")
	f.Run()
	f.expect(t)
	f.log.Release()
	f.expect(t, "get a = 1")
}

func TestCallsThatWaitTooLongForTheHighWatermarkFail(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.log.Hold()
	f.submit("put a 1")
	f.Run()
	f.Advance(499)
	f.expect(t)
	f.Advance(1)
	f.expect(t, "put a 1 = COORDINATOR_NOT_AVAILABLE")
	f.log.Release()
	f.submit("get a")
	f.Run()
	f.expect(t, "get a = 1")
	if n := f.Timers(); n != 0 {
		t.Errorf("an idle shard has %d timers", n)
	}
}

func TestAStalledLogBoundsTheAppendsInFlight(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.log.Hold()
	for i := range 30 {
		f.submit(fmt.Sprintf("put a %d", i))
		f.Run()
	}
	if n := f.log.Batches(0); n != 8 {
		t.Fatalf("%d batches were written without one being committed, want 8", n)
	}
	f.log.Release()
	f.Run()
	if len(f.answers) != 30 {
		t.Fatalf("%d of 30 calls are answered", len(f.answers))
	}
	if n := f.log.Batches(0); n != 9 {
		t.Errorf("the calls that gathered were written in %d batches, want 1", n-8)
	}
}

func TestTimersFallDueAtTheirTimeAndCanBeMovedAndCancelled(t *testing.T) {
	f := newFixture(t)
	f.Run()
	for _, op := range []string{"timer a 100", "timer b 50", "timer c 70", "timer b 200", "timer d 300", "timer d 10", "cancel c"} {
		f.submit(op)
	}
	f.Run()
	f.Advance(1000)
	f.answers = nil
	f.submit("expired")
	f.Run()
	f.expect(t, "expired = d@1010,a@1100,b@1200")
	if n := f.Timers(); n != 0 {
		t.Errorf("an idle shard has %d timers", n)
	}
}

func TestALogThatCannotBeReadIsTriedAgain(t *testing.T) {
	f := newFixture(t)
	f.Run()
	f.submit("put poison 1")
	f.Run()
	f.rt.Resign(0, 2)
	f.rt.Elect(0, 3)
	f.Run()
	f.answers = nil
	f.submit("get a")
	f.expect(t, "get a = NOT_COORDINATOR")
	f.log.Clear()
	f.Advance(1000)
	f.submit("get a")
	f.Run()
	f.expect(t, "get a = ")
}

func TestAFullMailboxRefusesCalls(t *testing.T) {
	f := newFixture(t)
	f.Run()
	for range 16384 {
		f.submit("get a")
	}
	f.submit("get b")
	f.expect(t, "get b = COORDINATOR_NOT_AVAILABLE")
	f.Run()
	if len(f.answers) != 16384 {
		t.Fatalf("%d calls answered", len(f.answers))
	}
}

func TestConcurrentCallsAreAllAnsweredAndCloseWaits(t *testing.T) {
	f := &fixture{World: runtimetest.NewWorld(1000), log: runtimetest.NewLog()}
	cfg := f.config()
	cfg.Go = nil
	rt := runtime.New(cfg)
	for p := range int32(3) {
		rt.Elect(p, 1)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				answered := make(chan string, 1)
				rt.Submit(int32(i%3), &call{op: fmt.Sprintf("put k%d %d", g, i), reply: func(s string) { answered <- s }})
				<-answered
			}
		})
	}
	wg.Wait()
	rt.Close()
	rt.Submit(0, &call{op: "get a", reply: func(s string) {
		if s != "NOT_COORDINATOR" {
			t.Errorf("a closed runtime answered %q", s)
		}
	}})
}

// slowLog commits on other goroutines, and now and then refuses or loses a write.
type slowLog struct {
	*runtimetest.Log
	n atomic.Int64
}

func (l *slowLog) Append(partition, leaderEpoch int32, batches []byte) (int64, error) {
	if l.n.Add(1)%50 == 0 {
		return 0, protocol.NotEnoughReplicas
	}
	return l.Log.Append(partition, leaderEpoch, batches)
}

func (l *slowLog) AwaitCommitted(_, _ int32, _ int64, done func(error)) {
	n := l.n.Add(1)
	go func() {
		if n%70 == 0 {
			done(protocol.NotLeaderOrFollower)
		} else {
			done(nil)
		}
	}()
}

func TestEveryCallIsAnsweredOnceWhileLeadershipComesAndGoes(t *testing.T) {
	world := runtimetest.NewWorld(1000)
	f := &fixture{World: world, log: runtimetest.NewLog()}
	cfg := f.config()
	cfg.Go, cfg.Log = nil, &slowLog{Log: f.log}
	rt := runtime.New(cfg)
	const enough = 1000
	var served, issued, answered, twice atomic.Int64
	var clients, leaders sync.WaitGroup
	leaders.Go(func() {
		for epoch := int32(1); served.Load() < enough; epoch += 2 {
			rt.Elect(0, epoch)
			for until := served.Load() + 100; served.Load() < min(until, enough); {
				world.Advance(200) // let pauses and patience end
			}
			rt.Resign(0, epoch+1)
		}
	})
	for range 4 {
		clients.Go(func() {
			ops := []string{"put a 1", "get a", "put b 2", "timer x 5", "expired"}
			for i := 0; served.Load() < enough; i++ {
				done, times := make(chan struct{}, 2), new(atomic.Int64)
				issued.Add(1)
				rt.Submit(0, &call{op: ops[i%len(ops)], reply: func(code string) {
					answered.Add(1)
					if times.Add(1) > 1 {
						twice.Add(1)
					}
					if !strings.Contains(code, "COORDINATOR") {
						served.Add(1)
					}
					done <- struct{}{}
				}})
				if i%4 == 0 {
					<-done
				}
			}
		})
	}
	clients.Wait()
	leaders.Wait()
	rt.Close()
	if answered.Load() != issued.Load() || twice.Load() != 0 {
		t.Errorf("%d calls were answered %d times, %d of them more than once", issued.Load(), answered.Load(), twice.Load())
	}
	t.Logf("%d of %d calls were served", served.Load(), issued.Load())
}
