package naru_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// groupReader is one member of a consumer group and what it knows to own.
type groupReader struct {
	client *kgo.Client
	mu     sync.Mutex
	owned  map[int32]bool
	read   map[string]bool
}

func startGroupReader(ctx context.Context, t *testing.T, addr string, opts ...kgo.Opt) *groupReader {
	t.Helper()
	r := &groupReader{owned: map[int32]bool{}, read: map[string]bool{}}
	set := func(to bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, p := range topics["t"] {
				if to {
					r.owned[p] = true
				} else {
					delete(r.owned, p)
				}
			}
		}
	}
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr), kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"),
		kgo.Balancers(kgo.RangeBalancer()), kgo.HeartbeatInterval(50*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.OnPartitionsAssigned(set(true)), kgo.OnPartitionsRevoked(set(false)), kgo.OnPartitionsLost(set(false)))...)
	if err != nil {
		t.Fatal(err)
	}
	r.client = client
	go func() {
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(record *kgo.Record) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.read[string(record.Value)] = true
			})
		}
	}()
	return r
}

func (r *groupReader) partitions() []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.owned))
}

// startGroupNode starts a node whose groups are quick, with a topic of four partitions.
func startGroupNode(t *testing.T) *naru.Node {
	t.Helper()
	node, err := naru.Start(t.Context(), naru.Config{Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir(), "group.initial.rebalance.delay.ms": "0",
		"group.consumer.min.heartbeat.interval.ms": "50", "group.consumer.heartbeat.interval.ms": "50",
		"group.consumer.assignment.interval.ms": "0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close() })
	dial(t, node.Addr()).createTopic("t", 4)
	return node
}

// TestAConsumerGroupSharesATopicAndFollowsWhatChanges runs members of the consumer
// protocol (KIP-848) that come and go while the topic grows.
func TestAConsumerGroupSharesATopicAndFollowsWhatChanges(t *testing.T) {
	node := startGroupNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()

	a, b := startGroupReader(ctx, t, node.Addr(), kgo.ServerSideBalancer()), startGroupReader(ctx, t, node.Addr(), kgo.ServerSideBalancer())
	defer a.client.Close()
	await(ctx, t, "both own two partitions", func() bool { return len(a.partitions()) == 2 && len(b.partitions()) == 2 })
	if all := slices.Sorted(slices.Values(append(a.partitions(), b.partitions()...))); !slices.Equal(all, []int32{0, 1, 2, 3}) {
		t.Fatalf("together they own %v", all)
	}
	group := dial(t, node.Addr()).mustAsk(&protocol.ConsumerGroupDescribeRequest{GroupIds: []string{"g"}}, 1).(*protocol.ConsumerGroupDescribeResponse).Groups[0]
	if group.ErrorCode != protocol.None || len(group.Members) != 2 || group.Members[0].MemberType != 1 {
		t.Fatalf("the group is not one of the consumer protocol: %+v", group)
	}

	admin := kadm.NewClient(a.client)
	if _, err := admin.CreatePartitions(ctx, 2, "t"); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "the new partitions are shared", func() bool { return len(a.partitions()) == 3 && len(b.partitions()) == 3 })
	for i := range 60 {
		r := &kgo.Record{Topic: "t", Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)}
		if err := a.client.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	await(ctx, t, "every record is read", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(a.read)+len(b.read) == 60
	})
	b.client.Close()
	await(ctx, t, "the one that stays owns everything", func() bool { return len(a.partitions()) == 6 })
}

// TestAGroupChangesItsProtocolWhileMembersAreThere has a member of the classic protocol
// share a group with one of the consumer protocol, which comes and goes.
func TestAGroupChangesItsProtocolWhileMembersAreThere(t *testing.T) {
	node := startGroupNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	kind := func() string {
		m := dial(t, node.Addr()).mustAsk(&protocol.ListGroupsRequest{}, 5).(*protocol.ListGroupsResponse)
		if len(m.Groups) != 1 {
			return ""
		}
		return m.Groups[0].GroupType
	}
	old := startGroupReader(ctx, t, node.Addr())
	defer old.client.Close()
	await(ctx, t, "the classic member owns everything", func() bool { return len(old.partitions()) == 4 })
	if kind() != "classic" {
		t.Fatalf("the group is %q before anybody uses the consumer protocol", kind())
	}
	next := startGroupReader(ctx, t, node.Addr(), kgo.ServerSideBalancer())
	await(ctx, t, "both own two partitions", func() bool { return len(old.partitions()) == 2 && len(next.partitions()) == 2 })
	if kind() != "consumer" {
		t.Fatalf("the group is %q with a member of the consumer protocol", kind())
	}
	next.client.Close()
	await(ctx, t, "the classic member owns everything again", func() bool { return len(old.partitions()) == 4 && kind() == "classic" })
}

// await waits until the condition holds.
func await(ctx context.Context, t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("still waiting until %s", what)
		case <-tick.C:
		}
	}
}
