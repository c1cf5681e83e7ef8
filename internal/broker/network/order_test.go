package network

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// parked hands requests to the test.
func parked() (chan *Request, handlerFunc) {
	ch := make(chan *Request, 1000)
	return ch, func(r *Request) { ch <- r }
}

func TestRequestsWithoutAnswerLeaveNoGap(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	c.send(payload(10, "a"), payload(11, "b"), payload(12, "c"))
	a, b, third := <-ch, <-ch, <-ch
	echo(third)
	b.NoResponse()
	echo(a)
	c.want(payload(10, "a"))
	c.want(payload(12, "c"))
}

func TestCloseConnectionLetsEarlierAnswersLeave(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	c.send(payload(10, "a"), payload(11, "b"), payload(12, "c"))
	a, b, third := <-ch, <-ch, <-ch
	b.CloseConnection()
	echo(third)
	echo(a)
	c.want(payload(10, "a"))
	c.wantClosed()
	if got := s.stats.Closes[ClosedByHandler].Load(); got != 1 {
		t.Errorf("%d connections closed by the handler, want 1", got)
	}
}

func TestOnlyPipelinedRequestsOvertakeWhatWaits(t *testing.T) {
	const pipelined = "p"
	for _, test := range []struct {
		name            string
		earlier, second string
		overtakes       bool
	}{
		{"both pipelined", pipelined, pipelined, true},
		{"the earlier is alone", alone, pipelined, false},
		{"the later is alone", pipelined, alone, false},
		{"both alone", alone, alone, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ch, h := parked()
			s := start(t, Limits{}, h)
			c := dial(t, s)
			first, second := payload(10, test.earlier), payload(11, test.second)
			c.send(first, second)
			a := <-ch
			if !test.overtakes {
				eventually(t, "the reader waits", func() bool { return readerWaits(a.Conn()) })
				if len(ch) > 0 {
					t.Fatal("the second request was handled before the first was answered")
				}
				echo(a)
				c.want(first)
				echo(<-ch)
				c.want(second)
				return
			}
			echo(<-ch)
			echo(a)
			c.want(first)
			c.want(second)
		})
	}
}

func TestARequestWhoseTurnDoesNotComeEndsWithItsConnection(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	c.send(payload(10, "a"), payload(11, alone))
	a := <-ch
	eventually(t, "the reader waits", func() bool { return readerWaits(a.Conn()) })
	a.Conn().Close()
	echo(<-ch)
	echo(a)
	eventually(t, "nothing is in flight", func() bool { return s.stats.InFlight.Load() == 0 })
}

func TestNoMoreThanMaxInFlightAreRead(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{MaxInFlight: 3}, h)
	c := dial(t, s)
	for range 10 {
		c.send(payload(10, "a"))
	}
	var first []*Request
	for range 3 {
		first = append(first, <-ch)
	}
	eventually(t, "the reader waits", func() bool { return readerWaits(first[0].Conn()) })
	if len(ch) != 0 || s.stats.InFlight.Load() != 3 {
		t.Fatalf("%d more requests were read, %d in flight", len(ch), s.stats.InFlight.Load())
	}
	echo(first[1]) // not the oldest: nothing leaves
	echo(first[0])
	c.want(payload(10, "a"))
	c.want(payload(10, "a"))
	fourth, fifth := <-ch, <-ch
	for _, r := range []*Request{fifth, first[2], fourth} {
		echo(r)
	}
	for range 5 {
		echo(<-ch)
	}
	for range 8 {
		c.want(payload(10, "a"))
	}
}

func readerWaits(c *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readerWaits
}

// TestCompletingNeverWaitsForASlowClient answers far more than the sockets'
// buffers hold to a client that does not read.
func TestCompletingNeverWaitsForASlowClient(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	const n, size = 40, 1 << 20
	for range n {
		c.send(payload(10, "a"))
	}
	// All are read first: reading stops while so many answers wait.
	var requests []*Request
	for range n {
		requests = append(requests, <-ch)
	}
	for _, r := range requests {
		r.Respond(append(r.BufferFor(size), make([]byte, size)...)) // would hang the test
	}
	for i := range n {
		if got, err := c.receive(); err != nil || len(got) != size {
			t.Fatalf("answer %d: %d bytes, %v", i, len(got), err)
		}
	}
}

