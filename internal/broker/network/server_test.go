package network

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// handlerFunc is a Handler that pipelines all frames but those that begin with alone.
type handlerFunc func(*Request)

const alone = "!"

func (f handlerFunc) Handle(r *Request)           { f(r) }
func (f handlerFunc) Pipelined(frame []byte) bool { return frame[0] != alone[0] }

// echo answers with the frame.
func echo(r *Request) { r.Respond(append(r.Buffer(), r.Frame()...)) }

// start runs a server on loopback and closes it at the end of the test, which
// must leave no goroutine behind.
func start(t testing.TB, limits Limits, h handlerFunc) *Server {
	t.Helper()
	return startWith(t, Config{Limits: limits, Listeners: []ListenerConfig{{Name: "PLAINTEXT", Address: "127.0.0.1:0"}}}, h)
}

func startWith(t testing.TB, cfg Config, h handlerFunc) *Server {
	t.Helper()
	before := runtime.NumGoroutine()
	cfg.PoisonBuffers = true
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Start(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		if n := s.stats.Connections.Load(); n != 0 {
			t.Errorf("%d connections left", n)
		}
		// A handler's goroutine may complete its request after the server is closed.
		eventually(t, "requests and the budget are given back", func() bool {
			return s.stats.InFlight.Load() == 0 && s.stats.BudgetUsed.Load() == 0
		})
		eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	})
	return s
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%s: did not happen\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// client is a raw connection.
type client struct {
	t  testing.TB
	nc net.Conn
	br *bufio.Reader
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Listeners()[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &client{t, nc, bufio.NewReaderSize(nc, 64<<10)}
}

// secure makes the client speak TLS.
func (c *client) secure() {
	c.nc = tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	c.br = bufio.NewReader(c.nc)
}

func frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func (c *client) send(payloads ...[]byte) {
	c.t.Helper()
	var all []byte
	for _, p := range payloads {
		all = append(all, frame(p)...)
	}
	if _, err := c.nc.Write(all); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) receive() ([]byte, error) {
	var length [4]byte
	c.nc.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(c.br, length[:]); err != nil {
		return nil, err
	}
	p := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err := io.ReadFull(c.br, p)
	return p, err
}

func (c *client) want(payload []byte) {
	c.t.Helper()
	got, err := c.receive()
	if err != nil {
		c.t.Fatalf("waiting for an answer of %d bytes: %v", len(payload), err)
	}
	if string(got) != string(payload) {
		c.t.Fatalf("answer of %d bytes %.40q, want %d bytes %.40q", len(got), got, len(payload), payload)
	}
}

func (c *client) wantClosed() {
	c.t.Helper()
	if p, err := c.receive(); err == nil {
		c.t.Fatalf("got an answer of %d bytes, want the connection closed", len(p))
	} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatal("the connection was not closed")
	}
}

func payload(n int, tag string) []byte {
	return []byte((tag + strings.Repeat("-"+tag, n/(len(tag)+1)+1))[:n])
}

func TestAnswersOfEverySizeComeBackUnchanged(t *testing.T) {
	s := start(t, Limits{}, echo)
	c := dial(t, s)
	sizes := []int{8, 9, 500, 508, 509, 4092, 16379, 16380, 16381, 16384, 65535, 65536, 65537, 300000, 1 << 20, 3 << 20}
	for _, n := range sizes {
		go c.send(payload(n, fmt.Sprint(n)))
		c.want(payload(n, fmt.Sprint(n)))
	}
	if got := s.stats.Requests.Load(); got != int64(len(sizes)) {
		t.Errorf("%d requests counted, want %d", got, len(sizes))
	}
}

// TestAnswersLeaveInOrderWhicheverOrderTheyAreGivenIn completes pipelined
// requests in a random order, partly on the reading goroutine, partly on others.
func TestAnswersLeaveInOrderWhicheverOrderTheyAreGivenIn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	var waiting []*Request
	s := start(t, Limits{MaxInFlight: 50}, func(r *Request) {
		mu.Lock()
		defer mu.Unlock()
		switch rng.IntN(4) {
		case 0:
			echo(r)
		case 1:
			go echo(r)
		default:
			waiting = append(waiting, r)
		}
	})
	const conns, each = 4, 1500
	stop := make(chan struct{})
	var completing sync.WaitGroup
	for range 3 {
		completing.Add(1)
		go func() {
			defer completing.Done()
			for {
				mu.Lock()
				var r *Request
				if n := len(waiting); n > 0 {
					i := rng.IntN(n)
					r = waiting[i]
					waiting[i] = waiting[n-1]
					waiting = waiting[:n-1]
				}
				mu.Unlock()
				if r != nil {
					echo(r)
					continue
				}
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
			}
		}()
	}
	var clients sync.WaitGroup
	for i := range conns {
		c := dial(t, s)
		clients.Add(2)
		go func() {
			defer clients.Done()
			for j := range each {
				c.send(payload(8+j*37%3000, fmt.Sprintf("%d/%d", i, j)))
			}
		}()
		go func() {
			defer clients.Done()
			for j := range each {
				want := payload(8+j*37%3000, fmt.Sprintf("%d/%d", i, j))
				got, err := c.receive()
				if err != nil || string(got) != string(want) {
					t.Errorf("connection %d, answer %d: %.30q, %v; want %.30q", i, j, got, err, want)
					return
				}
			}
		}()
	}
	clients.Wait()
	close(stop)
	completing.Wait()
}
