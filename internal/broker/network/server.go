package network

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// coldReads is how many senders may wait for the disk at once.
const coldReads = 8

// Handler answers requests.
type Handler interface {
	// Handle is called for each frame on its connection's goroutine, in the
	// order of the frames. While it runs nothing more is read from that
	// connection, so it must not wait for anything but the work of this request;
	// what waits is completed later from elsewhere.
	Handle(r *Request)
	// Pipelined tells whether the request in frame may be handled while requests
	// before it wait for their answers, if all of those are pipelined too. Any other
	// request is handled when everything before it has been answered, so that its
	// answer is never older than one the client got before.
	Pipelined(frame []byte) bool
}

// Limits bounds what clients can make the server spend. The zero value of a
// field means its default.
type Limits struct {
	// MaxFrame is socket.request.max.bytes: the longest request. Default 100 MiB.
	MaxFrame int32
	// QueuedRequestBytes is queued.max.request.bytes: how many bytes of frames
	// are held at once, over all connections. Default 256 MiB.
	QueuedRequestBytes int64
	// ConnectionShare is how many of these bytes a connection may always hold.
	// Default 64 KiB.
	ConnectionShare int64
	// MaxInFlight is how many requests of a connection are read before the first
	// is answered. Default 128.
	MaxInFlight int
	// MaxQueuedOut is how many bytes of answers, without file ranges, may wait
	// for a slow client before nothing more is read from it. Default 4 MiB.
	MaxQueuedOut int64
	// MaxConnections is max.connections: when as many are open, no more are
	// accepted until one ends. Default: no limit; negative: none may come.
	MaxConnections int
	// Listeners are the limits of single listeners, by name.
	Listeners map[string]ListenerLimits
	// Protected is the listener of the brokers among themselves, if there are others:
	// it is left out of MaxConnections and CreationRate.
	Protected string
	// MaxConnectionsPerIP is max.connections.per.ip: one more is closed at once.
	// Default: no limit; negative: none may come.
	MaxConnectionsPerIP int
	// PerIPOverrides is max.connections.per.ip.overrides: the limit for an
	// address, as netip.Addr prints it, instead of MaxConnectionsPerIP.
	PerIPOverrides map[string]int
	// CreationRate is max.connection.creation.rate: how many connections a
	// second all listeners together accept. Default: no limit.
	CreationRate int
	// MaxIdle is connections.max.idle.ms: a connection without traffic is closed
	// after it. Default 10 minutes; negative for never.
	MaxIdle time.Duration
	// SendBuffer and ReceiveBuffer are socket.send.buffer.bytes and
	// socket.receive.buffer.bytes. Default: the system sizes them.
	SendBuffer    int
	ReceiveBuffer int
	// HandshakeTimeout bounds a TLS handshake. Default 10 seconds.
	HandshakeTimeout time.Duration
	// FrameStall is how long a frame that has begun may go without a byte.
	// Default 30 seconds.
	FrameStall time.Duration
	// FrameGrace and FrameRate bound how long a frame may take: the grace, and
	// the time its bytes so far take at FrameRate bytes a second. Defaults 30
	// seconds and 4 KiB.
	FrameGrace time.Duration
	FrameRate  int
	// WriteStall is how long a client may take none of an answer's bytes. A
	// consumer that processes what it has before it reads on does that, so it is
	// long. Default 10 minutes; negative for ever.
	WriteStall time.Duration
}

// ListenerLimits bounds the connections of one listener.
type ListenerLimits struct {
	// MaxConnections is listener.name.<listener>.max.connections.
	MaxConnections int
	// CreationRate is listener.name.<listener>.max.connection.creation.rate; 0: no limit.
	CreationRate int
}

func orDefault[T int | int32 | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.MaxFrame, 100<<20)
	orDefault(&l.QueuedRequestBytes, 256<<20)
	orDefault(&l.ConnectionShare, 64<<10)
	orDefault(&l.MaxInFlight, 128)
	orDefault(&l.MaxQueuedOut, 4<<20)
	orDefault(&l.MaxConnections, math.MaxInt)
	orDefault(&l.MaxConnectionsPerIP, math.MaxInt)
	orDefault(&l.MaxIdle, 10*time.Minute)
	orDefault(&l.HandshakeTimeout, 10*time.Second)
	orDefault(&l.FrameStall, 30*time.Second)
	orDefault(&l.FrameGrace, 30*time.Second)
	orDefault(&l.FrameRate, 4<<10)
	orDefault(&l.WriteStall, 10*time.Minute)
	return l
}