// TestReadingStopsWhileAnswersPileUp bounds what a client that sends but never
// reads makes the server hold.
func TestReadingStopsWhileAnswersPileUp(t *testing.T) {
	const size = 256 << 10
	var last atomic.Pointer[Conn]
	s := start(t, Limits{MaxQueuedOut: 2 << 20, MaxInFlight: 1000}, func(r *Request) {
		last.Store(r.Conn())
		go r.Respond(append(r.BufferFor(size), make([]byte, size)...))
	})
	c := dial(t, s)
	for range 500 {
		c.send(payload(10, "a"))
	}
	eventually(t, "the reader waits", func() bool { conn := last.Load(); return conn != nil && readerWaits(conn) })
	if got := s.stats.Requests.Load(); got >= 400 {
		t.Errorf("%d of 500 requests were read though no answer was taken", got)
	}
	c.nc.Close()
}

func TestFrameIsValidUntilCompletedAndLongerUnderRetain(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	c.send(payload(100, "a"), payload(100, "b"))
	a, b := <-ch, <-ch
	kept, lost := a.Frame(), b.Frame()
	a.Retain()
	a.NoResponse()
	b.NoResponse()
	if string(kept) != string(payload(100, "a")) {
		t.Error("a retained frame was overwritten")
	}
	if lost[0] != poisonByte {
		t.Error("a released frame was not poisoned")
	}
	a.Release()
	if kept[0] != poisonByte || a.Frame() != nil {
		t.Error("the frame outlived its last release")
	}
}

func TestCompletingTwiceIsABrokenInvariant(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	c.send(payload(100, "a"))
	r := <-ch
	r.NoResponse()
	defer func() {
		if recover() == nil {
			t.Error("the second completion was accepted")
		}
	}()
	r.NoResponse()
}

func TestClosedConnectionTellsItsWaitingRequests(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	c.send(payload(10, "a"), payload(10, "b"))
	a, b := <-ch, <-ch
	told := make(chan string, 10)
	a.OnClose(func() { told <- "request a" })
	b.OnClose(func() { told <- "request b" })
	a.Conn().OnClose(func() { told <- "connection" })
	echo(a)
	c.want(payload(10, "a"))
	c.nc.Close()
	got := map[string]bool{<-told: true, <-told: true}
	if !got["connection"] || !got["request b"] {
		t.Errorf("told %v, want the connection and the request that waits", got)
	}
	echo(b) // into the void
	b2 := make(chan struct{})
	a.Conn().OnClose(func() { close(b2) }) // at once
	<-b2
	if len(told) != 0 {
		t.Errorf("also told %s", <-told)
	}
}

func TestClientThatFinishedSendingGetsItsAnswers(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	c.send(payload(10, "a"), payload(10, "b"))
	c.nc.(*net.TCPConn).CloseWrite()
	a, b := <-ch, <-ch
	go func() {
		echo(b)
		echo(a)
	}()
	c.want(payload(10, "a"))
	c.want(payload(10, "b"))
	if _, err := c.receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection was not closed after the answers: %v", err)
	}
}

func TestConnectionRemembersWhoItsClientIs(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	c.send(payload(10, "a"))
	r := <-ch
	defer echo(r)
	conn := r.Conn()
	conn.SetClientSoftware("kcat", "1.7.1")
	conn.SetPrincipal("User:alice")
	if name, version := conn.ClientSoftware(); name != "kcat" || version != "1.7.1" {
		t.Errorf("client software is %s %s", name, version)
	}
	if conn.Principal() != "User:alice" || conn.Listener().Name != "PLAINTEXT" || conn.ID() == 0 {
		t.Errorf("principal %v, listener %s, id %d", conn.Principal(), conn.Listener().Name, conn.ID())
	}
	if conn.RemoteAddr().String() != c.nc.LocalAddr().String() || conn.LocalAddr().String() != c.nc.RemoteAddr().String() {
		t.Error("the addresses are wrong")
	}
	if time.Since(r.Arrival()) > time.Minute || r.Arrival().IsZero() {
		t.Errorf("arrived at %v", r.Arrival())
	}
}
