package network

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestFramesShareTheBudgetAndAllFinish sends large frames over many connections
// through a budget that holds two of them.
func TestFramesShareTheBudgetAndAllFinish(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const limit, conns, each, maxFrame = 4 << 20, 24, 12, 3 << 20
	var peak atomic.Int64
	contended := make(chan struct{}) // closed once somebody waits; no answers before
	s := start(t, Limits{QueuedRequestBytes: limit}, func(r *Request) {
		for used := r.conn.server.stats.BudgetUsed.Load(); ; {
			was := peak.Load()
			if used <= was || peak.CompareAndSwap(was, used) {
				break
			}
		}
		go func() {
			<-contended
			echoLength(r)
		}()
	})
	var clients sync.WaitGroup
	for i := range conns {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		c := dial(t, s)
		clients.Add(1)
		go func() {
			defer clients.Done()
			for j := range each {
				n := min(8+rng.IntN(1<<rng.IntN(22)), maxFrame)
				if j == 0 {
					n = 1 << 20
				}
				c.send(payload(n, "x"))
				got, err := c.receive()
				if err != nil || binary.BigEndian.Uint32(got) != uint32(n) {
					t.Errorf("connection %d, frame of %d bytes: %v, %v", i, n, got, err)
					return
				}
			}
		}()
	}
	eventually(t, "somebody waits for the budget", func() bool { return s.stats.BudgetWaits.Load() > 0 })
	close(contended)
	clients.Wait()
	if most := int64(limit + 4<<20 + conns*(64<<10)); peak.Load() > most {
		t.Errorf("%d bytes were held at once, want at most %d", peak.Load(), most)
	}
	t.Logf("peak %d bytes, waits %d", peak.Load(), s.stats.BudgetWaits.Load())
}

func echoLength(r *Request) {
	r.Respond(binary.BigEndian.AppendUint32(r.Buffer(), uint32(len(r.Frame()))))
}

// TestBudgetFollowsItsRules drives the budget with random claims, beside the rules
// of its comment.
func TestBudgetFollowsItsRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stats Stats
		const limit, share = 1000, 50
		b := &budget{limit: limit, share: share, stats: &stats, reading: map[*claim]struct{}{}}
		var over atomic.Int64
		var done sync.WaitGroup
		for i := range 60 {
			c := &claim{conn: &Conn{}}
			rng := rand.New(rand.NewPCG(7, uint64(i)))
			done.Add(1)
			go func() {
				defer done.Done()
				for range 50 {
					b.frameBegun(c)
					var held int64
					for range 1 + rng.IntN(4) {
						n := 1 + rng.Int64N(200)
						if err := b.acquire(c, n); err != nil {
							t.Error(err)
							return
						}
						held += n
						b.frameGained(c, 1<<20)
						over.Store(max(over.Load(), stats.BudgetUsed.Load()))
						time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
					}
					b.frameEnded(c)
					time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
					b.release(c, held)
				}
			}()
		}
		done.Wait()
		if b.held != 0 || b.beyond != 0 || len(b.waiters) != 0 || b.exceeding != nil || len(b.reading) != 0 {
			t.Errorf("left over: %d bytes, %d waiters", b.held, len(b.waiters))
		}
		if most := int64(limit + 800 + 60*share); over.Load() > most {
			t.Errorf("%d bytes were used, want at most %d", over.Load(), most)
		}
	})
}

// TestSlowSendersDoNotKeepTheBudget lets connections hold all of it with frames
// that hardly move, and another one send a whole frame.
func TestSlowSendersDoNotKeepTheBudget(t *testing.T) {
	inVirtualTime(t, Limits{QueuedRequestBytes: 4 << 20}, echoLength, func(t *testing.T, s *Server, dial func() *client) {
		for range 10 {
			slow := dial()
			go func() {
				slow.nc.Write(append(binary.BigEndian.AppendUint32(nil, 50<<20), make([]byte, 1<<20)...))
				for {
					time.Sleep(time.Second)
					if _, err := slow.nc.Write(make([]byte, 1000)); err != nil {
						return
					}
				}
			}()
		}
		synctest.Wait()
		if used := s.stats.BudgetUsed.Load(); used < 4<<20 {
			t.Fatalf("only %d bytes of the budget are held", used)
		}
		small, large := dial(), dial()
		start := time.Now()
		small.send(payload(1000, "x"))
		if _, err := small.receive(); err != nil || time.Since(start) != 0 {
			t.Errorf("a small request waited %v for the budget: %v", time.Since(start), err)
		}
		go large.send(payload(2<<20, "x"))
		if _, err := large.receive(); err != nil {
			t.Errorf("the whole frame got no answer: %v", err)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("it took %v", d)
		}
		if n := s.stats.Closes[ClosedBudget].Load(); n == 0 {
			t.Error("no slow sender was closed")
		}
		time.Sleep(10 * time.Minute) // until the last one is closed for its rate
	})
}

// TestConnectionsThatOnlyAnnounceCostAlmostNothing opens many connections
// that each announce a frame of 100 MB and send a little of it.
func TestConnectionsThatOnlyAnnounceCostAlmostNothing(t *testing.T) {
	conns := 1000
	if testing.Short() {
		conns = 500
	}
	if limit := openFileLimit(); limit < uint64(2*conns+200) {
		conns = int(limit-200) / 2
		t.Logf("only %d connections: the limit on open files is %d", conns, limit)
	}
	s := start(t, Limits{}, echo)
	// A client's socket costs memory in this process too: measure it first with
	// connections that send nothing.
	hold := func(send []byte) (perConn int64) {
		before := memory()
		open := make([]*client, conns)
		for i := range open {
			open[i] = dial(t, s)
			open[i].br = nil
			if _, err := open[i].nc.Write(send); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all are accepted", func() bool { return s.stats.Connections.Load() == int64(conns) })
		eventually(t, "all bytes are read", func() bool { return allRead(s) })
		perConn = (memory() - before) / int64(conns)
		other := dial(t, s)
		other.send(payload(100, "unharmed"))
		other.want(payload(100, "unharmed"))
		for _, c := range open {
			c.nc.Close()
		}
		other.nc.Close()
		eventually(t, "all are closed", func() bool { return s.stats.Connections.Load() == 0 })
		return perConn
	}
	idle := hold(nil)
	announcing := hold(append(binary.BigEndian.AppendUint32(nil, 100<<20), make([]byte, 20)...))
	t.Logf("%d connections: %d bytes each when idle, %d when they announced 100 MB and sent 24 bytes (with the client's side)", conns, idle, announcing)
	if idle > 16<<10 {
		t.Errorf("an idle connection takes %d bytes, want at most 16 KiB", idle)
	}
	if announcing > idle+2<<10 {
		t.Errorf("a connection that announced takes %d bytes, an idle one %d", announcing, idle)
	}
}

// memory is what the heap and the stacks take.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func TestALargeFrameTakesItsMemoryWhenItsTurnComes(t *testing.T) {
	ch, h := parked()
	s := start(t, Limits{}, h)
	c := dial(t, s)
	large := payload(1<<20, alone)
	c.send(payload(10, "a"))
	a := <-ch
	used := s.stats.BudgetUsed.Load()
	go c.nc.Write(frame(large)) // is read only in part before its turn
	eventually(t, "the reader waits", func() bool { return readerWaits(a.Conn()) })
	if got := s.stats.BudgetUsed.Load(); got != used {
		t.Errorf("%d bytes of the budget are used while the frame waits, want %d", got, used)
	}
	echo(a)
	c.want(payload(10, "a"))
	echo(<-ch)
	c.want(large)
}
