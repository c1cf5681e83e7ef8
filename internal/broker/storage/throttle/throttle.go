// Package throttle holds background work to a byte rate.
//
// Purpose: what reads and writes much on the side (compaction, moves between log
// directories) leaves the disk to the clients.
//
// Neighbours: package cleaner spends here, and package storage for its moves.
package throttle

import (
	"context"
	"math"
	"sync"
	"time"
)

// Throttle keeps all who spend from it together to one rate. Its methods may be called
// concurrently.
type Throttle struct {
	mu             sync.Mutex
	bytesPerSecond float64
	free           time.Time     // when the bytes spent so far are paid for
	changed        chan struct{} // closed when the rate changes
}

// New returns a throttle of so many bytes a second; 0 or less, and what no disk reaches,
// is no limit.
func New(bytesPerSecond float64) *Throttle {
	return &Throttle{bytesPerSecond: bytesPerSecond, changed: make(chan struct{})}
}

// Set changes the rate. Those who wait go on, for at the rate there was they might wait for
// days.
func (t *Throttle) Set(bytesPerSecond float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bytesPerSecond == bytesPerSecond {
		return
	}
	t.bytesPerSecond, t.free = bytesPerSecond, time.Time{}
	close(t.changed)
	t.changed = make(chan struct{})
}

// burst is for how long bytes may be spent ahead: pauses shorter than that are not
// worth the wake-up.
const burst = 100 * time.Millisecond

// Spend waits until so many more bytes are within the rate. It returns the context's
// error if that ends first.
func (t *Throttle) Spend(ctx context.Context, bytes int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if t.bytesPerSecond <= 0 || t.bytesPerSecond >= math.MaxInt64 {
		t.mu.Unlock()
		return nil
	}
	cost := time.Duration(float64(bytes) / t.bytesPerSecond * float64(time.Second))
	now := time.Now()
	if t.free.Before(now) {
		t.free = now
	}
	t.free = t.free.Add(cost)
	wait, changed := t.free.Sub(now), t.changed
	t.mu.Unlock()
	if wait < burst {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