// SetConnectionLimits changes how many connections are accepted and how fast:
// MaxConnections, Listeners, Protected, MaxConnectionsPerIP, PerIPOverrides and
// CreationRate of l. Of the connections over MaxConnections those are closed that
// have been quiet for longest; over the other limits, those that are open stay.
func (s *Server) SetConnectionLimits(l Limits) {
	s.admission.setLimits(l.withDefaults())
	s.closeExcess()
}

// ConnectionLimits returns the limits of connections that are in force.
func (s *Server) ConnectionLimits() Limits {
	s.admission.mu.Lock()
	defer s.admission.mu.Unlock()
	return s.admission.limits
}

// closeExcess closes the quietest connections while there are more than
// max.connections. Those of the protected listener stay.
func (s *Server) closeExcess() {
	if s.admission.excess() <= 0 {
		return
	}
	protected := s.ConnectionLimits().Protected
	var open []*Conn
	s.mu.Lock()
	closing := 0
	for c := range s.conns {
		switch {
		case c.closing.Load():
			closing++
		case c.listener.Name != protected:
			open = append(open, c)
		}
	}
	s.mu.Unlock()
	n := min(s.admission.excess()-closing, len(open))
	if n <= 0 {
		return
	}
	slices.SortFunc(open, func(a, b *Conn) int { return cmp.Compare(a.activeNs.Load(), b.activeNs.Load()) })
	for _, c := range open[:n] {
		c.shut(ClosedExcess)
	}
	s.log.Info("connections were closed: there were more than max.connections", "closed", n)
}

// ListenerConfig describes one listener.
type ListenerConfig struct {
	// Name is the listener's name, as in `listeners` before "://".
	Name string
	// Address is host:port. An empty host means every address of the machine,
	// localhost both loopback addresses, port 0 any free port (the same one on
	// all addresses).
	Address string
	// Accept is used instead of Address if it is not nil, for connections that do
	// not come over the network. The server closes it.
	Accept net.Listener
	// TLS makes the listener speak TLS.
	TLS *tls.Config
	// FrameLimit is the longest frame before [Conn.SetFrameLimit] changes it;
	// 0 means Limits.MaxFrame.
	FrameLimit int32
}

// Config is what [Listen] needs.
type Config struct {
	// Listeners to open; names must differ.
	Listeners []ListenerConfig
	// Limits bound what clients can make the server spend.
	Limits Limits
	// Log receives what operators should know; nil discards it.
	Log *slog.Logger
	// PoisonBuffers overwrites every buffer when it is given back, so that a test
	// sees a use after release.
	PoisonBuffers bool
}

// Server is a set of listeners and their connections.
type Server struct {
	listeners []*Listener
	handler   Handler
	limits    Limits
	log       *slog.Logger
	stats     Stats
	buffers   bufferPool
	gatherers sync.Pool
	budget    budget
	bulk      chan struct{} // a place for each bulk send at once
	cold      chan struct{} // a place for each sender that waits for the disk
	admission admission
	nextID    atomic.Uint64

	goroutines sync.WaitGroup // accepting, reading and writing ones

	mu      sync.Mutex
	conns   map[*Conn]struct{}
	started bool
	closed  bool
}

