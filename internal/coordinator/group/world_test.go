package group

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/coordinator/runtime/runtimetest"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// world is a coordinator in virtual time over a log in memory. After every step it
// holds the memory against a replay of the log.
type world struct {
	*runtimetest.World
	t        testing.TB
	log      *runtimetest.Log
	c        *Coordinator
	settings Settings
	cores    map[int32]*core
	cluster  *cluster
	epoch    int32
	uuids    int
	// unwritten excuses a group without offsets that is in its first rebalance from
	// being in the log: it was one of offsets only, of which no record tells.
	unwritten bool
	// persister is the share coordinator.
	persister *memoryPersister
	// topicIDs are the ids of topics, also of those that are gone.
	topicIDs map[string]protocol.UUID
}

const testPartitions = 3

func newWorld(t testing.TB, change func(*Settings)) *world {
	w := &world{World: runtimetest.NewWorld(1_000_000), t: t, log: runtimetest.NewLog(), settings: DefaultSettings(), cluster: &cluster{}, topicIDs: map[string]protocol.UUID{}}
	w.persister = newMemoryPersister(w)
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
		Logger: slog.New(slog.DiscardHandler), Persister: w.persister, EndOffset: endOffset,
		NewUUID: func() string {
			w.uuids++
			return fmt.Sprint(w.uuids)
		},
	}, func(partition int32, settings *Settings, view clusterView) runtime.Core {
		c := newCore(settings, view)
		cores[partition] = c
		return watched{c, func() {
			if cores[partition] == c {
				delete(cores, partition)
			}
		}}
	})
	w.c.setMetadata(w.cluster)
	for p := range int32(testPartitions) {
		w.c.OnElected(p, w.epoch)
	}
	w.Run()
}

// cluster is the topics and the group settings that there are. It does not change.
type cluster struct {
	version   int64
	topics    []consumer.Topic // by name
	overrides map[string]consumer.Overrides
	streams   map[string]streams.Overrides
}

// Version implements consumer.Metadata.
func (c *cluster) Version() int64 { return c.version + 1 }

// Topic implements consumer.Metadata.
func (c *cluster) Topic(name string) (consumer.Topic, bool) {
	return c.find(func(t consumer.Topic) bool { return t.Name == name })
}

// TopicByID implements consumer.Metadata.
func (c *cluster) TopicByID(id protocol.UUID) (consumer.Topic, bool) {
	return c.find(func(t consumer.Topic) bool { return t.ID == id })
}

func (c *cluster) find(is func(consumer.Topic) bool) (consumer.Topic, bool) {
	if i := slices.IndexFunc(c.topics, is); i >= 0 {
		return c.topics[i], true
	}
	return consumer.Topic{}, false
}

// Topics implements consumer.Metadata.
func (c *cluster) Topics(yield func(consumer.Topic) bool) { slices.Values(c.topics)(yield) }

// Overrides implements consumer.Metadata.
func (c *cluster) Overrides(group string) consumer.Overrides { return c.overrides[group] }

// ShareOverrides implements share.Metadata.
func (c *cluster) ShareOverrides(group string) share.Overrides { return c.overrides[group] }

// StreamsOverrides implements streams.Metadata.
func (c *cluster) StreamsOverrides(group string) streams.Overrides { return c.streams[group] }

// setTopic creates a topic, gives it more partitions, or deletes it: 0 partitions. A
// topic that is created again has another id.
func (w *world) setTopic(name string, partitions int32) {
	next := &cluster{version: w.cluster.version + 1, overrides: w.cluster.overrides, streams: w.cluster.streams}
	topic := consumer.Topic{Name: name, ID: protocol.UUID{13: 1, 14: byte(next.version >> 8), 15: byte(next.version)}, Partitions: partitions}
	for _, t := range w.cluster.topics {
		if t.Name != name {
			next.topics = append(next.topics, t)
		} else if partitions > 0 {
			topic.ID = t.ID
		}
	}
	if partitions > 0 {
		next.topics = append(next.topics, topic)
		w.topicIDs[name] = topic.ID
	}
	slices.SortFunc(next.topics, func(a, b consumer.Topic) int { return strings.Compare(a.Name, b.Name) })
	w.cluster = next
	w.c.setMetadata(next)
}

// watched is a core of which it is known when it has no memory any more.
type watched struct {
	*core
	unloaded func()
}

func (w watched) Unload() []runtime.Call {
	w.unloaded()
	return w.core.Unload()
}

// crash forgets everything but the log. Nobody is answered.
func (w *world) crash() {
	old := w.c
	w.start()
	for p := range int32(testPartitions) {
		old.OnResigned(p, w.epoch)
	}
	w.Run()
}

// check holds memory against a replay of the log, and of the compacted log. Of a group
// that is rebalancing only its being there is compared: what it has beyond its last
// record is not meant to outlive a restart.
func (w *world) check() {
	w.t.Helper()
	for p := range int32(testPartitions) {
		live := w.cores[p]
		if live == nil {
			continue // it is about to be read again
		}
		want := w.dump(live, live)
		for name, log := range map[string]*runtimetest.Log{"log": w.log, "compacted log": w.log.Compacted()} {
			replayed := newCore(&w.settings, w.cluster)
			for _, e := range log.Entries(p) {
				if err := apply(replayed, e); err != nil {
					w.t.Fatalf("replaying the %s: %v", name, err)
				}
			}
			for _, id := range append(replayed.offsets.Groups(), replayed.txns.pending.Groups()...) {
				replayed.ensureGroup(id)
			}
			if got := w.dump(replayed, live); got != want {
				w.t.Fatalf("partition %d: a replay of the %s gives\n%s\nbut memory is\n%s", p, name, got, want)
			}
		}
	}
}

