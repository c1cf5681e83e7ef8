package sharefetch

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/naru-stream/naru/internal/broker/deadletter"
	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/vfs"
)

// topicID is the topic's, which has two partitions.
var topicID = protocol.UUID{7}

// world is group g on a broker with a topic in memory, in virtual time. What becomes of
// what is asked of it is noted as events.
type world struct {
	t        *testing.T
	m        *Manager
	image    *metadata.Image
	changes  *metadata.Changes // the last
	replicas *replica.Manager
	sessions *sharesession.Cache
	timer    *purgatory.Timer
	conns    uint64
	// sequences are the producers' next.
	sequences map[int64]int32

	mu       sync.Mutex
	settings Settings
	events   []string
	fetches  map[string]*Fetch
	letters  []deadletter.Letter
	// unanswered is how many acknowledgements are not answered yet.
	unanswered int
	state      state
	// gates hold up whoever comes there until they are opened: at "log" to read the log, at
	// "leader" to ask who leads partition 1.
	gates map[string]chan struct{}
}

// state is the share coordinator: it answers at once, or holds what it is asked until it
// is told the answer.
type state struct {
	held   bool
	code   protocol.ErrorCode // what it answers at once
	reads  []func(*protocol.ReadShareGroupStateResponsePartitionResult)
	writes []func(code protocol.ErrorCode)
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, image: metadata.NewImage(), sessions: sharesession.NewCache(), timer: purgatory.NewTimer(nil), fetches: map[string]*Fetch{}, gates: map[string]chan struct{}{}, sequences: map[int64]int32{},
		settings: Settings{Settings: sharepartition.Settings{MaxDeliveries: 5, MaxLocks: 100, LockMs: 1000, Renew: true}, Reset: Reset{Earliest: true}},
	}
	values, err := config.NewValues(map[string]string{"naru.durability": "os"})
	if err != nil {
		t.Fatal(err)
	}
	fs, discard := vfs.NewMem(), slog.New(slog.DiscardHandler)
	logs, err := storage.Open(storage.Config{FS: fs, Dirs: []string{"/data"}, NodeID: 1, Manual: true, Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	w.replicas = replica.NewManager(replica.Config{NodeID: 1, Logs: logs, Log: discard, Settings: func(*metadata.Image) config.Values { return values }})
	w.m = NewManager(Config{
		State: w, Partition: w.partition, WriteDeadLetter: w.write, Sessions: w.sessions, Timer: w.timer, Log: discard,
		NowMs: func() int64 { return time.Now().UnixMilli() },
		Settings: func(string) Settings {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.settings
		},
	})
	fs.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && strings.HasSuffix(op.Name, ".log") {
			w.pass("log")
		}
		return nil
	})
	records := []metadata.Record{&metarecord.TopicRecord{Name: "t", TopicId: topicID}}
	for index := range int32(2) {
		p := &metarecord.PartitionRecord{}
		p.SetDefaults()
		p.PartitionId, p.LeaderEpoch, p.PartitionEpoch = index, 0, 0
		p.TopicId, p.Replicas, p.Isr, p.Leader = topicID, []int32{1}, []int32{1}, 1
		p.Directories = []protocol.UUID{{15: 1}}
		records = append(records, p)
	}
	w.change(records...)
	t.Cleanup(func() {
		w.end()
		if err := logs.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// end answers what is under way: whatever came before, nobody may be left waiting.
func (w *world) end() {
	w.mu.Lock()
	w.state.held = false
	for name := range w.gates {
		w.open(name)
	}
	w.mu.Unlock()
	for len(w.state.reads) > 0 {
		w.answerRead(&protocol.ReadShareGroupStateResponsePartitionResult{ErrorCode: protocol.CoordinatorNotAvailable})
	}
	for len(w.state.writes) > 0 {
		w.answerWrite(protocol.CoordinatorNotAvailable)
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	if w.unanswered != 0 {
		w.t.Errorf("%d acknowledgements were not answered", w.unanswered)
	}
	for name := range w.fetches {
		w.t.Errorf("the fetch of %s was not answered", name)
	}
	w.timer.Close()
}

func (w *world) say(format string, values ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf(format, values...))
}

// change applies records to the image and to the replicas.
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
	w.image, w.changes = next, changes
	if err := w.replicas.Apply(changes); err != nil {
		w.t.Fatal(err)
	}
}

// elect makes a broker leader of a partition, in a new epoch; -1 is none.
func (w *world) elect(index, leader int32) {
	w.t.Helper()
	r := &metarecord.PartitionChangeRecord{}
	r.SetDefaults()
	r.TopicId, r.PartitionId, r.Leader = topicID, index, leader
	w.change(r)
}

// partition does what broker/server does.
func (w *world) partition(topic protocol.UUID, index int32) (*replica.Partition, error) {
	if index == 1 {
		w.pass("leader")
	}
	switch p := w.replicas.PartitionByID(topic, index); {
	case p == nil:
		return nil, protocol.UnknownTopicOrPartition
	case p.LeaderEpoch() < 0:
		return nil, protocol.NotLeaderOrFollower
	default:
		return p, nil
	}
}

// append appends a batch of n records, in the transaction of a producer if there is one.
func (w *world) append(index int32, n int, producer int64) {
	spec := record.DefaultSpec()
	if producer >= 0 {
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = producer, 0, w.sequences[producer], true
		w.sequences[producer] += int32(n)
	}
	var b record.Builder
	b.Reset(spec)
	for range n {
		if err := b.Append(time.Now().UnixMilli(), nil, []byte("value")); err != nil {
			w.t.Fatal(err)
		}
	}
	data, err := b.Build(nil)
	w.appendBatch(index, storage.Append{Batches: data}, err)
}

// endTxn appends the marker that ends the transaction of a producer.
func (w *world) endTxn(index int32, producer int64, how record.ControlType) {
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch = producer, 0
	var b record.Builder
	data, err := record.AppendEndTxn(nil, spec, record.EndTxnMarker{Type: how}, time.Now().UnixMilli(), &b)
	w.appendBatch(index, storage.Append{Batches: data, Origin: storage.OriginCoordinator}, err)
}

func (w *world) appendBatch(index int32, a storage.Append, err error) {
	if err != nil {
		w.t.Fatal(err)
	}
	w.replicas.Partition("t", index).Append(&replica.Append{Log: a, Acks: 1, Done: func(a *replica.Append) {
		if a.Err != nil {
			w.t.Error(a.Err)
		}
	}})
}

// within is called by what must be called with no lock held.
func (w *world) within() {
	w.m.Acknowledge("g", "nobody", sharesession.Partition{Topic: topicID}, nil, func(error) {})
}

// fetch starts a fetch of a member, the only one it has.
func (w *world) fetch(f *Fetch) {
	f.Group = "g"
	f.Done = func(results []Result) {
		w.within()
		w.mu.Lock()
		if w.fetches[f.Member] != f {
			w.t.Errorf("the fetch of %s was answered twice, or after it was abandoned", f.Member)
		}
		delete(w.fetches, f.Member)
		w.mu.Unlock()
		said := false
		for i := range results {
			r := &results[i]
			text := ""
			for _, a := range r.Acquired {
				text += fmt.Sprintf(" %d-%d:%d", a.First, a.Last, a.Count)
			}
			if r.Records.Length > 0 {
				text += " in " + w.batches(r)
				r.Records.Release()
			}
			if r.Err != nil {
				text += fmt.Sprintf(" %v: %v", protocol.CodeOf(r.Err), r.Err)
			}
			if text != "" {
				said = true
				w.say("%s gets of %d:%s", f.Member, r.Partition.Index, text)
			}
		}
		if !said {
			w.say("%s gets nothing", f.Member)
		}
	}
	w.mu.Lock()
	w.fetches[f.Member] = f
	w.mu.Unlock()
	go w.m.Start(f)
}

// batches returns the offsets of the record batches of a result.
func (w *world) batches(r *Result) string {
	data := make([]byte, r.Records.Length)
	if _, err := r.Records.ReadAt(data, 0); err != nil {
		w.t.Error(err)
	}
	var out []string
	for len(data) > 0 {
		b, rest, err := record.Next(data)
		if err != nil {
			w.t.Fatal(err)
		}
		out, data = append(out, fmt.Sprintf("%d-%d", b.BaseOffset(), b.LastOffset())), rest
	}
	return strings.Join(out, ",")
}

// acknowledge passes on what a member says.
func (w *world) acknowledge(member string, at sharesession.Partition, acks []sharepartition.AckBatch) {
	w.mu.Lock()
	w.unanswered++
	w.mu.Unlock()
	answers := 0
	w.m.Acknowledge("g", member, at, acks, func(err error) {
		w.within()
		w.mu.Lock()
		w.unanswered--
		if answers++; answers > 1 {
			w.t.Errorf("what %s acknowledges was answered %d times", member, answers)
		}
		w.mu.Unlock()
		if err != nil {
			w.say("%s is answered %v: %v", member, protocol.CodeOf(err), err)
			return
		}
		w.say("%s is answered", member)
	})
}

// ReadShareGroupState implements State.
func (w *world) ReadShareGroupState(_ runtime.Context, req *protocol.ReadShareGroupStateRequest, done func(*protocol.ReadShareGroupStateResponse)) {
	p := req.Topics[0].Partitions[0]
	w.say("read state of %d in leader epoch %d", p.Partition, p.LeaderEpoch)
	answer := func(r *protocol.ReadShareGroupStateResponsePartitionResult) {
		r.Partition = p.Partition
		done(&protocol.ReadShareGroupStateResponse{Results: []protocol.ReadShareGroupStateResponseReadStateResult{{
			TopicId: req.Topics[0].TopicId, Partitions: []protocol.ReadShareGroupStateResponsePartitionResult{*r},
		}}})
	}
	w.mu.Lock()
	held, code := w.state.held, w.state.code
	if held {
		w.state.reads = append(w.state.reads, answer)
	}
	w.mu.Unlock()
	if !held {
		answer(&protocol.ReadShareGroupStateResponsePartitionResult{ErrorCode: code, StateEpoch: 1, StartOffset: -1})
	}
}

// WriteShareGroupState implements State.
func (w *world) WriteShareGroupState(ctx runtime.Context, req *protocol.WriteShareGroupStateRequest, done func(*protocol.WriteShareGroupStateResponse)) {
	w.within()
	p := req.Topics[0].Partitions[0]
	text := ""
	for _, b := range p.StateBatches {
		text += fmt.Sprintf(" %d-%d:%s:%d", b.FirstOffset, b.LastOffset, sharepartition.State(b.DeliveryState), b.DeliveryCount)
	}
	w.say("write state of %d in epoch %d/%d, start %d, %d done:%s", p.Partition, p.LeaderEpoch, p.StateEpoch, p.StartOffset, p.DeliveryCompleteCount, text)
	answer := func(code protocol.ErrorCode) {
		result := protocol.WriteShareGroupStateResponsePartitionResult{Partition: p.Partition, ErrorCode: code}
		if code != protocol.None {
			text := "the coordinator says so"
			result.ErrorMessage = &text
		}
		done(&protocol.WriteShareGroupStateResponse{Results: []protocol.WriteShareGroupStateResponseWriteStateResult{{
			TopicId: req.Topics[0].TopicId, Partitions: []protocol.WriteShareGroupStateResponsePartitionResult{result},
		}}})
	}
	w.mu.Lock()
	held := w.state.held
	if held {
		w.state.writes = append(w.state.writes, answer)
	}
	w.mu.Unlock()
	if !held {
		answer(protocol.None)
	}
}

func (w *world) answerRead(r *protocol.ReadShareGroupStateResponsePartitionResult) {
	w.t.Helper()
	answer := take(w, &w.state.reads)
	answer(r)
}

func (w *world) answerWrite(code protocol.ErrorCode) {
	w.t.Helper()
	answer := take(w, &w.state.writes)
	answer(code)
}

// take takes the first of what is under way.
func take[T any](w *world, from *[]T) (first T) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(*from) == 0 {
		w.t.Fatal("nothing is under way")
	}
	first, *from = (*from)[0], (*from)[1:]
	return first
}

// write takes a dead letter.
func (w *world) write(l deadletter.Letter) {
	w.within()
	text := ""
	for _, r := range l.Records {
		text += fmt.Sprintf(" %d-%d:%d %q", r.First, r.Last, r.Count, r.Reason)
	}
	w.say("dead letter of %s in %s-%d:%s", l.Group, l.Topic, l.Partition, text)
	w.mu.Lock()
	w.letters = append(w.letters, l)
	w.mu.Unlock()
}

// sleep lets time pass.
func sleep(ms int64) { time.Sleep(time.Duration(ms) * time.Millisecond) }

// pass goes through a gate, once it is open.
func (w *world) pass(name string) {
	w.mu.Lock()
	gate := w.gates[name]
	w.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// open opens a gate. The caller holds mu.
func (w *world) open(name string) {
	close(w.gates[name])
	delete(w.gates, name)
}

// settle waits until nothing moves and returns what has happened, in no particular order.
func (w *world) settle() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	slices.Sort(events)
	return events
}
