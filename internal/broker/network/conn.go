package network

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/assert"
)

// Conn is one client connection. Its exported methods may be called from any
// goroutine.
type Conn struct {
	server   *Server
	listener *Listener
	nc       net.Conn
	stream   stream
	id       uint64
	remote   net.Addr

	// frameLimit is the longest frame that is read; see SetFrameLimit.
	frameLimit atomic.Int32
	closing    atomic.Bool  // nc was closed or is about to be
	draining   atomic.Bool  // no more frames are read; close when everything is sent
	activeNs   atomic.Int64 // when it was last read from or written to, in nanoseconds since 1970

	// Used by the reading goroutine only: what was read, and how many answers wait
	// to be sent together with later ones, since when, and for how many requests none
	// is held.
	in        inbox
	held      int
	heldSince time.Time
	lonely    int
	// alone says that the last request was not one that may be pipelined.
	alone bool

	claim claim // guarded by the budget

	mu sync.Mutex
	// wake tells the reading goroutine that the queue got shorter, a request was
	// completed or the connection ended.
	wake         sync.Cond
	head, tail   *Request // not yet sent, in the order of arrival
	inFlight     int
	unanswered   int      // of those in flight, how many are not completed
	queuedOut    int64    // bytes of answers that were given but not sent
	handling     *Request // what the reading goroutine is in Handle with
	writing      bool     // somebody owns the sending side
	readerWaits  bool
	ended        bool // the reading goroutine is done
	lastSent     time.Time
	onClose      []func()
	softwareName string
	softwareVer  string
	principal    any
}

// ID is a number that no other connection of this server has or had.
func (c *Conn) ID() uint64 { return c.id }

// Listener is the listener the connection came in by.
func (c *Conn) Listener() *Listener { return c.listener }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr is the address the client connected to.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// SetClientSoftware stores what the client said of itself in ApiVersions.
func (c *Conn) SetClientSoftware(name, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.softwareName, c.softwareVer = name, version
}

// ClientSoftware returns what SetClientSoftware stored, empty before.
func (c *Conn) ClientSoftware() (name, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.softwareName, c.softwareVer
}

// SetPrincipal stores who the client was authenticated as.
func (c *Conn) SetPrincipal(p any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.principal = p
}

// Principal returns what SetPrincipal stored, nil before.
func (c *Conn) Principal() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.principal
}

// SetFrameLimit changes the longest frame that is read from now on, for a
// listener that reads short frames only until the client is authenticated.
func (c *Conn) SetFrameLimit(bytes int32) { c.frameLimit.Store(bytes) }

// OnClose registers a function that is called once when the connection has
// ended, on its own goroutine; at once if it has ended already.
func (c *Conn) OnClose(fn func()) {
	c.mu.Lock()
	ended := c.ended
	if !ended {
		c.onClose = append(c.onClose, fn)
	}
	c.mu.Unlock()
	if ended {
		fn()
	}
}

// active notes that the connection is in use.
func (c *Conn) active(now time.Time) { c.activeNs.Store(now.UnixNano()) }

// Close ends the connection at once; answers that were not sent are dropped.
func (c *Conn) Close() { c.shut(ClosedByHandler) }

// shut closes the socket, which ends the reading and the writing goroutine.
func (c *Conn) shut(reason CloseReason) {
	if c.closing.Swap(true) {
		return
	}
	c.server.stats.Closes[reason].Add(1)
	_ = c.nc.Close() // the connection is given up; there is nothing to do about an error
	c.server.budget.abandon(&c.claim)
	c.mu.Lock()
	c.wakeReader()
	c.mu.Unlock()
}

func (c *Conn) wakeReader() {
	if c.readerWaits {
		c.wake.Signal()
	}
}

// enqueue puts a request at the end of the order and makes it the one being
// handled.
func (c *Conn) enqueue(r *Request) {
	c.mu.Lock()
	if c.tail == nil {
		c.head = r
	} else {
		c.tail.next = r
	}
	c.tail = r
	c.inFlight++
	c.unanswered++
	c.handling = r
	c.mu.Unlock()
	c.server.stats.InFlight.Add(1)
}

