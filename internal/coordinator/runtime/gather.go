package runtime

import "sync/atomic"

// Gather calls a function when all parts of a request are done, which several
// partitions answer.
type Gather struct {
	left   atomic.Int64
	finish func()
}

// NewGather calls finish when n parts are done; with none, at once.
func NewGather(n int, finish func()) *Gather {
	g := &Gather{finish: finish}
	g.left.Store(int64(n))
	if n == 0 {
		finish()
	}
	return g
}

// Add has one part more waited for. Another one must not be done yet.
func (g *Gather) Add() { g.left.Add(1) }

// Done tells that a part is done.
func (g *Gather) Done() {
	if g.left.Add(-1) == 0 {
		g.finish()
	}
}
