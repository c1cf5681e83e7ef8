package sharepartition

import (
	"fmt"
	"math"
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// maxInFlight bounds the offsets between start and end of what is loaded: a share
// partition that was written with more is broken.
const maxInFlight = 1 << 22

// noDeadline is later than everything.
const noDeadline = math.MaxInt64

// Settings are the group's settings, as of now.
type Settings struct {
	// MaxDeliveries is share.delivery.count.limit.
	MaxDeliveries int16
	// MaxLocks is share.partition.max.record.locks.
	MaxLocks int32
	// LockMs is share.record.lock.duration.ms.
	LockMs int64
	// Renew is share.renew.acknowledge.enable.
	Renew bool
	// DeadLetters tells that the group has a dead-letter topic.
	DeadLetters bool
}

// StateBatch is a range of offsets in one state, as it is written.
type StateBatch struct {
	First, Last int64
	State       State
	Count       int16
}

// Partition is one group's view of one topic partition. It is not safe for concurrent
// use.
type Partition struct {
	start, end int64
	batches    []*batch
	// search tells that there may be available records in flight.
	search bool
	// nextMs is a time before which no acquisition ends.
	nextMs  int64
	changes uint64 // how many there have been
	// dead tells that there may be dead letters to hand out.
	dead bool
}

// Load returns a partition that begins at start, with what is known of records behind.
// Records between the batches were in somebody's hands and are available again.
func Load(start int64, known []StateBatch) (*Partition, error) {
	p := &Partition{start: start, end: start, nextMs: noDeadline}
	next := start
	for _, b := range known {
		if b.First < next || b.Last < b.First || b.Last-start >= maxInFlight {
			return nil, fmt.Errorf("state batch %d-%d behind offset %d, the share partition starts at %d: %w", b.First, b.Last, next-1, start, protocol.UnknownServerError)
		}
		if b.State != Available && b.State != Archiving && !b.State.Terminal() {
			return nil, fmt.Errorf("state batch %d-%d is in state %d: %w", b.First, b.Last, b.State, protocol.UnknownServerError)
		}
		if b.First > next {
			p.batches = append(p.batches, newBatch(next, b.First-1, cell{state: Available}))
		}
		p.batches = append(p.batches, newBatch(b.First, b.Last, cell{state: b.State, count: b.Count}))
		p.dead = p.dead || b.State == Archiving
		next = b.Last + 1
	}
	if len(p.batches) > 0 {
		p.end, p.search = next-1, true
		p.advance()
	}
	return p, nil
}

// Start returns the first offset that is not done with.
func (p *Partition) Start() int64 { return p.start }

// End returns the last offset that somebody had, or where it begins if nobody had any.
func (p *Partition) End() int64 { return p.end }

// NextDeadline returns a time before which no acquisition ends; ok is false if there is
// none.
func (p *Partition) NextDeadline() (ms int64, ok bool) { return p.nextMs, p.nextMs != noDeadline }

// NextFetchOffset returns where to read: the first available record in flight, or what
// nobody has had yet.
func (p *Partition) NextFetchOffset() int64 {
	if len(p.batches) == 0 {
		p.search = false
		return p.end
	}
	if p.search {
		for _, b := range p.batches {
			for i := range b.runs {
				if b.runs[i].free() {
					return b.runs[i].first
				}
			}
		}
		p.search = false
	}
	return p.end + 1
}

// InFlight returns how many offsets are between start and end.
func (p *Partition) InFlight() int64 {
	if len(p.batches) == 0 {
		return 0
	}
	return p.end - p.start + 1
}

// CanAcquire tells whether reading is worth the while.
func (p *Partition) CanAcquire(s Settings) bool {
	next := p.NextFetchOffset()
	return len(p.batches) > 0 && next <= p.end || p.InFlight() < int64(s.MaxLocks)
}

// DeliveryCompleteCount returns how many records behind the start are done with.
func (p *Partition) DeliveryCompleteCount() int32 {
	n := int64(0)
	for _, b := range p.batches {
		for i := range b.runs {
			if b.runs[i].state.Terminal() {
				n += b.runs[i].len()
			}
		}
	}
	return int32(min(n, math.MaxInt32))
}

// find returns the index of the first batch that ends at or behind offset.
func (p *Partition) find(offset int64) int {
	i, _ := slices.BinarySearchFunc(p.batches, offset, func(b *batch, at int64) int {
		switch {
		case b.last < at:
			return -1
		case b.last > at:
			return 1
		}
		return 0
	})
	return i
}

// within calls f for the runs in flight in [first, last], cut to that range.
func (p *Partition) within(first, last int64, f func(r *run) error) error {
	for i := p.find(first); i < len(p.batches) && p.batches[i].first <= last; i++ {
		b := p.batches[i]
		err := b.between(first, last, f)
		b.merge()
		if err != nil {
			return err
		}
	}
	return nil
}

// advance moves the start over what is done with and reports whether it moved.
func (p *Partition) advance() bool {
	moved, gone := false, 0
	for _, b := range p.batches {
		i := 0
		for i < len(b.runs) && b.runs[i].state.Terminal() && b.runs[i].pending == 0 {
			i++
		}
		if i == len(b.runs) {
			p.start, moved = b.last+1, true
			gone++
			continue
		}
		if i > 0 {
			p.start, moved = b.runs[i].first, true
			b.dropBelow(p.start)
		}
		break
	}
	p.drop(gone)
	if gone > 0 && len(p.batches) > 0 {
		p.start = p.batches[0].first // over what is no record
	}
	return moved
}

// drop forgets the first n batches.
func (p *Partition) drop(n int) {
	p.batches = slices.Delete(p.batches, 0, n)
	if n > 0 && len(p.batches) == 0 {
		p.end = max(p.end+1, p.start)
		p.start = p.end
	}
}

// LogStartMoved forgets the records below the log's start.
func (p *Partition) LogStartMoved(to int64) {
	if to <= p.start {
		return
	}
	p.start = to
	n := p.find(to)
	if n == len(p.batches) {
		p.batches = nil
		p.start, p.end = to, to
		return
	}
	p.drop(n)
	if b := p.batches[0]; b.first < to {
		b.dropBelow(to)
	}
	p.advance()
}
