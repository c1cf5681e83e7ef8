package purgatory

import (
	"sync/atomic"
	"time"
)

// Delayed is an operation that ends exactly once: whoever calls [Delayed.Complete]
// first, or the timer when its time is up. Embed it in the operation. A Delayed
// must not be copied and serves one operation only.
type Delayed struct {
	entry Entry
	timer atomic.Pointer[Timer]
	done  atomic.Bool
}

// Start lets the operation wait for at most d; then onTimeout is called on the
// timer's goroutine, unless Complete came first. Start may be called once. A
// Complete that comes before or during Start wins.
func (d *Delayed) Start(t *Timer, wait time.Duration, onTimeout func()) {
	if d.done.Load() {
		return
	}
	t.Schedule(&d.entry, wait, func() {
		if d.done.CompareAndSwap(false, true) {
			onTimeout()
		}
	})
	d.timer.Store(t)
	if d.done.Load() {
		t.Cancel(&d.entry)
	}
}

// Complete ends the operation and returns true for the one caller that ended it:
// that caller, and nobody else, answers. It may be called from any goroutine and
// before Start.
func (d *Delayed) Complete() bool {
	if !d.done.CompareAndSwap(false, true) {
		return false
	}
	if t := d.timer.Load(); t != nil {
		t.Cancel(&d.entry)
	}
	return true
}

// Done tells whether the operation has ended.
func (d *Delayed) Done() bool { return d.done.Load() }
