package sharefetch

import (
	"fmt"
	"slices"
	"sync"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// store is a share coordinator.
type store struct {
	mu     sync.Mutex
	shares map[string]*stored
	// held answers wait for the test if hold is set; fail is answered instead.
	hold bool
	held []func()
	fail protocol.ErrorCode
}

// stored is the state of a share partition.
type stored struct {
	epoch, leader int32
	start         int64
	offsets       map[int64]delivered
}

type delivered struct {
	state int8
	count int16
}

// of returns what is stored; without a state, start is -1.
func (s *store) of(group string, index int32) *stored {
	name := fmt.Sprint(group, index)
	if s.shares[name] == nil {
		s.shares[name] = &stored{epoch: 1, start: -1, offsets: map[int64]delivered{}}
	}
	return s.shares[name]
}

// answer carries out f now, or when the test wants it.
func (s *store) answer(f func()) {
	if s.hold {
		s.held = append(s.held, f)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	f()
}

// ReadShareGroupState implements State.
func (s *store) ReadShareGroupState(_ runtime.Context, req *protocol.ReadShareGroupStateRequest, done func(*protocol.ReadShareGroupStateResponse)) {
	p := req.Topics[0].Partitions[0]
	s.mu.Lock()
	s.answer(func() {
		s.mu.Lock()
		r := protocol.ReadShareGroupStateResponsePartitionResult{Partition: p.Partition, ErrorCode: s.fail}
		if s.fail == protocol.None {
			x := s.of(req.GroupId, p.Partition)
			x.leader = max(x.leader, p.LeaderEpoch)
			r.StateEpoch, r.StartOffset = x.epoch, x.start
			for offset, d := range x.offsets {
				r.StateBatches = append(r.StateBatches, protocol.ReadShareGroupStateResponseStateBatch{FirstOffset: offset, LastOffset: offset, DeliveryState: d.state, DeliveryCount: d.count})
			}
			slices.SortFunc(r.StateBatches, func(a, b protocol.ReadShareGroupStateResponseStateBatch) int {
				return int(a.FirstOffset - b.FirstOffset)
			})
		}
		s.mu.Unlock()
		done(&protocol.ReadShareGroupStateResponse{Results: []protocol.ReadShareGroupStateResponseReadStateResult{{
			Partitions: []protocol.ReadShareGroupStateResponsePartitionResult{r},
		}}})
	})
}

// WriteShareGroupState implements State.
func (s *store) WriteShareGroupState(_ runtime.Context, req *protocol.WriteShareGroupStateRequest, done func(*protocol.WriteShareGroupStateResponse)) {
	p := req.Topics[0].Partitions[0]
	s.mu.Lock()
	s.answer(func() {
		s.mu.Lock()
		code := s.write(req.GroupId, &p)
		s.mu.Unlock()
		done(&protocol.WriteShareGroupStateResponse{Results: []protocol.WriteShareGroupStateResponseWriteStateResult{{
			Partitions: []protocol.WriteShareGroupStateResponsePartitionResult{{Partition: p.Partition, ErrorCode: code}},
		}}})
	})
}

func (s *store) write(group string, p *protocol.WriteShareGroupStateRequestPartitionData) protocol.ErrorCode {
	x := s.of(group, p.Partition)
	switch {
	case s.fail != protocol.None:
		return s.fail
	case p.StateEpoch < x.epoch:
		return protocol.FencedStateEpoch
	case p.LeaderEpoch < x.leader:
		return protocol.FencedLeaderEpoch
	}
	for _, b := range p.StateBatches {
		for o := b.FirstOffset; o <= b.LastOffset; o++ {
			x.offsets[o] = delivered{b.DeliveryState, b.DeliveryCount}
		}
	}
	x.start = max(x.start, p.StartOffset)
	for o := range x.offsets {
		if o < x.start {
			delete(x.offsets, o)
		}
	}
	return protocol.None
}
