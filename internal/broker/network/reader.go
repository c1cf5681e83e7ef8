package network

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"
)

const (
	// minFrame is the shortest request: key, version and correlation id.
	minFrame = 8
	// firstStep is the first buffer of a frame that does not fit readBuffer,
	// taken when readBuffer bytes have arrived. Each further one is taken when the
	// last is full: four times as large, from slowStep on twice.
	firstStep = 64 << 10
	slowStep  = 1 << 20
	// maxHeld and maxHoldTime bound how many answers wait, and how long, for the
	// frames that have arrived already to be handled.
	maxHeld     = maxBatch
	maxHoldTime = 500 * time.Microsecond
	// maxHeldFor is the largest frame for which answers that are ready wait.
	maxHeldFor = 128 << 10
	// lonelyRequests is how many answers are sent at once after one was held for a
	// next request that had not come: most clients wait for each answer.
	lonelyRequests = 64
	// lingerAfterEOF is how long a client that has finished sending, but had
	// requests in flight, is waited for.
	lingerAfterEOF = time.Second
)

// errDrained ends the reading of a connection that is to be closed when its
// answers are sent.
var errDrained = errors.New("no more frames are read")

// inbox holds what was read and not yet taken. While the connection waits and
// nothing is left in it, it holds no buffer; while the beginning of a frame is
// left, a small one.
type inbox struct {
	pool *bufferPool
	buf  []byte // as long as its capacity, nil when nothing is held
	r, w int    // buf[r:w] was read and not taken
	dst  []byte // if not nil, where the next bytes go instead
	got  int    // how many bytes went to dst

	begun    time.Time // when the connection first waited for the rest of a frame
	deadline time.Time // what the read deadline is set to
}

func (in *inbox) len() int { return in.w - in.r }

// room is where to read to: at least one byte.
func (in *inbox) room() []byte {
	if in.dst != nil {
		return in.dst
	}
	in.hold(readBuffer)
	return in.buf[in.w:]
}

// smallRoom is room without taking a large buffer.
func (in *inbox) smallRoom() []byte {
	if in.dst != nil {
		return in.dst
	}
	if in.buf == nil || in.w == len(in.buf) {
		size := smallBuffer
		if in.len() >= smallBuffer {
			size = readBuffer
		}
		in.hold(size)
	}
	return in.buf[in.w:]
}

// hold makes sure that there is a buffer of at least size, with room in it.
func (in *inbox) hold(size int) {
	switch {
	case len(in.buf) < size:
		in.move(size)
	case in.r == in.w:
		in.r, in.w = 0, 0
	case in.w == len(in.buf):
		copy(in.buf, in.buf[in.r:in.w])
		in.r, in.w = 0, in.len()
	}
}

// move takes a new buffer with what is left of the old one.
func (in *inbox) move(size int) {
	b := in.pool.get(size)
	b = b[:cap(b)]
	n := copy(b, in.buf[in.r:in.w])
	in.drop()
	in.buf, in.w = b, n
}

// drop gives the buffer back with what is in it.
func (in *inbox) drop() {
	if in.buf != nil {
		in.pool.put(in.buf)
	}
	in.buf, in.r, in.w = nil, 0, 0
}

// filled notes that n bytes were read into room.
func (in *inbox) filled(n int) {
	if in.dst != nil {
		in.dst = in.dst[n:]
		in.got += n
		return
	}
	in.w += n
}

// park gives back what need not be held while waiting.
func (in *inbox) park() {
	switch n := in.len(); {
	case in.buf == nil:
	case n == 0:
		in.drop()
	case n <= smallBuffer/2 && len(in.buf) > smallBuffer:
		in.move(smallBuffer)
	}
}

// frameSize is the announced length of the frame at the front, false while it
// has not arrived.
func (in *inbox) frameSize() (int32, bool) {
	if in.len() < lengthPrefix {
		return 0, false
	}
	return int32(binary.BigEndian.Uint32(in.buf[in.r:])), true
}

// hasFrame tells that a whole frame has arrived.
func (in *inbox) hasFrame() bool {
	size, ok := in.frameSize()
	return ok && size >= minFrame && int64(in.len()) >= lengthPrefix+int64(size)
}

// take copies the n bytes at the front to the end of dst.
func (in *inbox) take(dst []byte, n int) []byte {
	dst = append(dst, in.buf[in.r:in.r+n]...)
	in.r += n
	return dst
}

