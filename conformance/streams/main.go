// Command streams proves Kafka Streams with an unmodified application while things are
// killed.
//
// Two instances of a word count (java/Words.java: flatMapValues, groupBy through a
// repartition topic, count in a RocksDB store with a changelog topic) read the topic
// lines and write every new count to the topic counts. Meanwhile broker and instances
// are killed with SIGKILL at random moments and started again. In the end the last count
// of every word must be what the guarantee promises: with exactly_once_v2 the truth, and
// on the way to it every number once and in order; with at_least_once no less.
//
//	go run ./streams -protocol streams -guarantee exactly_once_v2 -kills 10 -seed 1
//	go run ./streams -server kafka -protocol classic -guarantee at_least_once
//	go run ./streams -tools
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
	"slices"
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

const (
	partitions = 3
	instances  = 2
	threads    = "2" // of an instance
	// linesPerKill are produced before everything and after every kill.
	linesPerKill = 200
	exactlyOnce  = "exactly_once_v2"
)

// settings make both servers notice a killed instance soon.
var settings = []string{
	"group.streams.min.session.timeout.ms=6000", "group.streams.session.timeout.ms=6000",
	"group.streams.min.heartbeat.interval.ms=1000", "group.streams.heartbeat.interval.ms=1000",
	"group.streams.initial.rebalance.delay.ms=0", "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
}

// result is what one run found.
type result struct {
	Server        string `json:"server"`
	Protocol      string `json:"protocol"`
	Guarantee     string `json:"guarantee"`
	Standbys      int    `json:"standbys"`
	Seed          uint64 `json:"seed"`
	Lines         int    `json:"lines"`
	Words         int    `json:"words"`
	BrokerKills   int    `json:"broker_kills"`
	InstanceKills int    `json:"instance_kills"`
	Replaced      int64  `json:"threads_replaced"`
	Outputs       int64  `json:"outputs"`
	TooFew        int    `json:"words_counted_too_low"`
	TooMany       int    `json:"words_counted_too_high"`
	OutOfOrder    int    `json:"counts_out_of_order"`
	Seconds       int    `json:"seconds"`
}

// broken tells whether the run found what the guarantee rules out.
func (r *result) broken() bool {
	return r.TooFew > 0 || r.Guarantee == exactlyOnce && r.TooMany+r.OutOfOrder > 0
}

func main() {
	r := &result{}
	flag.StringVar(&r.Server, "server", "naru", "naru or kafka")
	flag.StringVar(&r.Protocol, "protocol", "streams", "group protocol: streams or classic")
	flag.StringVar(&r.Guarantee, "guarantee", exactlyOnce, "at_least_once or exactly_once_v2")
	flag.IntVar(&r.Standbys, "standbys", 0, "standby replicas of every task, as the group's setting (protocol streams)")
	kills := flag.Int("kills", 10, "how many processes are killed")
	flag.Uint64Var(&r.Seed, "seed", 1, "of everything random")
	limit := flag.Duration("limit", 15*time.Minute, "of the whole run")
	verbose := flag.Bool("v", false, "print what the instances print")
	keep := flag.Bool("keep", false, "keep the directory of the run")
	tools := flag.Bool("tools", false, "compare what kafka-streams-groups.sh prints on Apache Kafka and on Naru")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	if *tools {
		if err := compareTools(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "FAILED:", err)
			os.Exit(1)
		}
		return
	}
	err := run(ctx, r, *kills, *verbose, *keep)
	text, _ := json.Marshal(r)
	fmt.Println(string(text))
	if err != nil || r.broken() {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
}

// world is one run.
type world struct {
	ctx     context.Context
	rng     *rand.Rand
	port    int
	addr    string
	serve   []string
	dir     string
	app     []string
	verbose bool
	r       *result

	broker  *broker.Broker
	mu      sync.Mutex
	apps    [instances]*exec.Cmd
	stop    atomic.Bool
	running sync.WaitGroup

	truth map[string]int64
	seen  *counts
}

func run(ctx context.Context, r *result, kills int, verbose, keep bool) error {
	start := time.Now()
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	env, err := setup.New(root)
	if err != nil {
		return err
	}
	w := &world{ctx: ctx, rng: rand.New(rand.NewPCG(r.Seed, 1)), verbose: verbose, r: r, truth: map[string]int64{}, seen: newCounts()}
	if w.dir, err = os.MkdirTemp("", "streams-"); err != nil {
		return err
	}
	if keep {
		fmt.Fprintln(os.Stderr, "the run is in", w.dir)
	} else {
		defer os.RemoveAll(w.dir)
	}
	if err := w.prepare(env); err != nil {
		return err
	}
	if err := w.startBroker(); err != nil {
		return err
	}
	defer func() { w.killBroker() }()
	err = w.chaos(kills)
	w.stop.Store(true)
	w.mu.Lock()
	for _, app := range w.apps {
		if app != nil {
			_ = syscall.Kill(-app.Process.Pid, syscall.SIGKILL)
		}
	}
	w.mu.Unlock()
	w.running.Wait()
	w.seen.judge(w.truth, r)
	r.Seconds = int(time.Since(start).Seconds())
	return err
}

