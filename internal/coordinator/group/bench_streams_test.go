package group

import (
	"fmt"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// thousandThreads is a streams group of 1,000 members with 2,000 tasks that has come to
// rest, and how many rounds of heartbeats that took.
func thousandThreads(tb testing.TB) (w *world, beats []*protocol.StreamsGroupHeartbeatRequest, rounds int) {
	w = newWorld(tb, func(s *Settings) { s.Streams.InitialRebalanceDelayMs = 500 })
	w.setTopic("t", 2000)
	for i := range 1000 {
		req := &protocol.StreamsGroupHeartbeatRequest{}
		req.SetDefaults()
		req.GroupId, req.MemberId, req.RebalanceTimeoutMs, req.ProcessId = "g", fmt.Sprint("member-", i), 300_000, ptr(fmt.Sprint("p-", i/4))
		req.Topology = topologyOf(script.Parse(tb, "topology=0:t"))
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = tasksOf(nil), tasksOf(nil), tasksOf(nil)
		beats = append(beats, req)
	}
	group := func() *streams.Group {
		g, _ := w.cores[w.c.PartitionFor("g")].groups["g"].(*streams.Group)
		return g
	}
	for rounds = 0; rounds == 0 || group().StateName() != "Stable"; rounds++ {
		if rounds > 10 {
			tb.Fatalf("the group is %s after %d rounds", group().StateName(), rounds)
		}
		for _, req := range beats {
			w.c.StreamsGroupHeartbeat(ctx("c", 0), req, func(r *protocol.StreamsGroupHeartbeatResponse, _ []protocol.CreateTopicsRequestCreatableTopic) {
				req.MemberEpoch, req.RebalanceTimeoutMs, req.Topology = r.MemberEpoch, -1, nil
				if r.ActiveTasks != nil {
					req.ActiveTasks = tasksOf(nil)
					for _, t := range r.ActiveTasks {
						req.ActiveTasks = append(req.ActiveTasks, protocol.StreamsGroupHeartbeatRequestTaskIds(t))
					}
				}
			})
		}
		w.Run()
		w.Advance(1000)
	}
	return w, beats, rounds
}

func TestAThousandThreadsAreAtRestAfterAFewHeartbeats(t *testing.T) {
	_, _, rounds := thousandThreads(t)
	if rounds > 4 {
		t.Errorf("it took %d heartbeats of each", rounds)
	}
}

// BenchmarkStreamsGroupHeartbeat is one of 1,000 members after the other saying that it
// lives, in a group at rest.
func BenchmarkStreamsGroupHeartbeat(b *testing.B) {
	w, beats, _ := thousandThreads(b)
	for _, req := range beats {
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks, req.ProcessId = nil, nil, nil, nil
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		w.c.StreamsGroupHeartbeat(ctx("c", 0), beats[n%len(beats)], func(r *protocol.StreamsGroupHeartbeatResponse, _ []protocol.CreateTopicsRequestCreatableTopic) {
			if r.ErrorCode != protocol.None {
				b.Fatal(r.ErrorCode)
			}
		})
		w.Run()
		n++
	}
}
