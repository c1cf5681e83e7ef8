package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// shareKey names a share partition.
type shareKey struct {
	group     string
	topic     protocol.UUID
	partition int32
}

// shareState is what is kept of it.
type shareState struct {
	epoch     int32
	start     int64
	delivered int32
}

// memoryPersister is a share coordinator in memory. It outlives crashes of groups, and
// can be slow, refuse, or lose what it is asked.
type memoryPersister struct {
	w      *world
	say    func(format string, args ...any) // nil: nobody listens
	states map[shareKey]shareState
	refuse protocol.ErrorCode
	hold   bool
	lose   bool
	held   []func()
}

func newMemoryPersister(w *world) *memoryPersister {
	return &memoryPersister{w: w, states: map[shareKey]shareState{}}
}

func (p *memoryPersister) answer(f func()) {
	switch {
	case p.lose:
	case p.hold:
		p.held = append(p.held, f)
	default:
		p.w.Go(f)
	}
}

func (p *memoryPersister) release() {
	p.hold, p.lose = false, false
	for _, f := range p.held {
		p.w.Go(f)
	}
	p.held = nil
}

func (p *memoryPersister) tell(format string, args ...any) {
	if p.say != nil {
		p.say("persister: "+format, args...)
	}
}

func (p *memoryPersister) name(id protocol.UUID, partition int32) string {
	topic, ok := p.w.cluster.TopicByID(id)
	if !ok {
		topic.Name = "gone"
	}
	return fmt.Sprintf("%s-%d", topic.Name, partition)
}

// InitializeShareGroupState implements Persister.
func (p *memoryPersister) InitializeShareGroupState(_ runtime.Context, req *protocol.InitializeShareGroupStateRequest, done func(*protocol.InitializeShareGroupStateResponse)) {
	res := &protocol.InitializeShareGroupStateResponse{}
	var asked []string
	for _, t := range req.Topics {
		r := protocol.InitializeShareGroupStateResponseInitializeStateResult{TopicId: t.TopicId}
		for _, q := range t.Partitions {
			asked = append(asked, fmt.Sprintf("%s:%d@%d", p.name(t.TopicId, q.Partition), q.StartOffset, q.StateEpoch))
			code := p.refuse
			key := shareKey{req.GroupId, t.TopicId, q.Partition}
			if s, ok := p.states[key]; code == protocol.None && ok && s.epoch > q.StateEpoch {
				code = protocol.FencedStateEpoch
			}
			if code == protocol.None {
				p.states[key] = shareState{epoch: q.StateEpoch, start: q.StartOffset}
			}
			r.Partitions = append(r.Partitions, protocol.InitializeShareGroupStateResponsePartitionResult{Partition: q.Partition, ErrorCode: code})
		}
		res.Results = append(res.Results, r)
	}
	p.tell("initialize %s %s %s", req.GroupId, strings.Join(asked, ","), p.refuse)
	p.answer(func() { done(res) })
}

// DeleteShareGroupState implements Persister.
func (p *memoryPersister) DeleteShareGroupState(_ runtime.Context, req *protocol.DeleteShareGroupStateRequest, done func(*protocol.DeleteShareGroupStateResponse)) {
	res := &protocol.DeleteShareGroupStateResponse{}
	var asked []string
	for _, t := range req.Topics {
		r := protocol.DeleteShareGroupStateResponseDeleteStateResult{TopicId: t.TopicId}
		for _, q := range t.Partitions {
			asked = append(asked, p.name(t.TopicId, q.Partition))
			if p.refuse == protocol.None {
				delete(p.states, shareKey{req.GroupId, t.TopicId, q.Partition})
			}
			r.Partitions = append(r.Partitions, protocol.DeleteShareGroupStateResponsePartitionResult{Partition: q.Partition, ErrorCode: p.refuse})
		}
		res.Results = append(res.Results, r)
	}
	p.tell("delete %s %s %s", req.GroupId, strings.Join(asked, ","), p.refuse)
	p.answer(func() { done(res) })
}

// ReadShareGroupStateSummary implements Persister.
func (p *memoryPersister) ReadShareGroupStateSummary(_ runtime.Context, req *protocol.ReadShareGroupStateSummaryRequest, done func(*protocol.ReadShareGroupStateSummaryResponse)) {
	res := &protocol.ReadShareGroupStateSummaryResponse{}
	for _, t := range req.Topics {
		r := protocol.ReadShareGroupStateSummaryResponseReadStateSummaryResult{TopicId: t.TopicId}
		topic, _ := p.w.cluster.TopicByID(t.TopicId)
		for _, q := range t.Partitions {
			out := protocol.ReadShareGroupStateSummaryResponsePartitionResult{Partition: q.Partition, ErrorCode: p.refuse, StartOffset: -1, DeliveryCompleteCount: -1}
			if s, ok := p.states[shareKey{req.GroupId, t.TopicId, q.Partition}]; ok {
				out.StateEpoch, out.StartOffset, out.DeliveryCompleteCount, out.LeaderEpoch = s.epoch, s.start, s.delivered, 7
			}
			if q.Partition >= topic.Partitions {
				out.ErrorCode = protocol.UnknownTopicOrPartition
			}
			r.Partitions = append(r.Partitions, out)
		}
		res.Results = append(res.Results, r)
	}
	p.answer(func() { done(res) })
}

// endOffset is the high watermark of every partition of the tests; partition 9 has no
// leader.
func endOffset(_ string, partition int32) (int64, error) {
	if partition == 9 {
		return 0, protocol.NotLeaderOrFollower
	}
	return 100, nil
}

// keys lists the share partitions of a group that have state.
func (p *memoryPersister) keys(group string) []string {
	var out []string
	for key := range p.states {
		if key.group == group {
			out = append(out, p.name(key.topic, key.partition))
		}
	}
	slices.Sort(out)
	return out
}

// noPersister is a share coordinator that is never available and answers at once.
type noPersister struct{}

// InitializeShareGroupState implements Persister.
func (noPersister) InitializeShareGroupState(_ runtime.Context, req *protocol.InitializeShareGroupStateRequest, done func(*protocol.InitializeShareGroupStateResponse)) {
	res := &protocol.InitializeShareGroupStateResponse{}
	for _, t := range req.Topics {
		result := protocol.InitializeShareGroupStateResponseInitializeStateResult{TopicId: t.TopicId}
		for _, p := range t.Partitions {
			result.Partitions = append(result.Partitions, protocol.InitializeShareGroupStateResponsePartitionResult{
				Partition: p.Partition, ErrorCode: protocol.CoordinatorNotAvailable,
			})
		}
		res.Results = append(res.Results, result)
	}
	done(res)
}

// DeleteShareGroupState implements Persister.
func (noPersister) DeleteShareGroupState(_ runtime.Context, _ *protocol.DeleteShareGroupStateRequest, done func(*protocol.DeleteShareGroupStateResponse)) {
	done(&protocol.DeleteShareGroupStateResponse{})
}

// ReadShareGroupStateSummary implements Persister.
func (noPersister) ReadShareGroupStateSummary(_ runtime.Context, _ *protocol.ReadShareGroupStateSummaryRequest, done func(*protocol.ReadShareGroupStateSummaryResponse)) {
	done(&protocol.ReadShareGroupStateSummaryResponse{})
}
