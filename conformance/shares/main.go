// Command shares proves share groups (KIP-932) and their dead-letter topics (KIP-1191)
// while things are killed.
//
// Members, processes of their own, take records and accept most of them, now and then too
// late; some records they always reject, some they always give back. Meanwhile broker and members are killed with SIGKILL at random moments and
// started again. In the end every record must be done with:
//
//   - what the broker confirmed as accepted or rejected was delivered to nobody after that;
//   - nothing was delivered more often than the limit;
//   - every record was accepted or lies in the dead-letter topic, those that are never
//     accepted do lie there, unchanged, and none that was confirmed as accepted does.
//
// A letter may be there twice after a crash: that is counted and allowed.
//
//	go run ./shares -kills 100 -seed 1
//	go run ./shares -quick
//	go run ./shares -target kafka -kills 10     Kafka 4.3 has no dead-letter topics
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/arena"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

// options are the flags.
type options struct {
	target  string
	kills   int
	seed    uint64
	verbose bool
	keep    bool
}

// result is what a run found, as it is printed.
type result struct {
	Target      string   `json:"target"`
	Seed        uint64   `json:"seed"`
	Records     int      `json:"records"`
	BrokerKills int      `json:"broker_kills"`
	MemberKills int      `json:"member_kills"`
	Deliveries  int      `json:"deliveries"`
	Accepted    int      `json:"confirmed_accepted"`
	Rejected    int      `json:"confirmed_rejected"`
	Letters     int      `json:"dead_letters"`
	Twice       int      `json:"dead_letters_again"`
	Seconds     int      `json:"seconds"`
	Violations  []string `json:"violations"`
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "member" {
		fmt.Fprintln(os.Stderr, beMember(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	var o options
	limit := flag.Duration("limit", 20*time.Minute, "of the run")
	quick := flag.Bool("quick", false, "a few kills, about half a minute")
	flag.StringVar(&o.target, "target", "naru", "naru or kafka")
	flag.IntVar(&o.kills, "kills", 50, "how many processes are killed")
	flag.Uint64Var(&o.seed, "seed", 1, "of everything random")
	flag.BoolVar(&o.verbose, "v", false, "print what the members say on standard error")
	flag.BoolVar(&o.keep, "keep", false, "keep the broker's directory")
	flag.Parse()
	if *quick {
		o.kills, *limit = 8, 3*time.Minute
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	start := time.Now()
	r := &result{Target: o.target, Seed: o.seed}
	err := run(ctx, o, r)
	r.Seconds = int(time.Since(start).Seconds())
	text, _ := json.Marshal(r)
	fmt.Println(string(text))
	if err == nil && len(r.Violations) > 0 {
		err = errors.New("a promise of share groups was broken")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, r *result) error {
	env, err := setup.New(".")
	if err != nil {
		return err
	}
	a, err := arena.New(ctx, env, arena.Options{Target: o.target, Settings: settings, Seed: o.seed, Keep: o.keep})
	if err != nil {
		return err
	}
	defer a.Close()
	client, err := a.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	w := &world{Arena: a, options: o, ctx: ctx, r: r, letters: o.target == "naru", client: client}
	err = w.chaos()
	w.EndWorkers()
	r.BrokerKills, r.MemberKills = w.ServerKills, w.WorkerKills
	if err != nil {
		judge(r, w.said, nil, false)
		return err
	}
	letters, err := w.readLetters()
	if err != nil {
		return err
	}
	judge(r, w.said, letters, w.letters)
	return nil
}
