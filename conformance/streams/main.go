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
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/arena"
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
	*arena.Arena
	ctx context.Context
	r   *result
	app []string // the command line of the application up to the address

	truth map[string]int64
	seen  *counts
}

// newWorld builds the application and starts the server.
func newWorld(ctx context.Context, env setup.Env, r *result, keep bool) (*world, error) {
	app, err := appCommand(ctx, env)
	if err != nil {
		return nil, err
	}
	a, err := arena.New(ctx, env, arena.Options{Target: r.Server, Seed: r.Seed, Keep: keep,
		Settings: append(slices.Clone(settings), fmt.Sprint("group.streams.num.standby.replicas=", r.Standbys))})
	return &world{Arena: a, ctx: ctx, r: r, app: app, truth: map[string]int64{}, seen: newCounts()}, err
}

// appCommand builds the application and returns its command line up to the address.
func appCommand(ctx context.Context, env setup.Env) ([]string, error) {
	cp, err := env.ClassPath(ctx, "streams", setup.KafkaVersion)
	if err != nil {
		return nil, err
	}
	cp = strings.TrimSpace(cp)
	classes := filepath.Join(env.Cache, "streams")
	if err := os.MkdirAll(classes, 0o755); err != nil {
		return nil, err
	}
	_, err = proc.Must(ctx, proc.Command{
		Argv: []string{"javac", "--release", "17", "-cp", cp, "-d", classes, filepath.Join(env.Root, "streams", "java", "Words.java")}, Timeout: 5 * time.Minute,
	})
	return []string{"java", "-Xmx160m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", classes + ":" + cp, "Words"}, err
}

func run(ctx context.Context, r *result, kills int, verbose, keep bool) error {
	start := time.Now()
	env, err := setup.New(".")
	if err != nil {
		return err
	}
	w, err := newWorld(ctx, env, r, keep)
	if err != nil {
		return err
	}
	defer w.Close()
	log, err := os.Create(filepath.Join(w.Dir, "words.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	err = w.chaos(kills, log, verbose)
	w.EndWorkers()
	r.BrokerKills, r.InstanceKills = w.ServerKills, w.WorkerKills
	w.seen.judge(w.truth, r)
	r.Seconds = int(time.Since(start).Seconds())
	return err
}

// instance is the n-th instance of the application. It has the same state directory every
// time.
func (w *world) instance(n int, log io.Writer, verbose bool) arena.Worker {
	argv := append(slices.Clone(w.app), w.Addr, "words", w.r.Protocol, w.r.Guarantee, filepath.Join(w.Dir, fmt.Sprint("state-", n)), threads)
	return arena.Worker{
		Argv: func(int) []string { return argv },
		Hear: func(line string) {
			if strings.HasPrefix(line, "replaced") {
				atomic.AddInt64(&w.r.Replaced, 1)
			}
			if verbose {
				fmt.Fprintf(os.Stderr, "%s words-%d %s\n", time.Now().Format("15:04:05.000"), n, line)
			}
		},
		Stderr: log,
	}
}

// chaos produces lines, has them counted and kills processes, and waits until all lines
// are counted.
func (w *world) chaos(kills int, log io.Writer, verbose bool) error {
	isolation := kgo.ReadUncommitted()
	if w.r.Guarantee == exactlyOnce {
		isolation = kgo.ReadCommitted()
	}
	cl, err := w.Client(kgo.FetchIsolationLevel(isolation))
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
	reader.Go(func() { w.seen.read(reading, cl) })
	defer reader.Wait()
	defer stopReading()
	for n := range instances {
		w.Employ(w.instance(n, log, verbose))
	}
	if err := w.produce(cl); err != nil {
		return err
	}
	for range kills {
		w.Await(w.seen.total, 50)
		if err := w.Strike(500 * time.Millisecond); err != nil {
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
		for range 1 + w.Rand.IntN(6) {
			word := fmt.Sprint("word", w.Rand.IntN(40))
			words = append(words, word)
			w.truth[word]++
		}
		w.r.Words += len(words)
		w.r.Lines++
		records = append(records, &kgo.Record{Topic: "lines", Value: []byte(strings.Join(words, " "))})
	}
	return cl.ProduceSync(w.ctx, records...).FirstErr()
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
