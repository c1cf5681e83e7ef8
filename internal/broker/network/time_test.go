package network

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/naru-stream/naru/internal/vnet"
)

// inVirtualTime runs a test against a server whose connections are in memory, so
// that waiting costs nothing.
func inVirtualTime(t *testing.T, limits Limits, h handlerFunc, test func(t *testing.T, s *Server, dial func() *client)) {
	synctest.Test(t, func(t *testing.T) {
		l := vnet.Listen("node")
		s, err := Listen(Config{Listeners: []ListenerConfig{{Name: "MEMORY", Accept: l}}, Limits: limits, PoisonBuffers: true})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(h)
		test(t, s, func() *client {
			nc, err := l.Dial(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { nc.Close() })
			return &client{t, nc, bufio.NewReader(nc)}
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		if n := s.stats.BudgetUsed.Load(); n != 0 {
			t.Errorf("%d bytes of the budget left", n)
		}
	})
}

// closedAfter waits until the server closes the connection.
func (c *client) closedAfter() time.Duration {
	start := time.Now()
	c.nc.SetReadDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, c.br) // ends when the connection does
	return time.Since(start)
}

func TestIdleConnectionIsClosed(t *testing.T) {
	inVirtualTime(t, Limits{MaxIdle: 10 * time.Minute}, echo, func(t *testing.T, s *Server, dial func() *client) {
		silent, active := dial(), dial()
		for range 5 {
			time.Sleep(9 * time.Minute)
			active.send(payload(10, "a"))
			active.want(payload(10, "a"))
		}
		if d := silent.closedAfter(); d != 0 {
			t.Errorf("the silent connection lived on for %v", d)
		}
		if d := active.closedAfter(); d < 10*time.Minute || d > 12*time.Minute {
			t.Errorf("the connection was closed %v after its last answer, want about 10 minutes", d)
		}
		if got := s.stats.Closes[ClosedIdle].Load(); got != 2 {
			t.Errorf("%d connections closed as idle, want 2", got)
		}
	})
}

func TestWaitingRequestKeepsItsConnectionOpen(t *testing.T) {
	ch, h := parked()
	inVirtualTime(t, Limits{MaxIdle: time.Minute}, h, func(t *testing.T, s *Server, dial func() *client) {
		c := dial()
		c.send(payload(10, "a"))
		r := <-ch
		time.Sleep(time.Hour)
		echo(r)
		c.want(payload(10, "a"))
		if d := c.closedAfter(); d < time.Minute || d > 3*time.Minute {
			t.Errorf("closed %v after the answer, want a minute or two", d)
		}
	})
}

func TestAFrameThatWaitsForItsTurnIsNotSlow(t *testing.T) {
	ch, h := parked()
	limits := Limits{FrameStall: 30 * time.Second, FrameGrace: time.Minute, FrameRate: 1000}
	inVirtualTime(t, limits, h, func(t *testing.T, s *Server, dial func() *client) {
		c := dial()
		first, large := payload(10, "a"), payload(1<<20, alone)
		c.send(first)
		a := <-ch
		go c.nc.Write(frame(large))
		time.Sleep(time.Hour)
		echo(a)
		c.want(first)
		select {
		case r := <-ch:
			echo(r)
			c.want(large)
		case <-time.After(10 * time.Minute):
			t.Fatalf("the frame was not handled; %d connections were closed for a slow one", s.stats.Closes[ClosedSlowFrame].Load())
		}
	})
}

func TestFrameThatDoesNotArriveIsClosed(t *testing.T) {
	limits := Limits{FrameStall: 30 * time.Second, FrameGrace: time.Minute, FrameRate: 1000}
	for _, test := range []struct {
		name     string
		announce uint32
		every    time.Duration
		chunk    int
		least    time.Duration
		most     time.Duration
	}{
		{"half a length", 0, 0, 0, 30 * time.Second, 31 * time.Second},
		{"nothing after the length", 1000, 0, 0, 30 * time.Second, 31 * time.Second},
		{"nothing of a large one", 50 << 20, 0, 0, 30 * time.Second, 31 * time.Second},
		{"a byte every 20 seconds", 1000, 20 * time.Second, 1, time.Minute, 61 * time.Second},
		{"500 bytes a second of a large one", 50 << 20, time.Second, 500, time.Minute, 3 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			inVirtualTime(t, limits, echo, func(t *testing.T, s *Server, dial func() *client) {
				c := dial()
				begin := binary.BigEndian.AppendUint32(nil, test.announce)
				if test.announce == 0 {
					begin = begin[:2]
				}
				start := time.Now()
				c.nc.Write(begin)
				if test.every > 0 {
					go func() {
						for {
							time.Sleep(test.every)
							if _, err := c.nc.Write(make([]byte, test.chunk)); err != nil {
								return
							}
						}
					}()
				}
				c.closedAfter()
				if d := time.Since(start); d < test.least || d > test.most {
					t.Errorf("closed after %v, want %v to %v", d, test.least, test.most)
				}
				if got := s.stats.Closes[ClosedSlowFrame].Load(); got != 1 {
					t.Errorf("%d connections closed for a slow frame, want 1", got)
				}
				synctest.Wait()
				time.Sleep(2 * test.every)
			})
		})
	}
}

