package purgatory

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimerCallsEachWaitAtItsTimeNeverBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer := NewTimer(nil)
		start := time.Now()
		waits := []time.Duration{0, time.Microsecond, time.Millisecond, 63 * time.Millisecond, 64 * time.Millisecond,
			65 * time.Millisecond, 4095 * time.Millisecond, 4096 * time.Millisecond, 5 * time.Minute, 13 * time.Hour, 400 * 24 * time.Hour,
			3 * 365 * 24 * time.Hour}
		var mu sync.Mutex
		fired := map[time.Duration]time.Duration{}
		for _, w := range waits {
			timer.After(w, func() {
				mu.Lock()
				fired[w] = time.Since(start)
				mu.Unlock()
			})
		}
		time.Sleep(4 * 365 * 24 * time.Hour)
		synctest.Wait()
		for _, w := range waits {
			at, ok := fired[w]
			if !ok || at < w || at > w+time.Millisecond {
				t.Errorf("wait of %v fired=%v after %v", w, ok, at)
			}
		}
		if n := timer.Len(); n != 0 {
			t.Errorf("%d waits left", n)
		}
	})
}

// TestWheelAgreesWithASortedList drives the pure wheel with random additions,
// removals and jumps in time, beside a plain list.
func TestWheelAgreesWithASortedList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for round := range 50 {
		var w wheel
		now := rng.Int64N(1 << 40)
		w.init(now)
		waiting := map[*Entry]int64{} // the time each is due
		for range 2000 {
			switch rng.IntN(4) {
			case 0, 1:
				e := &Entry{deadlineMs: now + rng.Int64N(1<<rng.IntN(30)) - 2}
				w.add(e)
				waiting[e] = max(e.deadlineMs, now+1)
			case 2:
				for e := range waiting {
					w.remove(e)
					delete(waiting, e)
					break
				}
			case 3:
				now += rng.Int64N(1 << rng.IntN(24))
				last := int64(-1)
				w.advance(now, func(e *Entry) {
					if due, ok := waiting[e]; !ok || due > now {
						t.Fatalf("round %d: entry of %d fired at %d, waiting=%v", round, e.deadlineMs, now, ok)
					}
					if waiting[e] < last {
						t.Fatalf("round %d: %d fired after %d", round, waiting[e], last)
					}
					last = waiting[e]
					delete(waiting, e)
				})
				for _, due := range waiting {
					if due <= now {
						t.Fatalf("round %d: entry due at %d missed at %d", round, due, now)
					}
				}
			}
			if w.count != len(waiting) {
				t.Fatalf("round %d: count %d, want %d", round, w.count, len(waiting))
			}
		}
	}
}

func TestCancelledWaitIsNeverCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer := NewTimer(nil)
		var fired atomic.Int32
		var entries []*Entry
		for i := range 1000 {
			entries = append(entries, timer.After(time.Duration(i)*time.Millisecond, func() { fired.Add(1) }))
		}
		for i := 0; i < 1000; i += 2 {
			if !timer.Cancel(entries[i]) {
				t.Fatalf("entry %d could not be cancelled", i)
			}
			if timer.Cancel(entries[i]) {
				t.Fatalf("entry %d was cancelled twice", i)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if fired.Load() != 500 {
			t.Errorf("%d fired, want 500", fired.Load())
		}
		if timer.Cancel(entries[1]) {
			t.Error("an entry that had fired could be cancelled")
		}
	})
}

func TestEntryCanBeScheduledAgainFromItsCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer := NewTimer(nil)
		var e Entry
		var times []time.Duration
		start := time.Now()
		var again func()
		again = func() {
			times = append(times, time.Since(start))
			if len(times) < 3 {
				timer.Schedule(&e, 100*time.Millisecond, again)
			}
		}
		timer.Schedule(&e, 100*time.Millisecond, again)
		time.Sleep(time.Second)
		synctest.Wait()
		want := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond}
		if !slices.Equal(times, want) {
			t.Errorf("fired at %v, want %v", times, want)
		}
	})
}

func TestNothingIsCalledAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer := NewTimer(nil)
		e := timer.After(time.Second, func() { t.Error("called after Close") })
		timer.Close()
		timer.After(time.Second, func() { t.Error("scheduled after Close and called") })
		time.Sleep(time.Minute)
		synctest.Wait()
		timer.Cancel(e)
	})
}
