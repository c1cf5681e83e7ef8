package replica

import "sync/atomic"

// waiting is the queue of appends that wait for the high watermark, ordered by the
// offset they wait for. Appends arrive nearly in order, so insertion looks from the
// end.
type waiting struct {
	queue []*Append
	head  int
}

func (w *waiting) add(a *Append) {
	if w.head > 0 && w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
	}
	w.queue = append(w.queue, a)
	for i := len(w.queue) - 1; i > w.head && w.queue[i-1].until > a.until; i-- {
		w.queue[i-1], w.queue[i] = w.queue[i], w.queue[i-1]
	}
}

// take moves every append that waits for an offset up to highWatermark to done.
func (w *waiting) take(highWatermark int64, done []*Append) []*Append {
	for w.head < len(w.queue) && w.queue[w.head].until <= highWatermark {
		done = append(done, w.queue[w.head])
		w.queue[w.head] = nil
		w.head++
	}
	if w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
	}
	return done
}

// Watch tells a waiting fetch that one of its partitions has news: the high
// watermark or last stable offset moved, the log's start moved, or leadership
// changed. It is armed, fires at most once, and may be armed again.
type Watch struct {
	// Notify is called once per arming, on the goroutine that made the news; it must
	// not block and must not call back into the partition.
	Notify func()

	armed atomic.Bool
	links []link
}

// link is a watch's place in one partition's list of watches.
type link struct {
	watch      *Watch
	partition  *Partition
	prev, next *link
}

// Arm makes the watch fire at the next news of the partitions it was added to.
func (w *Watch) Arm() { w.armed.Store(true) }

func (w *Watch) fire() {
	if w.armed.CompareAndSwap(true, false) {
		w.Notify()
	}
}

// Add starts watching the partitions. It may be called once between two Closes.
func (w *Watch) Add(partitions []*Partition) {
	if cap(w.links) < len(partitions) {
		w.links = make([]link, len(partitions))
	}
	w.links = w.links[:len(partitions)]
	for i, p := range partitions {
		l := &w.links[i]
		*l = link{watch: w, partition: p}
		p.mu.Lock()
		l.next = p.watches
		if l.next != nil {
			l.next.prev = l
		}
		p.watches = l
		p.mu.Unlock()
	}
}

// Close stops watching every partition.
func (w *Watch) Close() {
	w.armed.Store(false)
	for i := range w.links {
		l := &w.links[i]
		p := l.partition
		p.mu.Lock()
		if l.prev != nil {
			l.prev.next = l.next
		} else {
			p.watches = l.next
		}
		if l.next != nil {
			l.next.prev = l.prev
		}
		p.mu.Unlock()
		*l = link{}
	}
	w.links = w.links[:0]
}
