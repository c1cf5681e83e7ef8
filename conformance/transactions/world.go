package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/proc"
)

const (
	partitions = 3
	members    = 2
	// abortOneIn is the share of transactions that the clients abort.
	abortOneIn = 4
	// patience is how long a kill waits for transactions to be committed before it.
	patience = 15 * time.Second
)

// world is one run.
type world struct {
	options
	ctx   context.Context
	rng   *rand.Rand
	r     *result
	addr  string
	serve []string
	dir   string
	chain []string

	broker  *exec.Cmd
	cl      *kgo.Client
	stop    atomic.Bool
	running sync.WaitGroup
	mu      sync.Mutex
	members [members]*exec.Cmd
}

func newWorld(ctx context.Context, o options, r *result) *world {
	return &world{options: o, ctx: ctx, rng: rand.New(rand.NewPCG(o.seed, 1)), r: r}
}

func (w *world) startBroker() error {
	w.broker = proc.New(w.ctx, proc.Command{Argv: w.serve, Dir: w.dir})
	log, err := os.OpenFile(filepath.Join(w.dir, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	w.broker.Stdout, w.broker.Stderr = log, log
	if err := w.broker.Start(); err != nil {
		return err
	}
	for w.ctx.Err() == nil {
		conn, err := net.DialTimeout("tcp", w.addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return w.ctx.Err()
}

func (w *world) kill(c *exec.Cmd) {
	_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	_ = c.Wait()
}

// member keeps one client process running.
func (w *world) member(n int) {
	defer w.running.Done()
	for generation := 0; !w.stop.Load() && w.ctx.Err() == nil; generation++ {
		argv := append(append([]string{}, w.chain...), w.addr, fmt.Sprint("chain-", n), fmt.Sprint(abortOneIn), fmt.Sprint(1000*n+generation))
		cmd := proc.New(w.ctx, proc.Command{Argv: argv, Dir: w.dir})
		out, err := cmd.StdoutPipe()
		if err != nil {
			return
		}
		if w.verbose {
			cmd.Stderr = os.Stderr
		}
		w.mu.Lock()
		err = cmd.Start()
		if err == nil {
			w.members[n] = cmd
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
		w.count(n, out)
		_ = cmd.Wait()
	}
}

// count reads what a member says about its transactions.
func (w *world) count(n int, out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		line := s.Text()
		switch word, _, _ := strings.Cut(line, " "); word {
		case "committed":
			atomic.AddInt64(&w.r.Committed, 1)
			continue
		case "aborted":
			atomic.AddInt64(&w.r.Aborted, 1)
			continue
		case "gave": // gave up: aborted after an error
			atomic.AddInt64(&w.r.Failed, 1)
		case "fatal":
			atomic.AddInt64(&w.r.Restarts, 1)
		}
		if w.verbose {
			fmt.Fprintf(os.Stderr, "%s chain-%d %s\n", time.Now().Format("15:04:05.000"), n, line)
		}
	}
}

// chaos produces input, has it transformed and kills processes, and waits until all
// input is handled.
func (w *world) chaos(kills int) (err error) {
	w.cl, err = kgo.NewClient(kgo.SeedBrokers(w.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer w.cl.Close()
	adm := kadm.NewClient(w.cl)
	if _, err := adm.CreateTopics(w.ctx, partitions, 1, nil, "in", "out"); err != nil {
		return err
	}
	for n := range w.members {
		w.running.Add(1)
		go w.member(n)
	}
	if err := w.feed(500); err != nil {
		return err
	}
	for range kills {
		w.await(3)
		time.Sleep(time.Duration(w.rng.IntN(300)) * time.Millisecond)
		if err := w.strike(); err != nil {
			return err
		}
		if err := w.feed(100); err != nil {
			return err
		}
	}
	for atomic.LoadInt64(&w.r.Aborted) < int64(kills) && w.ctx.Err() == nil {
		if err := w.feed(100); err != nil {
			return err
		}
		w.await(3)
	}
	return w.drain(adm)
}

// feed writes n more inputs.
func (w *world) feed(n int) error {
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: "in", Partition: int32(w.r.Inputs % partitions), Value: input(w.r.Inputs)})
		w.r.Inputs++
	}
	if err := w.cl.ProduceSync(w.ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("writing input: %w", err)
	}
	return nil
}

// input is the value of an input.
func input(i int) []byte { return fmt.Appendf(nil, "%07d", i) }

// await waits until n more transactions are committed, but not for ever.
func (w *world) await(n int64) {
	before := atomic.LoadInt64(&w.r.Committed)
	for start := time.Now(); atomic.LoadInt64(&w.r.Committed) < before+n && time.Since(start) < patience && w.ctx.Err() == nil; {
		time.Sleep(5 * time.Millisecond)
	}
}

// strike kills the broker or a member, and starts it again.
func (w *world) strike() error {
	if w.rng.IntN(2) == 0 {
		w.r.BrokerKills++
		w.kill(w.broker)
		return w.startBroker()
	}
	w.r.ClientKills++
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.members[w.rng.IntN(members)]; m != nil {
		_ = syscall.Kill(-m.Process.Pid, syscall.SIGKILL)
	}
	return nil
}

// drain waits until the group has committed all input.
func (w *world) drain(adm *kadm.Client) error {
	for ; w.ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		offsets, err := adm.FetchOffsets(w.ctx, "chain")
		if err != nil { // the connection may be one that was killed
			continue
		}
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		if sum == int64(w.r.Inputs) {
			return nil
		}
	}
	return fmt.Errorf("waiting for the end of the chain: %w", w.ctx.Err())
}

// end kills the members for good.
func (w *world) end() {
	w.stop.Store(true)
	w.mu.Lock()
	for _, m := range w.members {
		if m != nil {
			_ = syscall.Kill(-m.Process.Pid, syscall.SIGKILL)
		}
	}
	w.mu.Unlock()
	w.running.Wait()
}