// completed notes how a request was completed and sees to it that somebody
// sends what is now ready. It does no I/O.
func (c *Conn) completed(r *Request, how outcome) {
	c.mu.Lock()
	assert.That(r.state == waiting, "a request was completed twice (%d, then %d)", r.state, how)
	r.state = how
	r.onClose = nil
	c.unanswered--
	c.wakeReader()
	c.queuedOut += int64(len(r.out))
	// What the reading goroutine is in Handle with it sends itself, afterwards.
	send := r == c.head && r != c.handling && !c.writing
	ended := c.ended
	if send {
		c.writing = true
		if !ended {
			c.server.goroutines.Add(1)
		}
	}
	c.mu.Unlock()
	switch {
	case send && ended:
		c.drain() // nothing is sent any more, only given back
	case send:
		go c.drainApart()
	}
}

func (c *Conn) drainApart() {
	defer c.server.goroutines.Done()
	c.drain()
}

// afterHandle ends the handling of a request. What is ready is sent by the
// calling reading goroutine, or with hold left for a later call, unless the
// connection has as much in flight as it may. It returns whether something was
// left, and whether reading must wait.
func (c *Conn) afterHandle(hold bool) (held, full bool) {
	c.mu.Lock()
	c.handling = nil
	ready := c.head != nil && c.head.state != waiting && !c.writing
	full = c.full()
	send := ready && (!hold || full)
	if send {
		c.writing = true
	}
	c.mu.Unlock()
	if !send {
		return ready, full
	}
	c.drain()
	c.mu.Lock()
	defer c.mu.Unlock()
	return false, c.full()
}

// full tells that no more may be read for now. The caller holds mu.
func (c *Conn) full() bool {
	return c.inFlight >= c.server.limits.MaxInFlight || c.queuedOut >= c.server.limits.MaxQueuedOut
}

// awaitTurn blocks the reading goroutine until a request may be handled: until all
// before it are answered, unless it and they are pipelined. It tells whether it had to
// wait.
func (c *Conn) awaitTurn(pipelined bool) (waited bool) {
	c.mu.Lock()
	turn := c.unanswered == 0 || pipelined && !c.alone
	c.mu.Unlock()
	if !turn {
		c.flushHeld()
		c.await(func() bool { return c.unanswered > 0 })
	}
	c.alone = !pipelined
	return !turn
}

// await blocks the reading goroutine while cond says so, until the connection is
// closing. cond is called with mu held.
func (c *Conn) await(cond func() bool) {
	c.mu.Lock()
	c.readerWaits = true
	for cond() && !c.closing.Load() {
		c.wake.Wait()
	}
	c.readerWaits = false
	c.mu.Unlock()
}

// takeReady detaches the requests at the head of the order that are completed,
// at most maxBatch of them. The caller owns the sending side; when nothing is
// ready it no longer does.
func (c *Conn) takeReady() (first *Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var last *Request
	n := 0
	for r := c.head; r != nil && r.state != waiting && n < maxBatch; r = r.next {
		last = r
		n++
		c.queuedOut -= int64(len(r.out))
	}
	if last == nil {
		c.writing = false
		c.wakeReader()
		return nil
	}
	first = c.head
	c.head = last.next
	if c.head == nil {
		c.tail = nil
	}
	last.next = nil
	c.inFlight -= n
	c.server.stats.InFlight.Add(int64(-n))
	return first
}

// finish is the end of the reading goroutine: it gives everything back and tells
// whoever wanted to know.
func (c *Conn) finish() {
	c.shut(ClosedByPeer)
	c.mu.Lock()
	c.ended = true
	hooks := c.onClose
	c.onClose = nil
	for r := c.head; r != nil; r = r.next {
		if r.onClose != nil {
			hooks = append(hooks, r.onClose)
			r.onClose = nil
		}
	}
	drain := !c.writing
	if drain {
		c.writing = true
	}
	c.mu.Unlock()
	if drain {
		c.drain() // drops what was ready; later answers are dropped as they come
	}
	c.in.drop()
	for _, fn := range hooks {
		fn()
	}
}