// apply replays one entry of a log.
func apply(c *core, e runtimetest.Entry) error {
	origin := runtime.Origin{Offset: e.Offset, ProducerID: e.ProducerID, ProducerEpoch: e.ProducerEpoch, Transactional: e.Transactional}
	if e.Marker != nil {
		origin.CoordinatorEpoch = e.Marker.CoordinatorEpoch
		return c.ApplyMarker(origin, e.Marker.Type == record.ControlCommit)
	}
	return c.Apply(e.Key, e.Value, origin)
}

// dump prints what has to be equal in c and in live.
func (w *world) dump(c, live *core) string {
	var b strings.Builder
	for _, id := range c.ids() {
		text := c.groups[id].String()
		if g, ok := live.groups[id].(*classic.Group); ok && g.State() != classic.Stable && g.State() != classic.Empty {
			if w.unwritten && g.Generation() == 0 && live.offsets.Count(id) == 0 {
				continue
			}
			text = "group " + id + " is rebalancing"
		} else if c.offsets.Count(id) == 0 && text == classic.NewSimple(id).String() {
			continue // its offsets are gone, and it goes at the next clean-up
		}
		fmt.Fprintln(&b, text)
	}
	for _, id := range c.offsets.Groups() {
		for _, topic := range c.offsets.Topics(id) {
			for _, partition := range c.offsets.Partitions(id, topic) {
				o, _ := c.offsets.Get(id, topic, partition)
				fmt.Fprintf(&b, "offset %s %s-%d %+v\n", id, topic, partition, o)
			}
		}
	}
	fmt.Fprintf(&b, "pending %+v\n", c.txns.pending.All())
	return b.String()
}

func ptr[T any](v T) *T { return &v }

func ctx(client string, version int16) runtime.Context {
	return runtime.Context{Version: version, ClientID: client, ClientHost: "/127.0.0.1"}
}

// subscription is what a consumer says in JoinGroup.
func subscription(topics ...string) []byte {
	b := []byte{0, 1, 0, 0, 0, byte(len(topics))}
	for _, t := range topics {
		b = append(b, 0, byte(len(t)))
		b = append(b, t...)
	}
	return append(b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
}

func TestAConsumerJoinsSyncsCommitsAndFindsItsOffsetAgain(t *testing.T) {
	w := newWorld(t, nil)
	join := &protocol.JoinGroupRequest{
		GroupId: "g", SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 60_000, ProtocolType: "consumer",
		Protocols: []protocol.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription("t")}},
	}
	var joined protocol.JoinGroupResponse
	w.c.JoinGroup(ctx("c", 9), join, func(r *protocol.JoinGroupResponse) { joined = *r })
	w.Run()
	if joined.ErrorCode != protocol.MemberIdRequired || joined.MemberId != "c-1" {
		t.Fatalf("the first join is answered %+v", joined)
	}
	join.MemberId = joined.MemberId
	w.c.JoinGroup(ctx("c", 9), join, func(r *protocol.JoinGroupResponse) { joined = *r })
	w.Advance(3000)
	if joined.ErrorCode != protocol.None || joined.Leader != "c-1" || joined.GenerationId != 1 || *joined.ProtocolName != "range" || len(joined.Members) != 1 {
		t.Fatalf("the second join is answered %+v", joined)
	}
	var synced protocol.SyncGroupResponse
	w.c.SyncGroup(ctx("c", 5), &protocol.SyncGroupRequest{
		GroupId: "g", MemberId: "c-1", GenerationId: 1, ProtocolType: ptr("consumer"), ProtocolName: ptr("range"),
		Assignments: []protocol.SyncGroupRequestAssignment{{MemberId: "c-1", Assignment: []byte("all of it")}},
	}, func(r *protocol.SyncGroupResponse) { synced = *r })
	w.Run()
	if synced.ErrorCode != protocol.None || string(synced.Assignment) != "all of it" {
		t.Fatalf("the sync is answered %+v", synced)
	}
	var beat protocol.HeartbeatResponse
	w.c.Heartbeat(ctx("c", 4), &protocol.HeartbeatRequest{GroupId: "g", MemberId: "c-1", GenerationId: 1},
		func(r *protocol.HeartbeatResponse) { beat = *r })
	var committed protocol.OffsetCommitResponse
	w.c.OffsetCommit(ctx("c", 9), &protocol.OffsetCommitRequest{
		GroupId: "g", MemberId: "c-1", GenerationIdOrMemberEpoch: 1, RetentionTimeMs: -1,
		Topics: []protocol.OffsetCommitRequestTopic{{Name: "t", Partitions: []protocol.OffsetCommitRequestPartition{
			{PartitionIndex: 2, CommittedOffset: 42, CommittedLeaderEpoch: 7, CommittedMetadata: ptr("hello")},
		}}},
	}, func(r *protocol.OffsetCommitResponse) { committed = *r })
	w.Run()
	if beat.ErrorCode != protocol.None || committed.Topics[0].Partitions[0].ErrorCode != protocol.None {
		t.Fatalf("heartbeat %+v, commit %+v", beat, committed)
	}
	w.check()
	w.crash()
	w.check()
	var fetched protocol.OffsetFetchResponse
	w.c.OffsetFetch(ctx("c", 9), &protocol.OffsetFetchRequest{Groups: []protocol.OffsetFetchRequestGroup{{GroupId: "g"}}},
		func(r *protocol.OffsetFetchResponse) { fetched = *r })
	w.Run()
	p := fetched.Groups[0].Topics[0].Partitions[0]
	if p.PartitionIndex != 2 || p.CommittedOffset != 42 || p.CommittedLeaderEpoch != 7 || *p.Metadata != "hello" {
		t.Fatalf("after a crash the offset is %+v", p)
	}
}