func TestSlowFrameAboveTheRateIsReceived(t *testing.T) {
	inVirtualTime(t, Limits{FrameRate: 1000, FrameGrace: time.Minute}, echo, func(t *testing.T, s *Server, dial func() *client) {
		c := dial()
		want := payload(1<<20, "slow")
		all := frame(want)
		go func() {
			for len(all) > 0 {
				n := min(len(all), 2000)
				if _, err := c.nc.Write(all[:n]); err != nil {
					t.Errorf("writing: %v", err)
					return
				}
				all = all[n:]
				time.Sleep(time.Second)
			}
		}()
		c.nc.SetReadDeadline(time.Time{})
		got := make([]byte, 4+len(want))
		if _, err := io.ReadFull(c.br, got); err != nil || string(got[4:]) != string(want) {
			t.Errorf("the answer to a slow frame: %v", err)
		}
		time.Sleep(2 * time.Second)
	})
}

func TestClientThatTakesNothingIsClosed(t *testing.T) {
	inVirtualTime(t, Limits{WriteStall: 5 * time.Minute}, func(r *Request) {
		r.Respond(append(r.BufferFor(1<<20), make([]byte, 1<<20)...))
	}, func(t *testing.T, s *Server, dial func() *client) {
		c := dial()
		start := time.Now()
		c.send(payload(10, "a"))
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if got := s.stats.Connections.Load(); got != 1 {
			t.Fatalf("%d connections after 4 minutes, want 1", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := s.stats.Closes[ClosedSlowReader].Load(); got != 1 || s.stats.Connections.Load() != 0 {
			t.Errorf("after %v: %d closed for slow reading, want 1", time.Since(start), got)
		}
	})
}

func TestCloseLetsAnswersLeaveWithinItsTime(t *testing.T) {
	ch, h := parked()
	inVirtualTime(t, Limits{}, h, func(t *testing.T, s *Server, dial func() *client) {
		c, idle := dial(), dial()
		c.send(payload(10, "a"), payload(10, "b"))
		a, b := <-ch, <-ch
		time.AfterFunc(time.Second, func() { echo(b) })
		time.AfterFunc(2*time.Second, func() { echo(a) })
		closed := make(chan error)
		start := time.Now()
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			closed <- s.Close(ctx)
		}()
		if d := idle.closedAfter(); d != 0 {
			t.Errorf("the idle connection was closed after %v", d)
		}
		c.want(payload(10, "a"))
		c.want(payload(10, "b"))
		if err := <-closed; err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("Close returned %v after %v", err, time.Since(start))
		}
	})
}

func TestCloseCutsOffWhatTakesTooLong(t *testing.T) {
	ch, h := parked()
	inVirtualTime(t, Limits{}, h, func(t *testing.T, s *Server, dial func() *client) {
		c := dial()
		c.send(payload(10, "a"))
		r := <-ch
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("Close returned %v after %v", err, time.Since(start))
		}
		c.wantClosed()
		echo(r)
	})
}

func TestConnectionsComeInAtTheCreationRate(t *testing.T) {
	inVirtualTime(t, Limits{CreationRate: 10}, echo, func(t *testing.T, s *Server, dial func() *client) {
		for range 60 {
			dial()
		}
		synctest.Wait()
		if n := s.stats.Accepted.Load(); n < 9 || n > 12 {
			t.Errorf("%d connections at once, want about a second's worth of 10", n)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := s.stats.Accepted.Load(); n < 38 || n > 43 {
			t.Errorf("%d connections after 3 seconds, want about 40", n)
		}
	})
}
