package group

import (
	"fmt"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// thousand is a consumer group of 1,000 members with 2,000 partitions that has come to
// rest, and how many rounds of heartbeats that took.
func thousand(tb testing.TB) (w *world, beats []*protocol.ConsumerGroupHeartbeatRequest, rounds int) {
	w = newWorld(tb, nil)
	w.setTopic("t", 2000)
	for i := range 1000 {
		req := &protocol.ConsumerGroupHeartbeatRequest{}
		req.SetDefaults()
		req.GroupId, req.MemberId, req.RebalanceTimeoutMs = "g", fmt.Sprint("member-", i), 300_000
		req.SubscribedTopicNames = []string{"t"}
		req.TopicPartitions = []protocol.ConsumerGroupHeartbeatRequestTopicPartitions{}
		beats = append(beats, req)
	}
	group := func() *consumer.Group {
		g, _ := w.cores[w.c.PartitionFor("g")].groups["g"].(*consumer.Group)
		return g
	}
	for rounds = 0; rounds == 0 || group().StateName() != "Stable"; rounds++ {
		if rounds > 10 {
			tb.Fatalf("the group is %s after %d rounds", group().StateName(), rounds)
		}
		for _, req := range beats {
			w.c.ConsumerGroupHeartbeat(ctx("c", 1), req, func(r *protocol.ConsumerGroupHeartbeatResponse) {
				req.MemberEpoch, req.RebalanceTimeoutMs, req.SubscribedTopicNames = r.MemberEpoch, -1, nil
				if r.Assignment == nil {
					return
				}
				req.TopicPartitions = []protocol.ConsumerGroupHeartbeatRequestTopicPartitions{}
				for _, t := range r.Assignment.TopicPartitions {
					req.TopicPartitions = append(req.TopicPartitions, protocol.ConsumerGroupHeartbeatRequestTopicPartitions(t))
				}
			})
		}
		w.Run()
		w.Advance(1000)
	}
	return w, beats, rounds
}

func TestAThousandMembersAreAtRestAfterAFewHeartbeats(t *testing.T) {
	_, _, rounds := thousand(t)
	if rounds > 4 {
		t.Errorf("it took %d heartbeats of each", rounds)
	}
}

// BenchmarkConsumerGroupHeartbeat is one of 1,000 members after the other saying that it
// lives, in a group at rest.
func BenchmarkConsumerGroupHeartbeat(b *testing.B) {
	w, beats, _ := thousand(b)
	for _, req := range beats {
		req.TopicPartitions = nil
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		w.c.ConsumerGroupHeartbeat(ctx("c", 1), beats[n%len(beats)], func(r *protocol.ConsumerGroupHeartbeatResponse) {
			if r.ErrorCode != protocol.None {
				b.Fatal(r.ErrorCode)
			}
		})
		w.Run()
		n++
	}
}
