// Command transactions proves exactly-once with real clients while things are killed.
//
// Two processes of one client read topic in as a group and write every value to topic
// out, in transactions of which they abort some at random. Meanwhile broker and clients
// are killed with SIGKILL at random moments and started again. In the end a
// read_committed consumer must find every input in the output exactly once.
//
//	go run ./transactions -client java-4.3.1 -kills 20 -seed 1
//
// Clients: java-4.3.1 (transactions of KIP-890), java-2.7.0, librdkafka (through
// confluent-kafka of PyPI).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
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

	"github.com/naru-stream/naru/conformance/internal/broker"
	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

const partitions = 3

// result is what one run found.
type result struct {
	Client      string `json:"client"`
	Seed        uint64 `json:"seed"`
	Inputs      int    `json:"inputs"`
	BrokerKills int    `json:"broker_kills"`
	ClientKills int    `json:"client_kills"`
	Committed   int64  `json:"committed"`
	Aborted     int64  `json:"aborted"`
	Restarts    int64  `json:"clients_that_gave_up"`
	Lost        int    `json:"lost"`
	Duplicated  int    `json:"duplicated"`
	Seconds     int    `json:"seconds"`
}

func main() {
	client := flag.String("client", "java-4.3.1", "java-4.3.1, java-2.7.0 or librdkafka")
	kills := flag.Int("kills", 20, "how many processes are killed")
	seed := flag.Uint64("seed", 1, "of everything random")
	limit := flag.Duration("limit", 10*time.Minute, "of the whole run")
	verbose := flag.Bool("v", false, "print what the clients print")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	r, err := run(ctx, *client, *kills, *seed, *verbose)
	text, _ := json.Marshal(r)
	fmt.Println(string(text))
	if err != nil || r.Lost+r.Duplicated > 0 {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
}

// chainCommand returns the command line of the client up to the address.
func chainCommand(ctx context.Context, env setup.Env, client string) ([]string, error) {
	here := filepath.Join(env.Root, "transactions")
	if client == "librdkafka" {
		venv := filepath.Join(env.Cache, "venv-confluent")
		if _, err := os.Stat(filepath.Join(venv, "bin", "python")); err != nil {
			for _, argv := range [][]string{{"python3", "-m", "venv", venv}, {filepath.Join(venv, "bin", "pip"), "install", "-q", "confluent-kafka"}} {
				if _, err := proc.Must(ctx, proc.Command{Argv: argv, Timeout: 5 * time.Minute}); err != nil {
					return nil, err
				}
			}
		}
		return []string{filepath.Join(venv, "bin", "python"), filepath.Join(here, "chain.py")}, nil
	}
	version := strings.TrimPrefix(client, "java-")
	cp, err := env.ClassPath(ctx, "clients", version)
	if err != nil {
		return nil, err
	}
	cp = strings.TrimSpace(cp)
	classes := filepath.Join(env.Cache, "transactions", version)
	if err := os.MkdirAll(classes, 0o755); err != nil {
		return nil, err
	}
	_, err = proc.Must(ctx, proc.Command{
		Argv: []string{"javac", "--release", "11", "-cp", cp, "-d", classes, filepath.Join(here, "java", "Chain.java")}, Timeout: 5 * time.Minute,
	})
	return []string{"java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes + ":" + cp, "Chain"}, err
}

// world is one run.
type world struct {
	ctx     context.Context
	rng     *rand.Rand
	addr    string
	serve   []string
	dir     string
	chain   []string
	verbose bool

	broker  *exec.Cmd
	mu      sync.Mutex
	members []*exec.Cmd
	r       *result
	stop    atomic.Bool
	running sync.WaitGroup
}

func run(ctx context.Context, client string, kills int, seed uint64, verbose bool) (*result, error) {
	start := time.Now()
	r := &result{Client: client, Seed: seed}
	root, err := filepath.Abs(".")
	if err != nil {
		return r, err
	}
	env, err := setup.New(root)
	if err != nil {
		return r, err
	}
	w := &world{ctx: ctx, rng: rand.New(rand.NewPCG(seed, 1)), verbose: verbose, r: r}
	if w.chain, err = chainCommand(ctx, env, client); err != nil {
		return r, err
	}
	naru, err := env.Naru(ctx)
	if err != nil {
		return r, err
	}
	if w.dir, err = os.MkdirTemp("", "transactions-"); err != nil {
		return r, err
	}
	defer os.RemoveAll(w.dir)
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return r, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	w.addr = fmt.Sprintf("localhost:%d", port)
	w.serve = broker.NaruCommand(naru, w.dir, port, "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000")
	if err := w.startBroker(); err != nil {
		return r, err
	}
	defer func() { w.kill(w.broker) }()
	err = w.chaos(kills)
	w.stop.Store(true)
	w.mu.Lock()
	for _, m := range w.members {
		_ = syscall.Kill(-m.Process.Pid, syscall.SIGKILL)
	}
	w.mu.Unlock()
	w.running.Wait()
	if err == nil {
		err = w.verify()
	}
	r.Seconds = int(time.Since(start).Seconds())
	return r, err
}

func (w *world) startBroker() error {
	w.broker = proc.New(w.ctx, proc.Command{Argv: w.serve, Dir: w.dir})
	log, err := os.OpenFile(filepath.Join(w.dir, "naru.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
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
		argv := append(append([]string{}, w.chain...), w.addr, fmt.Sprint("chain-", n), "4", fmt.Sprint(1000*n+generation))
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

func (w *world) count(n int, out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		switch line := s.Text(); {
		case line == "committed":
			atomic.AddInt64(&w.r.Committed, 1)
		case line == "aborted":
			atomic.AddInt64(&w.r.Aborted, 1)
		case strings.HasPrefix(line, "fatal"):
			atomic.AddInt64(&w.r.Restarts, 1)
			fallthrough
		default:
			if w.verbose {
				fmt.Fprintf(os.Stderr, "%s chain-%d %s\n", time.Now().Format("15:04:05.000"), n, line)
			}
		}
	}
}

// chaos produces input, has it transformed and kills processes, and waits until all
// input is handled.
func (w *world) chaos(kills int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopics(w.ctx, partitions, 1, nil, "in", "out"); err != nil {
		return err
	}
	w.members = make([]*exec.Cmd, 2)
	for n := range w.members {
		w.running.Add(1)
		go w.member(n)
	}
	produce := func(n int) error {
		var records []*kgo.Record
		for range n {
			records = append(records, &kgo.Record{Topic: "in", Partition: int32(w.r.Inputs % partitions), Value: fmt.Appendf(nil, "%06d", w.r.Inputs)})
			w.r.Inputs++
		}
		return cl.ProduceSync(w.ctx, records...).FirstErr()
	}
	if err := produce(500); err != nil {
		return err
	}
	for range kills {
		before := atomic.LoadInt64(&w.r.Committed)
		for start := time.Now(); atomic.LoadInt64(&w.r.Committed) < before+3 && time.Since(start) < 15*time.Second; {
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Duration(w.rng.IntN(300)) * time.Millisecond)
		if w.rng.IntN(2) == 0 {
			w.r.BrokerKills++
			w.kill(w.broker)
			if err := w.startBroker(); err != nil {
				return err
			}
		} else {
			w.r.ClientKills++
			w.mu.Lock()
			if m := w.members[w.rng.IntN(len(w.members))]; m != nil {
				_ = syscall.Kill(-m.Process.Pid, syscall.SIGKILL)
			}
			w.mu.Unlock()
		}
		if err := produce(100); err != nil {
			return err
		}
	}
	for w.ctx.Err() == nil {
		offsets, err := adm.FetchOffsets(w.ctx, "chain")
		if err != nil { // the connection may be one that was killed
			time.Sleep(100 * time.Millisecond)
			continue
		}
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		if sum == int64(w.r.Inputs) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("waiting for the end of the chain: %w", w.ctx.Err())
}

// verify counts every input in the committed output.
func (w *world) verify() error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addr), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	// Everything is decided: the last stable offset reaches the end once the clients'
	// last transactions have timed out.
	adm := kadm.NewClient(cl)
	var ends kadm.ListedOffsets
	for {
		stable, err := adm.ListCommittedOffsets(w.ctx, "out")
		if err != nil {
			return err
		}
		if ends, err = adm.ListEndOffsets(w.ctx, "out"); err != nil {
			return err
		}
		all := true
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(o.Topic, o.Partition)
			all = all && s.Offset == o.Offset
		})
		if all {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	seen, next := map[string]int{}, map[int32]int64{}
	for {
		left := false
		ends.Each(func(o kadm.ListedOffset) { left = left || next[o.Partition] < o.Offset })
		if !left {
			break
		}
		fetches := cl.PollFetches(w.ctx)
		if w.ctx.Err() != nil {
			return fmt.Errorf("reading the output: %w", w.ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				seen[string(r.Value)]++
			}
		})
	}
	for i := range w.r.Inputs {
		switch n := seen[fmt.Sprintf("%06d", i)]; {
		case n == 0:
			w.r.Lost++
		case n > 1:
			w.r.Duplicated++
		}
	}
	return nil
}
