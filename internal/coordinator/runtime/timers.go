package runtime

import "container/heap"

// timers is the set of timers of one shard. Moving a timer to a later time, what
// every heartbeat does, only writes the new time down: the heap learns of it when
// the old time comes. The order in which timers fall due depends on nothing but the
// calls, so that a simulation replays it.
type timers struct {
	byKey map[TimerKey]*timer
	heap  timerHeap
	seq   uint64
}

type timer struct {
	key        TimerKey
	deadlineMs int64 // when it falls due
	heapMs     int64 // where the heap believes it to be, never later than deadlineMs
	seq        uint64
	index      int
}

// apply carries out what a core asked for, in order.
func (t *timers) apply(ops []timerOp) {
	for i := range ops {
		if ops[i].cancel {
			t.cancel(ops[i].key)
		} else {
			t.schedule(ops[i].key, ops[i].atMs)
		}
	}
}

func (t *timers) schedule(key TimerKey, atMs int64) {
	if x, ok := t.byKey[key]; ok {
		x.deadlineMs = atMs
		if atMs < x.heapMs {
			x.heapMs = atMs
			heap.Fix(&t.heap, x.index)
		}
		return
	}
	if t.byKey == nil {
		t.byKey = make(map[TimerKey]*timer)
	}
	t.seq++
	x := &timer{key: key, deadlineMs: atMs, heapMs: atMs, seq: t.seq}
	t.byKey[key] = x
	heap.Push(&t.heap, x)
}

func (t *timers) cancel(key TimerKey) {
	if x, ok := t.byKey[key]; ok {
		delete(t.byKey, key)
		heap.Remove(&t.heap, x.index)
	}
}

// next returns a time before which no timer falls due.
func (t *timers) next() (atMs int64, ok bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].heapMs, true
}

// due removes and returns one timer that fell due at nowMs or before.
func (t *timers) due(nowMs int64) (TimerKey, bool) {
	for len(t.heap) > 0 && t.heap[0].heapMs <= nowMs {
		x := t.heap[0]
		if x.deadlineMs > nowMs {
			x.heapMs = x.deadlineMs
			heap.Fix(&t.heap, 0)
			continue
		}
		heap.Pop(&t.heap)
		delete(t.byKey, x.key)
		return x.key, true
	}
	return TimerKey{}, false
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].heapMs != h[j].heapMs {
		return h[i].heapMs < h[j].heapMs
	}
	return h[i].seq < h[j].seq
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
