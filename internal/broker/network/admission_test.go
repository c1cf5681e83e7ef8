package network

import (
	"bufio"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/naru-stream/naru/internal/vnet"
)

// gates is a server in virtual time with an inner and an outer listener, and who has
// come in.
type gates struct {
	t *testing.T
	*Server
	listeners map[string]*vnet.Listener
}

// inside runs a test of a server with the listeners INNER and OUTER.
func inside(t *testing.T, limits Limits, test func(g *gates)) {
	synctest.Test(t, func(t *testing.T) {
		g := &gates{t: t, listeners: map[string]*vnet.Listener{"INNER": vnet.Listen("inner"), "OUTER": vnet.Listen("outer")}}
		var err error
		g.Server, err = Listen(Config{Limits: limits, Listeners: []ListenerConfig{
			{Name: "INNER", Accept: g.listeners["INNER"]}, {Name: "OUTER", Accept: g.listeners["OUTER"]},
		}})
		if err != nil {
			t.Fatal(err)
		}
		g.Start(handlerFunc(echo))
		test(g)
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// dial connects and uses the connection a second after everything before. What has no
// place yet is left waiting.
func (g *gates) dial(listener string) *client {
	g.t.Helper()
	nc, err := g.listeners[listener].Dial(context.Background())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { nc.Close() })
	c := &client{g.t, nc, bufio.NewReader(nc)}
	go c.nc.Write(frame(payload(10, "a"))) // waits for a reader on the other side
	g.settle()
	return c
}

// settle lets everything that can happen within a second happen.
func (g *gates) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func (g *gates) wantOpen(n int64) {
	g.t.Helper()
	if got := g.stats.Connections.Load(); got != n {
		g.t.Errorf("%d connections are open, want %d", got, n)
	}
}

// reused has the client send another request.
func (g *gates) reused(c *client) {
	c.want(payload(10, "a"))
	c.send(payload(10, "b"))
	c.want(payload(10, "b"))
	g.settle()
}

func TestTheQuietestConnectionsGoWhenTheLimitIsLowered(t *testing.T) {
	inside(t, Limits{}, func(g *gates) {
		a, b, c, d := g.dial("OUTER"), g.dial("INNER"), g.dial("OUTER"), g.dial("INNER")
		g.reused(b)
		g.SetConnectionLimits(Limits{MaxConnections: 4})
		g.settle()
		g.wantOpen(4)
		g.SetConnectionLimits(Limits{MaxConnections: 2})
		g.settle()
		g.wantOpen(2)
		for _, gone := range []*client{a, c} {
			gone.want(payload(10, "a"))
			gone.wantClosed()
		}
		d.want(payload(10, "a"))
		b.send(payload(10, "c"))
		b.want(payload(10, "c"))
		if got := g.stats.Closes[ClosedExcess].Load(); got != 2 {
			t.Errorf("%d connections were closed for being too many, want 2", got)
		}
		waiting := g.dial("OUTER")
		g.wantOpen(2)
		b.nc.Close()
		waiting.want(payload(10, "a"))
	})
}

// A connection is quiet since it was last read from, or written to.
func TestReadingAndWritingKeepAConnection(t *testing.T) {
	for _, late := range []string{"a request that waits", "an answer that comes late"} {
		requests, h := parked()
		inVirtualTime(t, Limits{}, h, func(t *testing.T, s *Server, dial func() *client) {
			first := dial()
			first.send(payload(10, "a"))
			waiting := <-requests
			if late == "a request that waits" {
				echo(waiting)
				first.want(payload(10, "a"))
			}
			time.Sleep(time.Second)
			second := dial()
			time.Sleep(time.Second)
			if late == "a request that waits" {
				first.send(payload(10, "b"))
				waiting = <-requests
			} else {
				echo(waiting)
				first.want(payload(10, "a"))
			}
			time.Sleep(time.Second)
			s.SetConnectionLimits(Limits{MaxConnections: 1})
			second.wantClosed()
			if late == "a request that waits" {
				echo(waiting)
				first.want(payload(10, "b"))
			}
		})
	}
}

func TestTheProtectedListenerTakesThePlaceOfOthers(t *testing.T) {
	limits := Limits{MaxConnections: 2, Protected: "INNER"}
	inside(t, limits, func(g *gates) {
		a, b := g.dial("OUTER"), g.dial("OUTER")
		waiting := g.dial("OUTER")
		g.wantOpen(2)
		inner := g.dial("INNER")
		inner.want(payload(10, "a"))
		a.want(payload(10, "a"))
		a.wantClosed()
		b.want(payload(10, "a"))
		g.wantOpen(2)
		second, third := g.dial("INNER"), g.dial("INNER")
		g.wantOpen(3)
		b.wantClosed()
		second.want(payload(10, "a"))
		third.want(payload(10, "a"))
		g.SetConnectionLimits(Limits{})
		waiting.want(payload(10, "a"))
	})
}

func TestAListenerHasLimitsOfItsOwn(t *testing.T) {
	limits := Limits{MaxConnections: 3, Listeners: map[string]ListenerLimits{"OUTER": {MaxConnections: 1}}}
	inside(t, limits, func(g *gates) {
		first := g.dial("OUTER")
		waiting := g.dial("OUTER")
		g.wantOpen(1)
		g.dial("INNER")
		g.dial("INNER")
		g.wantOpen(3)
		first.nc.Close()
		g.settle()
		waiting.want(payload(10, "a"))
		g.wantOpen(3)
	})
}

func TestNoConnectionComesInUnderALimitOfNone(t *testing.T) {
	inside(t, Limits{MaxConnections: -1}, func(g *gates) {
		g.dial("OUTER")
		g.wantOpen(0)
	})
}

// A burst of a second's worth comes in at once, and then one after the other.
func TestCreationRatesBoundAllListenersAndEach(t *testing.T) {
	for _, c := range []struct {
		name     string
		limits   Limits
		listener string
		seconds  float64 // that ten connections take
	}{
		{"no limit", Limits{}, "OUTER", 0},
		{"of all listeners", Limits{CreationRate: 2}, "OUTER", 3.5},
		{"of this listener", Limits{CreationRate: 5, Listeners: map[string]ListenerLimits{"OUTER": {MaxConnections: 99, CreationRate: 1}}}, "OUTER", 8},
		{"of another listener", Limits{CreationRate: 5, Listeners: map[string]ListenerLimits{"OUTER": {MaxConnections: 99, CreationRate: 1}}}, "INNER", 0.8},
		{"of the protected listener", Limits{CreationRate: 2, Protected: "INNER"}, "INNER", 0},
	} {
		inside(t, c.limits, func(g *gates) {
			start, done := time.Now(), make(chan struct{})
			for range 10 {
				nc, err := g.listeners[c.listener].Dial(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				g.t.Cleanup(func() { nc.Close() })
				go func() {
					cl := &client{g.t, nc, bufio.NewReader(nc)}
					cl.send(payload(10, "a"))
					cl.want(payload(10, "a"))
					done <- struct{}{}
				}()
			}
			for range 10 {
				<-done
			}
			if got := time.Since(start).Seconds(); got < c.seconds-0.01 || got > c.seconds+0.01 {
				t.Errorf("%s: ten connections took %.2f s, want %.2f", c.name, got, c.seconds)
			}
		})
	}
}