// partial tells that a frame has begun.
func (in *inbox) partial() bool { return in.dst != nil || in.len() > 0 }

// serve is the reading goroutine.
func (c *Conn) serve() {
	defer c.server.goroutines.Done()
	defer c.server.forget(c)
	defer c.finish()
	if !c.handshake() {
		return
	}
	for !c.closing.Load() {
		r, err := c.readFrame()
		if err != nil {
			c.readEnded(err)
			return
		}
		if c.held > 0 && r.arrived.Sub(c.heldSince) > maxHoldTime {
			c.flushHeld()
		}
		c.awaitTurn(c.server.handler.Pipelined(r.frame))
		c.enqueue(r)
		c.server.stats.Requests.Add(1)
		c.server.handler.Handle(r)
		// What is held leaves at the latest before the connection waits for input.
		hold := c.lonely == 0 && c.stream.flushesBeforeWaiting() || c.in.hasFrame()
		c.lonely = max(c.lonely-1, 0)
		isHeld, full := c.afterHandle(hold && c.held < maxHeld)
		switch {
		case !isHeld:
			c.held = 0
		case c.held == 0:
			c.held, c.heldSince = 1, time.Now()
		default:
			c.held++
		}
		if full {
			c.await(c.full)
		}
	}
}

// flushHeld sends the answers that waited to be sent together with later ones.
func (c *Conn) flushHeld() {
	if c.held > 0 {
		c.held = 0
		c.afterHandle(false)
	}
}

// handshake completes TLS.
func (c *Conn) handshake() bool {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return true
	}
	_ = t.SetDeadline(time.Now().Add(c.server.limits.HandshakeTimeout)) // fails only if closed, which Handshake reports
	if err := t.Handshake(); err != nil {
		c.server.log.Debug("a TLS handshake ended", "error", err, "remote", c.remote.String(), "listener", c.listener.Name)
		c.shut(ClosedHandshake)
		return false
	}
	_ = t.SetDeadline(time.Time{})
	return true
}

// readEnded closes the connection for the reason reading ended for.
func (c *Conn) readEnded(err error) {
	c.flushHeld()
	switch {
	case errors.Is(err, io.EOF):
		linger := time.AfterFunc(lingerAfterEOF, func() { c.shut(ClosedByPeer) })
		c.await(c.unsent)
		linger.Stop()
		c.shut(ClosedByPeer)
	case errors.Is(err, errDrained):
		c.await(c.unsent)
		c.shut(ClosedShutdown)
	default:
		c.shut(ClosedByPeer)
	}
}

// unsent tells that answers are to come. The caller holds mu.
func (c *Conn) unsent() bool { return c.inFlight > 0 || c.writing }

