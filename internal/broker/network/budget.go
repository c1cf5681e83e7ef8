package network

import (
	"errors"
	"sync"
	"time"
)

const (
	// pressureTick is how long a connection waits for the budget before it
	// looks for frames that hold it without moving on. A stalled frame holds up
	// the others for at most twice that.
	pressureTick = 500 * time.Millisecond
	// pressureRate is how many bytes a second a frame must gain while others
	// wait for the budget, or its connection is closed.
	pressureRate = 128 << 10
)

var errClosed = errors.New("the connection is closing")

// budget bounds the memory that frames take, over all connections: from their
// first byte until their request is completed.
//
// A frame is charged for its buffer, which grows as its bytes arrive. A frame
// that has begun must be able to finish, or many half-read frames would hold the
// budget against each other for ever. Three rules see to that:
//
//  1. Every connection may hold its share whatever the others do, and only what
//     it holds beyond that counts against the limit. Small requests (heartbeats,
//     metadata) thus never wait for producers. What is held is bounded by the
//     limit and the shares of max.connections together.
//  2. Who wants more than is free waits in a queue, first come first served. If
//     what counts is within the limit, the first in the queue may exceed it until
//     its frame is complete; nobody else may before what counts is within the
//     limit again. So there is always one frame that can finish, and the limit is
//     exceeded by at most one frame.
//  3. While somebody waits, frames that hold more than the share and gain less
//     than pressureRate are closed, so that slow senders cannot keep the budget.
//
// What is charged to completed frames comes back when their requests are
// completed, which the handler does in bounded time.
type budget struct {
	limit int64
	share int64
	stats *Stats

	mu        sync.Mutex
	held      int64    // by all connections
	beyond    int64    // of it, beyond their shares: what the limit is for
	waiters   []*claim // first come first served
	exceeding *claim   // may exceed the limit, see rule 2
	reading   map[*claim]struct{}
}

// claim is a connection's part of the budget.
type claim struct {
	conn *Conn
	held int64
	// wants is what the connection waits for; ready tells it got it.
	wants     int64
	ready     chan struct{}
	abandoned bool
	// gained counts the bytes of the frame being read; at marked it was mark.
	gained, mark int64
	marked       time.Time
}

// tryAcquire takes n bytes for c if it can have them at once.
func (b *budget) tryAcquire(c *claim, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.held+n > b.share && c != b.exceeding && (len(b.waiters) > 0 || b.beyond+b.cost(c, n) > b.limit) {
		return false
	}
	b.change(c, n)
	return true
}

// cost is how much beyond grows when c takes n more bytes, or shrinks when n is
// negative.
func (b *budget) cost(c *claim, n int64) int64 {
	return max(c.held+n, b.share) - max(c.held, b.share)
}

func (b *budget) change(c *claim, n int64) {
	b.beyond += b.cost(c, n)
	b.held += n
	c.held += n
	b.stats.BudgetUsed.Store(b.held)
}

// acquire takes n bytes for c and waits for them if it must. It returns an error
// if the connection is closed meanwhile.
func (b *budget) acquire(c *claim, n int64) error {
	if b.tryAcquire(c, n) {
		return nil
	}
	b.stats.BudgetWaits.Add(1)
	b.mu.Lock()
	if c.abandoned {
		b.mu.Unlock()
		return errClosed
	}
	c.wants = n
	c.ready = make(chan struct{})
	b.waiters = append(b.waiters, c)
	b.serve()
	ready := c.ready
	b.mu.Unlock()

	tick := time.NewTicker(pressureTick)
	defer tick.Stop()
	for {
		select {
		case <-ready:
			b.mu.Lock()
			abandoned := c.abandoned
			b.mu.Unlock()
			if abandoned {
				return errClosed
			}
			return nil
		case <-tick.C:
			b.relieve(time.Now())
		}
	}
}

// serve gives the first waiters what they want, as the rules allow. The caller
// holds mu.
func (b *budget) serve() {
	for len(b.waiters) > 0 {
		c := b.waiters[0]
		if b.beyond+b.cost(c, c.wants) > b.limit {
			if b.exceeding != nil || b.beyond > b.limit {
				return
			}
			b.exceeding = c
		}
		b.waiters[0] = nil
		b.waiters = b.waiters[1:]
		b.change(c, c.wants)
		c.wants = 0
		close(c.ready)
	}
	b.waiters = nil
}

// release gives n bytes of c's back.
func (b *budget) release(c *claim, n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.change(c, -n)
	b.serve()
}

// frameBegun notes that c reads a frame that will exceed its share.
func (b *budget) frameBegun(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.gained, c.mark, c.marked = 0, 0, time.Time{}
	b.reading[c] = struct{}{}
}

// frameGained notes n more bytes of the frame.
func (b *budget) frameGained(c *claim, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.gained += int64(n)
}

// frameEnded notes that the frame is complete or given up.
func (b *budget) frameEnded(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.reading, c)
	if b.exceeding == c {
		b.exceeding = nil
		b.serve()
	}
}

// abandon wakes a waiting connection that is being closed.
func (b *budget) abandon(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.abandoned = true
	if c.wants == 0 {
		return
	}
	for i, w := range b.waiters {
		if w == c {
			b.waiters = append(b.waiters[:i:i], b.waiters[i+1:]...)
			break
		}
	}
	c.wants = 0
	close(c.ready)
	b.serve()
}

// relieve closes the connections whose frames hold the budget without gaining
// bytes. It acts at most once a tick, however many wait.
func (b *budget) relieve(now time.Time) {
	var slow []*Conn
	b.mu.Lock()
	for c := range b.reading {
		if c.wants > 0 {
			// It waits for us, not we for it.
			c.marked = time.Time{}
			continue
		}
		if c.marked.IsZero() {
			c.mark, c.marked = c.gained, now
			continue
		}
		age := now.Sub(c.marked)
		if age < pressureTick {
			continue
		}
		if float64(c.gained-c.mark) < pressureRate*age.Seconds() {
			slow = append(slow, c.conn)
		}
		c.mark, c.marked = c.gained, now
	}
	b.mu.Unlock()
	for _, c := range slow {
		c.shut(ClosedBudget)
	}
}
