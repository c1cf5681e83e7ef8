package runtime

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// round handles the timers that fell due and the calls, and writes what they wrote.
func (s *shard) round(incarnation uint64, nowMs int64, calls []Call) {
	s.out.reset()
	for range maxCallsPerRound {
		key, ok := s.timers.due(nowMs)
		if !ok {
			break
		}
		s.core.Expire(key, nowMs, &s.out)
		if !s.eventDone(incarnation, nowMs) {
			failAll(calls, protocol.CoordinatorLoadInProgress)
			return
		}
	}
	for i, call := range calls {
		s.core.Handle(call, nowMs, &s.out)
		if !s.eventDone(incarnation, nowMs) {
			failAll(calls[i+1:], protocol.CoordinatorLoadInProgress)
			return
		}
	}
	s.flush(incarnation, nowMs)
}

// eventDone takes over the timers of one event, so that the next one sees them, and
// writes when enough has come together. It is false if memory is lost.
func (s *shard) eventDone(incarnation uint64, nowMs int64) bool {
	s.timers.apply(s.out.timers)
	s.out.timers = s.out.timers[:0]
	s.out.mark()
	if len(s.out.arena) >= s.rt.cfg.MaxBatchBytes {
		return s.flush(incarnation, nowMs)
	}
	return true
}

// flush writes the records gathered in out and lets the answers wait for them. If the
// write fails, or the shard was resigned meanwhile, every answer is an error and flush
// is false: memory is not what the log holds.
func (s *shard) flush(incarnation uint64, nowMs int64) bool {
	defer s.out.reset()
	if len(s.out.records) == 0 {
		s.replyInOrder(incarnation, nowMs)
		return true
	}
	s.mu.Lock()
	leaderEpoch := s.leaderEpoch
	s.mu.Unlock()
	end, err := s.write(leaderEpoch, nowMs)
	if err != nil {
		failAll(s.out.answers, codeFor(err))
		s.fail(incarnation, err)
		return false
	}
	s.mu.Lock()
	current := incarnation == s.incarnation
	if current {
		s.waiting = append(s.waiting, pending{
			end: end, deadlineMs: nowMs + s.rt.cfg.WriteTimeoutMs, appended: true,
			calls: slices.Clone(s.out.answers),
		})
		s.inFlight++
	}
	s.mu.Unlock()
	if !current {
		failAll(s.out.answers, protocol.NotCoordinator)
		return false
	}
	s.await(incarnation, leaderEpoch, end)
	return true
}

// write appends the records in as few batches as MaxBatchBytes allows. The records
// of one event stay in one batch, if they fit into one.
func (s *shard) write(leaderEpoch int32, nowMs int64) (end int64, err error) {
	for first := 0; first < len(s.out.records); {
		batch, n, err := s.batch.build(&s.out, first, &s.rt.cfg, nowMs)
		if err != nil {
			return 0, err
		}
		if end, err = s.rt.cfg.Log.Append(s.partition, leaderEpoch, batch); err != nil {
			return 0, err
		}
		first += n
	}
	return end, nil
}

func (s *shard) await(incarnation uint64, leaderEpoch int32, end int64) {
	s.rt.cfg.Log.AwaitCommitted(s.partition, leaderEpoch, end, func(err error) {
		s.committed(incarnation, end, err)
	})
}

// replyInOrder answers calls that wrote nothing: at once if all that the core had
// written is committed, else when it is.
func (s *shard) replyInOrder(incarnation uint64, nowMs int64) {
	if len(s.out.answers) == 0 {
		return
	}
	s.mu.Lock()
	current := incarnation == s.incarnation
	wait := current && len(s.waiting) > 0
	if wait {
		s.waiting = append(s.waiting, pending{
			end:        s.waiting[len(s.waiting)-1].end,
			deadlineMs: nowMs + s.rt.cfg.WriteTimeoutMs,
			calls:      slices.Clone(s.out.answers),
		})
	}
	s.mu.Unlock()
	switch {
	case wait:
	case current:
		for _, c := range s.out.answers {
			c.Reply()
		}
	default:
		failAll(s.out.answers, protocol.NotCoordinator)
	}
}

// committed is told by the log that everything below end is safe, or never will be
// known to be.
func (s *shard) committed(incarnation uint64, end int64, err error) {
	if err != nil {
		s.fail(incarnation, err)
		return
	}
	s.mu.Lock()
	if incarnation != s.incarnation {
		s.mu.Unlock()
		return
	}
	n := 0
	for n < len(s.waiting) && s.waiting[n].end <= end {
		if s.waiting[n].appended {
			s.inFlight--
		}
		n++
	}
	done := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	if len(s.queue) > 0 || s.inFlight == maxAppendsInFlight-1 {
		s.wake()
	}
	s.mu.Unlock()
	for i := range done {
		for _, c := range done[i].calls {
			c.Reply()
		}
	}
}

// fail notes that memory and log have parted: the goroutine throws memory away.
func (s *shard) fail(incarnation uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if incarnation != s.incarnation || s.state != stateActive {
		return
	}
	if s.failure == nil {
		s.failure = err
	}
	s.wake()
}
