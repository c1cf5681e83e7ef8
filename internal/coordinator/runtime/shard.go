package runtime

import (
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type shardState uint8

const (
	stateLoading  shardState = iota // memory is being read from the log
	stateActive                     // calls are handled
	stateFailed                     // the load failed and is tried again after a pause
	statePaused                     // a write failed soon after a load; read again after a pause
	stateResigned                   // another node leads; final
)

// shard is one partition's mailbox and the goroutine that drains it. The fields
// under mu are shared; the others belong to the goroutine that set running.
type shard struct {
	rt        *Runtime
	partition int32

	mu          sync.Mutex
	state       shardState
	leaderEpoch int32
	running     bool
	// incarnation changes whenever memory is thrown away: what was started for an
	// earlier one (a callback, an append) no longer counts.
	incarnation uint64
	failure     error // why memory must be thrown away
	queue       []Call
	waiting     []pending // answered by the core, not yet committed, in log order
	inFlight    int       // entries of waiting that are appends within their time
	armed       bool
	armedMs     int64
	stopTimer   func()

	core     Core // nil until loaded
	loadedMs int64
	timers   timers
	spare    []Call
	*scratch
}

// scratch is the memory a shard needs only while its goroutine runs.
type scratch struct {
	out   Effects
	batch batchBuilder
}

// pending is a set of calls that are answered when the log is committed to end.
type pending struct {
	end        int64
	deadlineMs int64
	appended   bool // counts in inFlight
	calls      []Call
}

func newShard(r *Runtime, partition int32) *shard {
	return &shard{rt: r, partition: partition, leaderEpoch: -1}
}

func (s *shard) elect(leaderEpoch int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateResigned || leaderEpoch <= s.leaderEpoch {
		return
	}
	s.leaderEpoch = leaderEpoch
	s.wake()
}

func (s *shard) supersededBy(leaderEpoch int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return leaderEpoch >= s.leaderEpoch
}

func (s *shard) resign() {
	s.mu.Lock()
	s.state = stateResigned
	s.incarnation++
	s.disarm()
	queue, waiting := s.takeAll()
	s.wake()
	s.mu.Unlock()
	failAll(queue, protocol.NotCoordinator)
	failPending(waiting, protocol.NotCoordinator)
}

func (s *shard) submit(call Call) {
	s.mu.Lock()
	code := protocol.None
	switch {
	case s.state == stateLoading || s.state == statePaused || s.failure != nil:
		code = protocol.CoordinatorLoadInProgress
	case s.state != stateActive:
		code = protocol.NotCoordinator
	case len(s.queue) >= maxQueuedCalls:
		code = protocol.CoordinatorNotAvailable
	default:
		s.queue = append(s.queue, call)
		s.wake()
	}
	s.mu.Unlock()
	if code != protocol.None {
		call.Fail(code)
	}
}

// wake starts the goroutine unless it runs. mu is held.
func (s *shard) wake() {
	if !s.running {
		s.running = true
		s.rt.running.Add(1)
		s.rt.cfg.Go(s.run)
	}
}

// takeAll empties the mailbox. mu is held.
func (s *shard) takeAll() ([]Call, []pending) {
	queue, waiting := s.queue, s.waiting
	s.queue, s.waiting, s.inFlight, s.failure = nil, nil, 0, nil
	return queue, waiting
}

type job uint8

const (
	jobNone job = iota
	jobUnload
	jobRecover
	jobLoad
	jobRound
)

// run does the work that there is and ends.
func (s *shard) run() {
	defer s.rt.running.Done()
	mine := s.rt.scratch.Get().(*scratch)
	defer s.rt.scratch.Put(mine)
	s.scratch = mine
	for {
		nowMs := s.rt.cfg.Clock.NowMs()
		do, incarnation, calls, late := s.next(nowMs)
		failAll(late, codeFor(protocol.RequestTimedOut))
		switch do {
		case jobNone:
			return
		case jobUnload:
			s.unload(protocol.NotCoordinator)
		case jobRecover:
			s.recover()
		case jobLoad:
			s.load(incarnation)
		case jobRound:
			s.round(incarnation, nowMs, calls)
			clear(calls)
			s.spare = calls[:0]
		}
	}
}

// next decides what to do. late are calls whose records took too long to be committed.
func (s *shard) next(nowMs int64) (do job, incarnation uint64, calls, late []Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	incarnation = s.incarnation
	switch {
	case s.state == stateResigned && s.core != nil:
		return jobUnload, incarnation, nil, nil
	case s.failure != nil && s.state == stateActive:
		return jobRecover, incarnation, nil, nil
	case s.state == stateLoading:
		return jobLoad, incarnation, nil, nil
	case s.state != stateActive:
		s.rest()
		return jobNone, incarnation, nil, nil
	}
	late = s.expireWaiting(nowMs)
	timerMs, timed := s.timers.next()
	if s.inFlight < maxAppendsInFlight && (len(s.queue) > 0 || timed && timerMs <= nowMs) {
		calls = s.takeCalls()
		return jobRound, incarnation, calls, late
	}
	s.arm(nowMs, timerMs, timed)
	s.rest()
	return jobNone, incarnation, nil, late
}

// rest ends the goroutine's turn. mu is held.
func (s *shard) rest() {
	s.running = false
	if cap(s.spare) > maxKeptCalls {
		s.spare = nil
	}
	if len(s.queue) == 0 && cap(s.queue) > maxKeptCalls {
		s.queue = nil
	}
}

func (s *shard) takeCalls() []Call {
	if len(s.queue) <= maxCallsPerRound {
		calls := s.queue
		s.queue, s.spare = s.spare, nil
		return calls
	}
	calls := append(s.spare, s.queue[:maxCallsPerRound]...)
	n := copy(s.queue, s.queue[maxCallsPerRound:])
	clear(s.queue[n:])
	s.queue, s.spare = s.queue[:n], nil
	return calls
}

// expireWaiting takes the calls out of waiting whose time is over. mu is held.
func (s *shard) expireWaiting(nowMs int64) (late []Call) {
	for i := range s.waiting {
		p := &s.waiting[i]
		if p.deadlineMs > nowMs {
			break
		}
		late = append(late, p.calls...)
		p.calls = nil
		if p.appended {
			p.appended = false
			s.inFlight--
		}
	}
	return late
}

// arm sets the timer for what comes first: a core's timer, unless the shard may not
// write now, or the end of a call's patience. mu is held.
func (s *shard) arm(nowMs, atMs int64, ok bool) {
	ok = ok && s.inFlight < maxAppendsInFlight
	for i := range s.waiting {
		if p := &s.waiting[i]; p.appended || p.calls != nil {
			if !ok || p.deadlineMs < atMs {
				atMs, ok = p.deadlineMs, true
			}
			break
		}
	}
	if !ok || s.armed && s.armedMs <= atMs {
		return
	}
	s.armAt(nowMs, atMs)
}

func (s *shard) armAt(nowMs, atMs int64) {
	s.disarm()
	s.armed, s.armedMs = true, atMs
	incarnation := s.incarnation
	s.stopTimer = s.rt.cfg.Clock.AfterFunc(max(atMs-nowMs, 0), func() { s.timerFired(incarnation, atMs) })
}

func (s *shard) disarm() {
	if s.armed {
		s.armed = false
		s.stopTimer()
	}
}

func (s *shard) timerFired(incarnation uint64, atMs int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if incarnation != s.incarnation || !s.armed || s.armedMs != atMs {
		return
	}
	s.armed = false
	if s.state == stateFailed || s.state == statePaused {
		s.state = stateLoading
	}
	s.wake()
}

func failAll(calls []Call, code protocol.ErrorCode) {
	for _, c := range calls {
		c.Fail(code)
	}
}

func failPending(waiting []pending, code protocol.ErrorCode) {
	for i := range waiting {
		failAll(waiting[i].calls, code)
	}
}