// readFrame reads the next frame and makes a request of it.
func (c *Conn) readFrame() (*Request, error) {
	for c.in.len() < lengthPrefix {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	if c.draining.Load() {
		return nil, errDrained
	}
	announced, _ := c.in.frameSize()
	if limit := c.frameLimit.Load(); announced < minFrame || announced > limit {
		c.server.log.Info("closing a connection that announced a frame of a size that is not allowed", "bytes", announced,
			"max_bytes", limit, "remote", c.remote.String(), "listener", c.listener.Name)
		c.flushHeld()
		c.shut(ClosedFrameSize)
		return nil, errClosed
	}
	r := &Request{conn: c}
	r.refs.Store(1)
	size := int(announced)
	var err error
	if size <= readBuffer-lengthPrefix {
		err = c.readSmall(r, size)
	} else {
		err = c.readLarge(r, size)
	}
	if err != nil {
		c.server.buffers.put(r.frame)
		c.server.budget.release(&c.claim, r.charged)
		return nil, err
	}
	r.arrived = time.Now()
	c.in.begun = time.Time{}
	c.server.stats.BytesIn.Add(int64(size + lengthPrefix))
	return r, nil
}

// readSmall reads a frame that fits the read buffer; it takes its own buffer
// when it is complete.
func (c *Conn) readSmall(r *Request, size int) error {
	for c.in.len() < lengthPrefix+size {
		if err := c.fill(); err != nil {
			return err
		}
	}
	if err := c.growFrame(r, size); err != nil {
		return err
	}
	c.in.r += lengthPrefix
	r.frame = c.in.take(r.frame, size)
	return nil
}

// readLarge reads a frame into a buffer that grows with what has arrived.
func (c *Conn) readLarge(r *Request, size int) error {
	if size > maxHeldFor {
		c.flushHeld()
	}
	for c.in.len() < readBuffer {
		if err := c.fill(); err != nil {
			return err
		}
	}
	// Its turn comes before its memory: what waits behind a request that a client lets
	// wait for long must not hold the budget.
	if c.awaitTurn(c.server.handler.Pipelined(c.in.buf[c.in.r+lengthPrefix : c.in.w])) {
		c.in.begun, c.in.deadline = time.Time{}, time.Time{} // the client was not slow
		_ = c.nc.SetReadDeadline(time.Time{})                // set again before waiting
	}
	b := &c.server.budget
	b.frameBegun(&c.claim)
	defer b.frameEnded(&c.claim)
	if err := c.growFrame(r, min(size, firstStep)); err != nil {
		return err
	}
	c.in.r += lengthPrefix
	r.frame = c.in.take(r.frame, c.in.len())
	c.in.drop()
	for len(r.frame) < size {
		if len(r.frame) == cap(r.frame) {
			if err := c.growFrame(r, min(size, nextStep(cap(r.frame)))); err != nil {
				return err
			}
		}
		have := len(r.frame)
		c.in.dst, c.in.got = r.frame[have:min(size, cap(r.frame))], have
		err := c.fill()
		got := c.in.got - have
		c.in.dst = nil
		if err != nil {
			return err
		}
		r.frame = r.frame[:have+got]
		b.frameGained(&c.claim, got)
	}
	return nil
}

func nextStep(size int) int {
	if size < slowStep {
		return 4 * size
	}
	return 2 * size
}

// growFrame gives r a buffer of at least size with the bytes it had, after the
// budget allowed it. Answers that wait to be sent together with later ones are
// sent before it waits.
func (c *Conn) growFrame(r *Request, size int) error {
	want := int64(c.server.buffers.sizeFor(size))
	more := want - r.charged
	b := &c.server.budget
	if !b.tryAcquire(&c.claim, more) {
		c.flushHeld()
		if err := b.acquire(&c.claim, more); err != nil {
			return err
		}
	}
	r.charged = want
	old := r.frame
	r.frame = append(c.server.buffers.get(size), old...)
	if old != nil {
		c.server.buffers.put(old)
	}
	return nil
}

// fill waits until more bytes of the connection are in the inbox.
func (c *Conn) fill() error {
	for {
		err := c.stream.read()
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case c.draining.Load():
			return errDrained
		case c.in.partial():
			c.shut(ClosedSlowFrame)
			return err
		case c.idle():
			c.shut(ClosedIdle)
			return err
		}
		c.in.deadline = time.Time{}
		_ = c.nc.SetReadDeadline(time.Time{}) // set again before waiting
	}
}

// idle tells that nothing was in flight or sent for Limits.MaxIdle.
func (c *Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlight == 0 && time.Since(c.lastSent) >= c.server.limits.MaxIdle
}

// armRead sets the read deadline before the connection waits. A deadline for the
// next frame is only moved when it is about to come too early, because moving it
// at every request would cost as much as handling a small one.
func (c *Conn) armRead() {
	lim := &c.server.limits
	in := &c.in
	now := time.Now()
	c.active(now)
	var want time.Time
	switch {
	case in.partial():
		arrived := in.len()
		if in.dst != nil {
			arrived = in.got
		}
		if in.begun.IsZero() {
			in.begun = now
		}
		want = in.begun.Add(lim.FrameGrace + time.Duration(arrived)*time.Second/time.Duration(lim.FrameRate))
		if stalled := now.Add(lim.FrameStall); stalled.Before(want) {
			want = stalled
		}
	case lim.MaxIdle > 0:
		want = in.deadline
		if want.Sub(now) < lim.MaxIdle {
			want = now.Add(lim.MaxIdle + lim.MaxIdle/16)
		}
	}
	if !want.Equal(in.deadline) {
		in.deadline = want
		_ = c.nc.SetReadDeadline(want) // fails only if closed, which reading reports
	}
	if c.draining.Load() {
		c.stopWaiting()
	}
}

// stopWaiting ends a wait for the next frame.
func (c *Conn) stopWaiting() {
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails only if closed
}
