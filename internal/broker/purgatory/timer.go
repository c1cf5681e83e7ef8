package purgatory

import (
	"sync"
	"time"
)

// Clock is where a [Timer] gets its time from. It may be called from any
// goroutine.
type Clock interface {
	// Now is the present time.
	Now() time.Time
	// AfterFunc arranges that f is called once on a goroutine of the clock's,
	// not before d has passed. It must not call f before it returns.
	AfterFunc(d time.Duration, f func()) Alarm
}

// Alarm is a call that a [Clock] will make; *time.Timer is one.
type Alarm interface {
	// Stop prevents the call if it has not begun.
	Stop() bool
}

// SystemClock is the machine's clock (the bubble's, inside testing/synctest).
type SystemClock struct{}

// Now is time.Now.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (SystemClock) AfterFunc(d time.Duration, f func()) Alarm { return time.AfterFunc(d, f) }

// Entry is one wait in a [Timer]. The zero Entry is ready for use and may be
// embedded in the waiting operation; it can be scheduled again after it has
// fired or was cancelled. An Entry must not be copied while it waits.
type Entry struct {
	prev, next  *Entry
	deadlineMs  int64
	level, slot int8
	fire        func()
}

// Timer calls functions when their time has come. All methods may be called
// from any goroutine, and also from a callback.
type Timer struct {
	clock Clock
	start time.Time

	mu      sync.Mutex
	wheel   wheel
	alarm   Alarm
	alarmMs int64 // when the armed alarm rings; 0 when none is armed
	running bool  // a goroutine is calling due entries
	closed  bool
}

// NewTimer returns a timer that takes its time from clock; nil means
// [SystemClock].
func NewTimer(clock Clock) *Timer {
	if clock == nil {
		clock = SystemClock{}
	}
	t := &Timer{clock: clock, start: clock.Now()}
	t.wheel.init(0)
	return t
}

// After calls fn on a goroutine of the timer's once d has passed. The callback
// should be short: the ones due after it wait for it. After a Close nothing is
// called any more.
func (t *Timer) After(d time.Duration, fn func()) *Entry {
	e := new(Entry)
	t.Schedule(e, d, fn)
	return e
}

// Schedule is After with the caller's own Entry, which must not be waiting.
func (t *Timer) Schedule(e *Entry, d time.Duration, fn func()) {
	now := t.sinceStart()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	// Rounded up: never early.
	e.deadlineMs = int64((now + max(d, 0) + time.Millisecond - 1) / time.Millisecond)
	e.fire = fn
	t.wheel.add(e)
	t.arm(now)
}

// Cancel takes e out of the timer. It returns true if e was waiting, and then
// its function will not be called; false if it has been called, is about to be,
// or was never scheduled.
func (t *Timer) Cancel(e *Entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.next == nil {
		return false
	}
	t.wheel.remove(e)
	e.fire = nil
	return true
}

// Len is the number of waits.
func (t *Timer) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wheel.count
}

// Close forgets all waits without calling them. Callbacks that have begun finish
// on their own.
func (t *Timer) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.alarm != nil {
		t.alarm.Stop()
	}
}

func (t *Timer) sinceStart() time.Duration { return t.clock.Now().Sub(t.start) }

// arm makes sure that an alarm rings when the wheel next has something to do.
// The caller holds mu.
func (t *Timer) arm(now time.Duration) {
	if t.running {
		return // the running goroutine arms when it is done
	}
	at, ok := t.wheel.nextMs()
	if !ok || t.alarmMs != 0 && t.alarmMs <= at {
		return
	}
	if t.alarm != nil {
		t.alarm.Stop()
	}
	t.alarmMs = at
	t.alarm = t.clock.AfterFunc(time.Duration(at)*time.Millisecond-now, t.ring)
}

// ring calls what is due, then arms the next alarm.
func (t *Timer) ring() {
	t.mu.Lock()
	if t.running || t.closed {
		t.mu.Unlock()
		return
	}
	t.running = true
	var due []func()
	for {
		due = due[:0]
		t.wheel.advance(int64(t.sinceStart()/time.Millisecond), func(e *Entry) {
			due = append(due, e.fire)
			e.fire = nil
		})
		if len(due) == 0 {
			break
		}
		t.mu.Unlock()
		for _, fn := range due {
			fn()
		}
		t.mu.Lock()
		if t.closed {
			break
		}
	}
	t.running = false
	t.alarm, t.alarmMs = nil, 0
	if !t.closed {
		t.arm(t.sinceStart())
	}
	t.mu.Unlock()
}
