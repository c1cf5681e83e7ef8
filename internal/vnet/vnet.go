// Package vnet is a network inside the process: a listener and the connections
// dialled to it, with the buffers, deadlines and errors of a TCP connection but
// without sockets, so that a node and its co-located clients need no port and
// tests run in virtual time (testing/synctest).
//
// Neighbours: internal/broker/network serves a [Listener] like any other; tests
// and embedding programs dial it. It knows nothing of Kafka.
//
// Invariants: bytes arrive in order and unchanged; a write waits when bufferSize
// bytes have not been read; what was written before Close can be read after it,
// then io.EOF follows; a buffer exists only while there are bytes in it.
package vnet

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how many bytes one direction holds.
const bufferSize = 64 << 10

// backlog is how many connections wait to be accepted before Dial waits.
const backlog = 128

// Addr is the name of a listener or of one of its connections.
type Addr string

// Network is "vnet".
func (Addr) Network() string { return "vnet" }

// String is the name.
func (a Addr) String() string { return string(a) }

// Listener is a net.Listener for connections made by its Dial. All methods may
// be called concurrently.
type Listener struct {
	addr   Addr
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a listener of that name. Names need not differ; nothing finds a
// listener by its name.
func Listen(name string) *Listener {
	return &Listener{addr: Addr(name), queue: make(chan net.Conn, backlog), closed: make(chan struct{})}
}

// Accept waits for the next connection; after Close the error is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends accepting and dialling. Connections live on, those that were not
// accepted are closed.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.refuseQueued()
	})
	return nil
}

func (l *Listener) refuseQueued() {
	for {
		select {
		case c := <-l.queue:
			_ = c.Close() // nothing was exchanged
		default:
			return
		}
	}
}

// Addr is the listener's name.
func (l *Listener) Addr() net.Addr { return l.addr }

// Dial connects to the listener. It waits only while the backlog is full.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := Pipe(l.addr+"-client", l.addr)
	select {
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	default:
	}
	select {
	case l.queue <- theirs:
		select {
		case <-l.closed: // closed meanwhile: nobody else looks into the queue
			l.refuseQueued()
		default:
		}
		return ours, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Pipe returns the two ends of a connection, named a and b.
func Pipe(a, b Addr) (net.Conn, net.Conn) {
	to, from := newHalf(), newHalf()
	return &conn{in: from, out: to, local: a, remote: b}, &conn{in: to, out: from, local: b, remote: a}
}

// conn is one end.
type conn struct {
	in, out       *half
	local, remote Addr
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *conn) LocalAddr() net.Addr         { return c.local }
func (c *conn) RemoteAddr() net.Addr        { return c.remote }

func (c *conn) Close() error {
	c.in.closeReading()
	c.out.closeWriting(true)
	return nil
}

// CloseWrite ends the sending direction only, as a TCP connection's does.
func (c *conn) CloseWrite() error {
	c.out.closeWriting(false)
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t) // cannot fail
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

// half is one direction: a bounded buffer between a writer and a reader.
type half struct {
	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	// readClosed: the reader's end is closed. writeClosed: no more bytes come.
	// ownClosed: the writer's end is closed.
	readClosed, writeClosed, ownClosed bool
	readBy, writeBy                    deadline
}

// deadline is when waiting ends; timer wakes those who wait.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newHalf() *half {
	h := &half{}
	h.changed.L = &h.mu
	return h
}

func (h *half) setDeadline(d *deadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if !t.IsZero() && !h.readClosed {
		d.timer = time.AfterFunc(time.Until(t), h.wake)
	}
	h.changed.Broadcast()
}

func (h *half) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed.Broadcast()
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readClosed:
			return 0, net.ErrClosed
		case h.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			if h.buf = h.buf[n:]; len(h.buf) == 0 {
				h.buf = nil
			}
			h.changed.Broadcast()
			return n, nil
		case h.writeClosed:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		h.changed.Wait()
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for written := 0; ; {
		switch {
		case h.ownClosed || h.writeClosed:
			return written, net.ErrClosed
		case h.readClosed:
			return written, syscall.EPIPE
		case h.writeBy.passed():
			return written, os.ErrDeadlineExceeded
		}
		if n := min(bufferSize-len(h.buf), len(p)-written); n > 0 {
			h.buf = append(h.buf, p[written:written+n]...)
			written += n
			h.changed.Broadcast()
		}
		if written == len(p) {
			return written, nil
		}
		h.changed.Wait()
	}
}

func (h *half) closeReading() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readClosed = true
	h.buf = nil
	for _, d := range []*deadline{&h.readBy, &h.writeBy} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	h.changed.Broadcast()
}

func (h *half) closeWriting(own bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writeClosed = true
	h.ownClosed = h.ownClosed || own
	if d := &h.writeBy; d.timer != nil {
		d.timer.Stop()
	}
	h.changed.Broadcast()
}