// Listen opens the listeners. Clients can connect from now on, but are served
// only after [Server.Start].
func Listen(cfg Config) (*Server, error) {
	s := &Server{limits: cfg.Limits.withDefaults(), log: cfg.Log, conns: map[*Conn]struct{}{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.buffers.poison = cfg.PoisonBuffers
	s.gatherers.New = func() any { return new(gatherer) }
	s.budget = budget{limit: s.limits.QueuedRequestBytes, share: s.limits.ConnectionShare, stats: &s.stats, reading: map[*claim]struct{}{}}
	s.cold = make(chan struct{}, coldReads)
	s.bulk = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	s.admission.init(s.limits)
	for _, lc := range cfg.Listeners {
		l, err := s.listen(lc)
		if err != nil {
			for _, open := range s.listeners {
				open.close()
			}
			return nil, err
		}
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

// Start begins to accept connections and to hand their requests to h.
func (s *Server) Start(h Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return
	}
	s.started = true
	s.handler = h
	for _, l := range s.listeners {
		for _, nl := range l.sockets {
			s.goroutines.Add(1)
			go s.accept(l, nl)
		}
	}
}

// Stats returns the server's counters.
func (s *Server) Stats() *Stats { return &s.stats }

// Listeners returns the open listeners in the order of their configuration.
func (s *Server) Listeners() []*Listener { return s.listeners }

// Listener returns the listener of a name, nil if there is none.
func (s *Server) Listener(name string) *Listener {
	for _, l := range s.listeners {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// Close stops accepting and reading, lets the answers to requests in flight
// leave until ctx ends, and closes all connections. It returns when every
// goroutine of the server has ended; a Handle that does not return holds it up.
// The error is ctx's if answers were cut off.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	s.admission.close()
	for _, l := range s.listeners {
		l.close()
	}
	for _, c := range conns {
		c.draining.Store(true)
		c.stopWaiting()
	}
	done := make(chan struct{})
	go func() {
		s.goroutines.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range conns {
		c.shut(ClosedShutdown)
	}
	<-done
	return ctx.Err()
}

// sizeBuffers gives a connection the buffers that the limits say. A system that has none
// so large takes its own limit.
func (s *Server) sizeBuffers(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	if s.limits.SendBuffer > 0 {
		_ = tcp.SetWriteBuffer(s.limits.SendBuffer) // fails only if the connection has ended
	}
	if s.limits.ReceiveBuffer > 0 {
		_ = tcp.SetReadBuffer(s.limits.ReceiveBuffer)
	}
}

// open takes a new connection into service.
func (s *Server) open(l *Listener, nc net.Conn) {
	s.sizeBuffers(nc)
	c := &Conn{server: s, listener: l, nc: nc, id: s.nextID.Add(1), remote: nc.RemoteAddr()}
	if l.tls != nil {
		c.nc = tls.Server(nc, l.tls)
	}
	c.stream = newStream(c, c.nc)
	c.in.pool = &s.buffers
	c.claim.conn = c
	c.wake.L = &c.mu
	c.frameLimit.Store(l.frameLimit)
	c.active(time.Now())
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.conns[c] = struct{}{}
		s.goroutines.Add(1)
	}
	s.mu.Unlock()
	if closed {
		s.admission.release(l, c.remote)
		_ = nc.Close() // nothing was read or written
		return
	}
	s.stats.Connections.Add(1)
	s.stats.Accepted.Add(1)
	go c.serve()
	s.closeExcess() // one of the protected listener takes the place of another
}

func (s *Server) forget(c *Conn) {
	s.admission.release(c.listener, c.remote)
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.stats.Connections.Add(-1)
	s.closeExcess() // it counted as closing while its place was free already
}

// accept takes connections until the socket is closed.
func (s *Server) accept(l *Listener, nl net.Listener) {
	defer s.goroutines.Done()
	var backoff time.Duration
	for {
		nc, err := nl.Accept()
		if err == nil {
			backoff = 0
			s.admit(l, nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			return
		}
		// Out of descriptors or memory: it passes when connections end.
		s.stats.AcceptErrors.Add(1)
		backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
		s.log.Warn("accepting a connection went wrong", "error", err, "listener", l.Name, "retry_in", backoff)
		if !s.admission.pause(backoff) {
			return
		}
	}
}

func (s *Server) admit(l *Listener, nc net.Conn) {
	if !s.admission.admit(l, nc.RemoteAddr()) {
		s.stats.Closes[ClosedAdmission].Add(1)
		s.log.Info("refusing a connection: too many from its address, or closing", "remote", nc.RemoteAddr().String(), "listener", l.Name)
		_ = nc.Close() // nothing was read or written
		return
	}
	s.open(l, nc)
}

func (s *Server) listen(cfg ListenerConfig) (*Listener, error) {
	if s.Listener(cfg.Name) != nil {
		return nil, fmt.Errorf("listener %s is configured twice", cfg.Name)
	}
	l := &Listener{Name: cfg.Name, tls: cfg.TLS, frameLimit: cfg.FrameLimit}
	orDefault(&l.frameLimit, s.limits.MaxFrame)
	if cfg.Accept != nil {
		l.sockets = []net.Listener{cfg.Accept}
		return l, nil
	}
	var err error
	if l.sockets, err = bind(cfg.Address); err != nil {
		return nil, fmt.Errorf("opening listener %s: %w", cfg.Name, err)
	}
	return l, nil
}
