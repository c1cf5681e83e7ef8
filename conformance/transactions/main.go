// Command transactions proves exactly-once with real clients while things are killed.
//
// Two processes of one client read topic in as a group and write every value to topic
// out, in transactions of which they abort some at random. Meanwhile broker and clients
// are killed with SIGKILL at random moments and started again, and input is fed as it
// goes. In the end a read_committed consumer must find every input in the output exactly
// once, and nothing else.
//
//	go run ./transactions -client java-4.3.1 -kills 200 -seed 1
//	go run ./transactions -quick
//
// Clients: java-4.3.1 (transactions of KIP-890), java-2.7.0, librdkafka (through
// confluent-kafka of PyPI) and franz-go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/naru-stream/naru/conformance/internal/arena"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

// result is what one run found.
type result struct {
	Client      string `json:"client"`
	Seed        uint64 `json:"seed"`
	Inputs      int    `json:"inputs"`
	BrokerKills int    `json:"broker_kills"`
	ClientKills int    `json:"client_kills"`
	Committed   int64  `json:"committed"`
	Aborted     int64  `json:"aborted"`              // at random
	Failed      int64  `json:"failed_transactions"`  // aborted because of an error
	Restarts    int64  `json:"clients_that_gave_up"` // and were started again
	Lost        int    `json:"lost"`
	Duplicated  int    `json:"duplicated"`
	Foreign     int    `json:"foreign"` // values that were never an input
	Seconds     int    `json:"seconds"`
}

// options are the flags of a run.
type options struct {
	target  string
	kills   int
	seed    uint64
	limit   time.Duration
	verbose bool
	keep    bool
}

func main() {
	var o options
	client := flag.String("client", strings.Join(clients, ","), "comma-separated clients")
	quick := flag.Bool("quick", false, "a few kills with franz-go and java-4.3.1, about a minute")
	flag.StringVar(&o.target, "target", "naru", "naru or kafka")
	flag.IntVar(&o.kills, "kills", 200, "how many processes are killed, and how many transactions are aborted at least")
	flag.Uint64Var(&o.seed, "seed", 1, "of everything random")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute, "of the run of one client")
	flag.BoolVar(&o.verbose, "v", false, "print what the clients print")
	flag.BoolVar(&o.keep, "keep", false, "keep the broker's directory")
	flag.Parse()
	if *quick {
		*client, o.kills, o.limit = "franz-go,java-4.3.1", 8, 3*time.Minute
	}
	names, err := chosen(*client)
	for _, name := range names {
		r, failed := o.run(name)
		text, _ := json.Marshal(r)
		fmt.Println(string(text))
		if failed == nil && r.Lost+r.Duplicated+r.Foreign > 0 {
			failed = errors.New("the output is not the input exactly once")
		}
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, failed))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
}

// run proves one client.
func (o options) run(client string) (*result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	start := time.Now()
	r := &result{Client: client, Seed: o.seed}
	env, err := setup.New(".")
	if err != nil {
		return r, err
	}
	w := &world{options: o, ctx: ctx, r: r}
	if w.chain, err = chainCommand(ctx, env, client); err != nil {
		return r, err
	}
	if w.Arena, err = arena.New(ctx, env, arena.Options{Target: o.target, Settings: settings, Seed: o.seed, Keep: o.keep}); err != nil {
		return r, err
	}
	defer w.Close()
	err = w.chaos()
	w.EndWorkers()
	r.BrokerKills, r.ClientKills = w.ServerKills, w.WorkerKills
	if err == nil {
		err = w.verify()
	}
	r.Seconds = int(time.Since(start).Seconds())
	return r, err
}