// prepare builds what runs and finds out how it is started.
func (w *world) prepare(env setup.Env) error {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	w.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	w.addr = fmt.Sprintf("localhost:%d", w.port)
	settings := append(slices.Clone(settings), fmt.Sprint("group.streams.num.standby.replicas=", w.r.Standbys))
	if w.r.Server == "kafka" {
		cp, err := env.KafkaClassPath(w.ctx)
		if err != nil {
			return err
		}
		w.serve, err = broker.KafkaCommand(w.ctx, strings.TrimSpace(cp), w.dir, w.port, settings...)
		if err != nil {
			return err
		}
	} else {
		naru, err := env.Naru(w.ctx)
		if err != nil {
			return err
		}
		w.serve = broker.NaruCommand(naru, w.dir, w.port, settings...)
	}
	cp, err := env.ClassPath(w.ctx, "streams", setup.KafkaVersion)
	if err != nil {
		return err
	}
	cp = strings.TrimSpace(cp)
	classes := filepath.Join(env.Cache, "streams")
	if err := os.MkdirAll(classes, 0o755); err != nil {
		return err
	}
	w.app = []string{"java", "-Xmx160m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", classes + ":" + cp, "Words"}
	_, err = proc.Must(w.ctx, proc.Command{
		Argv: []string{"javac", "--release", "17", "-cp", cp, "-d", classes, filepath.Join(env.Root, "streams", "java", "Words.java")}, Timeout: 5 * time.Minute,
	})
	return err
}

func (w *world) startBroker() (err error) {
	w.broker, err = broker.Serve(w.ctx, w.r.Server, w.dir, w.port, w.serve)
	return err
}

func (w *world) killBroker() {
	if w.broker != nil {
		_ = syscall.Kill(-w.broker.PID(), syscall.SIGKILL)
		w.broker.Stop()
	}
}

// instance keeps one instance of the application running. It has the same state
// directory every time.
func (w *world) instance(n int) {
	defer w.running.Done()
	for !w.stop.Load() && w.ctx.Err() == nil {
		argv := append(append([]string{}, w.app...), w.addr, "words", w.r.Protocol, w.r.Guarantee, filepath.Join(w.dir, fmt.Sprint("state-", n)), threads)
		cmd := proc.New(w.ctx, proc.Command{Argv: argv, Dir: w.dir})
		out, err := cmd.StdoutPipe()
		if err != nil {
			return
		}
		log, err := os.OpenFile(filepath.Join(w.dir, fmt.Sprintf("words-%d.log", n)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return
		}
		cmd.Stderr = log
		w.mu.Lock()
		if err = cmd.Start(); err == nil {
			w.apps[n] = cmd
		}
		w.mu.Unlock()
		if err == nil {
			w.listen(n, out)
			_ = cmd.Wait()
		}
		log.Close()
	}
}

func (w *world) listen(n int, out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		if strings.HasPrefix(s.Text(), "replaced") {
			atomic.AddInt64(&w.r.Replaced, 1)
		}
		if w.verbose {
			fmt.Fprintf(os.Stderr, "%s words-%d %s\n", time.Now().Format("15:04:05.000"), n, s.Text())
		}
	}
}

// chaos produces lines, has them counted and kills processes, and waits until all lines
// are counted.
func (w *world) chaos(kills int) error {
	isolation := kgo.ReadUncommitted()
	if w.r.Guarantee == exactlyOnce {
		isolation = kgo.ReadCommitted()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addr), kgo.MetadataMinAge(50*time.Millisecond), kgo.FetchIsolationLevel(isolation))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopics(w.ctx, partitions, 1, nil, "lines", "counts"); err != nil {
		return err
	}
	cl.AddConsumeTopics("counts")
	reading, stopReading := context.WithCancel(w.ctx)
	var reader sync.WaitGroup
	reader.Add(1)
	go func() {
		defer reader.Done()
		w.seen.read(reading, cl)
	}()
	defer reader.Wait()
	defer stopReading()
	for n := range instances {
		w.running.Add(1)
		go w.instance(n)
	}
	if err := w.produce(cl); err != nil {
		return err
	}
	for range kills {
		if err := w.killOne(); err != nil {
			return err
		}
		if err := w.produce(cl); err != nil {
			return err
		}
	}
	return w.settle()
}

// produce writes lines of random words.
func (w *world) produce(cl *kgo.Client) error {
	var records []*kgo.Record
	for range linesPerKill {
		var words []string
		for range 1 + w.rng.IntN(6) {
			word := fmt.Sprint("word", w.rng.IntN(40))
			words = append(words, word)
			w.truth[word]++
		}
		w.r.Words += len(words)
		w.r.Lines++
		records = append(records, &kgo.Record{Topic: "lines", Value: []byte(strings.Join(words, " "))})
	}
	return cl.ProduceSync(w.ctx, records...).FirstErr()
}

// killOne waits until the application has got on since the last kill, and kills the
// broker or an instance.
func (w *world) killOne() error {
	before := w.seen.total()
	for start := time.Now(); w.seen.total() < before+50 && time.Since(start) < 20*time.Second && w.ctx.Err() == nil; {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Duration(w.rng.IntN(500)) * time.Millisecond)
	if w.rng.IntN(2) == 0 {
		w.r.BrokerKills++
		w.killBroker()
		return w.startBroker()
	}
	w.r.InstanceKills++
	w.mu.Lock()
	defer w.mu.Unlock()
	if app := w.apps[w.rng.IntN(instances)]; app != nil {
		_ = syscall.Kill(-app.Process.Pid, syscall.SIGKILL)
	}
	return nil
}

// settle waits until every word has its count, and a little longer for what should not
// come any more.
func (w *world) settle() error {
	for !w.seen.reached(w.truth) {
		if w.ctx.Err() != nil {
			return fmt.Errorf("waiting for all words to be counted: %w", w.ctx.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
	for total := int64(-1); total != w.seen.total() && w.ctx.Err() == nil; {
		total = w.seen.total()
		time.Sleep(3 * time.Second)
	}
	return w.ctx.Err()
}
