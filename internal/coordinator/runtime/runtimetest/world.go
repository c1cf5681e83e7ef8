package runtimetest

import (
	"slices"
	"sync"
)

// World is virtual time and cooperative goroutines. Its methods may be called from
// inside the functions that it runs.
type World struct {
	mu     sync.Mutex
	nowMs  int64
	ready  []func()
	timers []*timer // by time, then by age
}

type timer struct {
	atMs int64
	f    func()
}

// NewWorld returns a world in which it is nowMs.
func NewWorld(nowMs int64) *World { return &World{nowMs: nowMs} }

// NowMs implements runtime.Clock.
func (w *World) NowMs() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nowMs
}

// AfterFunc implements runtime.Clock. f runs in Run or Advance.
func (w *World) AfterFunc(delayMs int64, f func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &timer{atMs: w.nowMs + delayMs, f: f}
	i, _ := slices.BinarySearchFunc(w.timers, t.atMs+1, func(x *timer, at int64) int { return int(x.atMs - at) })
	w.timers = slices.Insert(w.timers, i, t)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timers = slices.DeleteFunc(w.timers, func(x *timer) bool { return x == t })
	}
}

// Go runs f in the next Run or Advance, in the order of the calls.
func (w *World) Go(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = append(w.ready, f)
}

// Run runs everything that can run without time passing.
func (w *World) Run() {
	for {
		f := w.next()
		if f == nil {
			return
		}
		f()
	}
}

// Advance lets ms pass and runs everything that happens meanwhile, at its time.
func (w *World) Advance(ms int64) {
	endMs := w.NowMs() + ms
	w.Run()
	for w.step(endMs) {
		w.Run()
	}
}

// Timers returns how many timers are set.
func (w *World) Timers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.timers)
}

func (w *World) next() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ready) == 0 {
		if len(w.timers) == 0 || w.timers[0].atMs > w.nowMs {
			return nil
		}
		w.ready = append(w.ready, w.timers[0].f)
		w.timers = w.timers[1:]
	}
	f := w.ready[0]
	w.ready = w.ready[1:]
	return f
}

// step moves to the next timer, at most to endMs, and tells whether there is one.
func (w *World) step(endMs int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.timers) == 0 || w.timers[0].atMs > endMs {
		w.nowMs = endMs
		return false
	}
	w.nowMs = max(w.nowMs, w.timers[0].atMs)
	return true
}
