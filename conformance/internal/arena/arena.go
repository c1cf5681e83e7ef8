// Package arena keeps a server and worker processes running that are killed at random. The
// server is started on a free port and in a directory of its own; what ends is started again,
// and in the end all is ended. What the workers do and what must hold in spite of the kills is
// the matter of the commands shares, streams and transactions.
package arena

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/broker"
	"github.com/naru-stream/naru/conformance/internal/crash/server"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

// patience is how long Await waits.
const patience = 20 * time.Second

// Options are what a run may choose.
type Options struct {
	Target   string   // the server: naru or kafka
	Settings []string // of the server, each key=value
	Seed     uint64   // of everything random
	Keep     bool     // leave the directory there, and say where
}

// Arena is one run. One goroutine uses it.
type Arena struct {
	Dir         string     // holds the server's data and log; workers run in it
	Addr        string     // of the server, the same after each start
	Rand        *rand.Rand // decides everything random
	ServerKills int        // so far
	WorkerKills int        // so far

	options Options
	ctx     context.Context
	server  *server.Server
	working context.Context // ends with the workers
	endWork context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	kill []context.CancelFunc // of each worker's present process
}

// New starts the server and returns when it answers. The caller closes the arena.
func New(ctx context.Context, env setup.Env, o Options) (*Arena, error) {
	a, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	if a.server, err = server.New(ctx, env, o.Target, a.Dir); err == nil {
		a.Addr = a.server.Addr
		err = a.serve()
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// open returns an arena without a server.
func open(ctx context.Context, o Options) (*Arena, error) {
	dir, err := os.MkdirTemp("", "arena-")
	if err != nil {
		return nil, err
	}
	if o.Keep {
		fmt.Fprintln(os.Stderr, "keeping", dir)
	}
	a := &Arena{Dir: dir, Rand: rand.New(rand.NewPCG(o.Seed, 1)), options: o, ctx: ctx}
	a.working, a.endWork = context.WithCancel(ctx)
	return a, nil
}

// serve starts the server and waits until it answers.
func (a *Arena) serve() error {
	if _, err := a.server.Start(a.ctx, a.options.Settings...); err != nil {
		return err
	}
	for broker.AskAPIVersions(a.Addr) != nil {
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		if err := a.server.Exited(); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// Client returns a client of the server that soon finds it again. What it has sent and got no
// answer to it gives up when the context ends, and the server with it: it would wait for ever.
func (a *Arena) Client(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(more, kgo.SeedBrokers(a.Addr), kgo.MetadataMinAge(50*time.Millisecond), kgo.AllowIdempotentProduceCancellation())...)
}

// Await returns when count has grown by n, and after 20 seconds even if it has not: what was
// killed may be slow to return, and that must not keep others alive.
func (a *Arena) Await(count func() int64, n int64) {
	until := count() + n
	for start := time.Now(); count() < until && time.Since(start) < patience && a.ctx.Err() == nil; {
		time.Sleep(5 * time.Millisecond)
	}
}

// Strike kills the server or a worker with SIGKILL, at a random moment within the given time.
// It returns an error if the server does not come back.
func (a *Arena) Strike(within time.Duration) error {
	time.Sleep(time.Duration(a.Rand.IntN(int(within.Milliseconds()))) * time.Millisecond)
	if a.Rand.IntN(2) == 0 {
		a.ServerKills++
		a.server.Kill()
		return a.serve()
	}
	a.WorkerKills++
	a.killWorker()
	return nil
}

// Close ends everything that runs and removes the directory, unless it is to be kept.
func (a *Arena) Close() {
	a.EndWorkers()
	if a.server != nil {
		a.server.Kill()
	}
	if !a.options.Keep {
		os.RemoveAll(a.Dir)
	}
}
