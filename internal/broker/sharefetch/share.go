package sharefetch

import (
	"fmt"
	"sync"
	"time"

	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type status uint8

const (
	loading status = iota
	active
	gone // given up: a fetch looks for the next one, or is told err
)

// share is one share partition in one leader epoch.
type share struct {
	m           *Manager
	group       string
	at          sharesession.Partition
	replica     *replica.Partition
	leaderEpoch int32

	mu         sync.Mutex
	status     status
	err        error // why it could not be loaded
	core       *sharepartition.Partition
	stateEpoch int32
	// reading is set while a fetch reads the log in order to acquire.
	reading bool
	// waiting holds the fetches that wait; true for those that another one's reading keeps
	// from reading.
	waiting map[*Fetch]bool
	// queue is what to write after the write that is under way.
	queue   []change
	writing bool
	// letters is how many dead letters are under way.
	letters int

	timer   purgatory.Entry
	timerMs int64 // when it rings; 0: it is not set
}

// change is a change on its way to the share coordinator.
type change struct {
	sharepartition.Change
	done func(error) // nil if nobody waits
}

func newShare(m *Manager, group string, at sharesession.Partition, p *replica.Partition, epoch int32) *share {
	return &share{m: m, group: group, at: at, replica: p, leaderEpoch: epoch, waiting: map[*Fetch]bool{}}
}

// moved tells whether this broker leads the partition in another epoch now, or no more.
func (s *share) moved() bool { return s.replica.LeaderEpoch() != s.leaderEpoch }

// load reads the state.
func (s *share) load() {
	req := &protocol.ReadShareGroupStateRequest{GroupId: s.group}
	req.Topics = []protocol.ReadShareGroupStateRequestReadStateData{{
		TopicId: s.at.Topic, Partitions: []protocol.ReadShareGroupStateRequestPartitionData{{Partition: s.at.Index, LeaderEpoch: s.leaderEpoch}},
	}}
	s.m.State.ReadShareGroupState(runtime.Context{}, req, func(r *protocol.ReadShareGroupStateResponse) {
		result := &r.Results[0].Partitions[0]
		core, err := s.begin(result)
		if err != nil {
			s.m.remove(s, err)
			return
		}
		s.mu.Lock()
		var letters []sharepartition.DeadLetter
		if s.status == loading {
			s.core, s.stateEpoch, s.status = core, result.StateEpoch, active
			letters = s.takeLetters()
		}
		s.mu.Unlock()
		s.wake()
		s.writeLetters(letters)
		s.leave()
	})
}

// begin makes the share partition of the state that was read.
func (s *share) begin(r *protocol.ReadShareGroupStateResponsePartitionResult) (*sharepartition.Partition, error) {
	if r.ErrorCode != protocol.None {
		return nil, stateError(r.ErrorCode, r.ErrorMessage)
	}
	start := r.StartOffset
	if start < 0 {
		var err error
		if start, err = s.reset(s.m.Settings(s.group).Reset); err != nil {
			return nil, err
		}
	}
	known := make([]sharepartition.StateBatch, len(r.StateBatches))
	for i, b := range r.StateBatches {
		known[i] = sharepartition.StateBatch{First: b.FirstOffset, Last: b.LastOffset, State: sharepartition.State(b.DeliveryState), Count: b.DeliveryCount}
	}
	core, err := sharepartition.Load(start, known)
	if err != nil {
		return nil, fmt.Errorf("loading the state of share group %q: %w", s.group, err)
	}
	return core, nil
}

// reset returns where a group begins that has no state.
func (s *share) reset(r Reset) (int64, error) {
	switch {
	case r.Earliest:
		return s.replica.Log().LogStartOffset(), nil
	case r.DurationMs > 0:
		found, ok, err := s.replica.Log().OffsetForTimestamp(s.m.NowMs() - r.DurationMs)
		if err != nil {
			return 0, err
		}
		if ok {
			return min(found.Offset, s.replica.HighWatermark()), nil
		}
	}
	return s.replica.HighWatermark(), nil
}

// stateError is the share coordinator's error as members are told it.
func stateError(code protocol.ErrorCode, text *string) error {
	switch code {
	case protocol.NotCoordinator, protocol.CoordinatorNotAvailable, protocol.CoordinatorLoadInProgress:
		code = protocol.CoordinatorNotAvailable
	case protocol.GroupIdNotFound, protocol.UnknownTopicOrPartition:
	case protocol.FencedLeaderEpoch, protocol.FencedStateEpoch:
		code = protocol.NotLeaderOrFollower
	default:
		code = protocol.UnknownServerError
	}
	if text == nil {
		return code
	}
	return &toldError{code, *text}
}

// toldError is an error with the text that a client is told.
type toldError struct {
	code protocol.ErrorCode
	text string
}

// Error implements error.
func (e *toldError) Error() string { return e.text }

// Unwrap gives Kafka's code.
func (e *toldError) Unwrap() error { return e.code }

// end gives the share partition up. Changes that wait are refused.
func (s *share) end(err error) {
	s.mu.Lock()
	if s.status == gone {
		s.mu.Unlock()
		return
	}
	s.status, s.err = gone, err
	queue := s.queue
	s.queue = nil
	if s.timerMs != 0 {
		s.m.Timer.Cancel(&s.timer)
	}
	s.mu.Unlock()
	for _, c := range queue {
		if c.done != nil {
			c.done(protocol.NotLeaderOrFollower)
		}
	}
	s.wake()
}

// leave gives the share partition up if the group has no session left. What is under way
// ends before, and asks again then.
func (s *share) leave() {
	s.mu.Lock()
	busy := s.status == loading || len(s.waiting) > 0 || s.writing || s.letters > 0
	s.mu.Unlock()
	if !busy && s.m.Sessions.Members(s.group) == 0 {
		s.m.remove(s, nil)
	}
}

// wake lets the fetches that wait try again.
func (s *share) wake() { s.wakeSome(true) }

// wakeSome lets all fetches that wait try again, or those that waited to read.
func (s *share) wakeSome(all bool) {
	s.mu.Lock()
	waiting := make([]*Fetch, 0, len(s.waiting))
	for f, blocked := range s.waiting {
		if all || blocked {
			s.waiting[f] = false
			waiting = append(waiting, f)
		}
	}
	s.mu.Unlock()
	for _, f := range waiting {
		f.notify()
	}
}

// acknowledge takes in what a member says.
func (s *share) acknowledge(member string, acks []sharepartition.AckBatch, done func(error)) {
	settings := s.m.Settings(s.group).Settings
	s.mu.Lock()
	if s.status != active {
		s.mu.Unlock()
		done(&toldError{protocol.InvalidRecordState, "Batch record not found. The request batch offsets are not found in the cache."})
		return
	}
	c, err := s.core.Acknowledge(member, acks, settings, s.m.NowMs())
	if err != nil || len(c.Batches) == 0 {
		s.mu.Unlock()
		done(err)
		return
	}
	s.queue = append(s.queue, change{c, done})
	s.flush()
}

// release gives back what a member has acquired.
func (s *share) release(member string) {
	settings := s.m.Settings(s.group).Settings
	s.mu.Lock()
	if s.status == active {
		if c := s.core.Release(member, settings); len(c.Batches) > 0 {
			s.queue = append(s.queue, change{Change: c})
		}
	}
	s.flush()
}

// expire ends the acquisitions whose time has come.
func (s *share) expire() {
	settings := s.m.Settings(s.group).Settings
	s.mu.Lock()
	s.timerMs = 0
	if s.status != active {
		s.mu.Unlock()
		return
	}
	c := s.core.Expire(settings, s.m.NowMs())
	s.schedule()
	news := len(c.Batches) > 0
	if news {
		s.queue = append(s.queue, change{Change: c})
	}
	s.flush()
	if news {
		s.wake()
	}
}

// schedule has the timer ring when the next acquisition may end. The caller holds mu.
func (s *share) schedule() {
	ms, ok := s.core.NextDeadline()
	if s.status != active || !ok || s.timerMs != 0 && s.timerMs <= ms {
		return
	}
	if s.timerMs != 0 && !s.m.Timer.Cancel(&s.timer) {
		return // it is ringing, and will be set again
	}
	s.timerMs = ms
	s.m.Timer.Schedule(&s.timer, time.Duration(max(ms-s.m.NowMs(), 1))*time.Millisecond, s.expire)
}

// flush writes what is queued unless a write is under way. It is called with mu held
// and releases it.
func (s *share) flush() {
	if s.writing || len(s.queue) == 0 {
		s.mu.Unlock()
		return
	}
	changes := s.queue
	s.queue, s.writing = nil, true
	data := protocol.WriteShareGroupStateRequestPartitionData{
		Partition: s.at.Index, StateEpoch: s.stateEpoch, LeaderEpoch: s.leaderEpoch,
		StartOffset: s.core.Start(), DeliveryCompleteCount: s.core.DeliveryCompleteCount(),
	}
	for _, c := range changes {
		for _, b := range c.Batches {
			data.StateBatches = append(data.StateBatches, protocol.WriteShareGroupStateRequestStateBatch{
				FirstOffset: b.First, LastOffset: b.Last, DeliveryState: int8(b.State), DeliveryCount: b.Count,
			})
		}
	}
	s.mu.Unlock()
	req := &protocol.WriteShareGroupStateRequest{GroupId: s.group}
	req.Topics = []protocol.WriteShareGroupStateRequestWriteStateData{{
		TopicId: s.at.Topic, Partitions: []protocol.WriteShareGroupStateRequestPartitionData{data},
	}}
	s.m.State.WriteShareGroupState(runtime.Context{Version: 1}, req, func(r *protocol.WriteShareGroupStateResponse) {
		s.written(changes, &r.Results[0].Partitions[0])
	})
}

// written goes on after a write.
func (s *share) written(changes []change, r *protocol.WriteShareGroupStateResponsePartitionResult) {
	var err error
	if r.ErrorCode != protocol.None {
		err = stateError(r.ErrorCode, r.ErrorMessage)
	}
	news := false
	s.mu.Lock()
	for _, c := range changes {
		if s.core.Complete(c.Change, err == nil) {
			news = true
		}
	}
	s.writing = false
	switch protocol.CodeOf(err) {
	case protocol.NotLeaderOrFollower, protocol.GroupIdNotFound, protocol.UnknownTopicOrPartition:
		s.mu.Unlock()
		s.m.Log.Info("share partition given up", "group", s.group, "topic", s.replica.Topic, "partition", s.at.Index, "reason", err)
		s.m.remove(s, nil)
		s.mu.Lock()
	}
	letters := s.takeLetters()
	s.schedule()
	s.flush()
	for _, c := range changes {
		if c.done != nil {
			c.done(err)
		}
	}
	if news {
		s.wake()
	}
	s.writeLetters(letters)
	s.leave()
}
