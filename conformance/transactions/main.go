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
	"net"
	"os"
	"strings"
	"time"

	"github.com/naru-stream/naru/conformance/internal/broker"
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
	w := newWorld(ctx, o, r)
	if w.chain, err = chainCommand(ctx, env, client); err != nil {
		return r, err
	}
	if w.dir, err = os.MkdirTemp("", "transactions-"); err != nil {
		return r, err
	}
	if o.keep {
		fmt.Fprintln(os.Stderr, "keeping", w.dir)
	} else {
		defer os.RemoveAll(w.dir)
	}
	if err := w.place(env, o.target); err != nil {
		return r, err
	}
	if err := w.startBroker(); err != nil {
		return r, err
	}
	defer func() { w.kill(w.broker) }()
	err = w.chaos(o.kills)
	w.end()
	if err == nil {
		err = w.verify()
	}
	r.Seconds = int(time.Since(start).Seconds())
	return r, err
}

// place chooses the broker's port and command line.
func (w *world) place(env setup.Env, target string) error {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	w.addr = fmt.Sprintf("localhost:%d", port)
	// The group of a member that was killed waits for its session to end: that is to be
	// short, and an abandoned transaction is to be found soon.
	settings := []string{"group.min.session.timeout.ms=1000", "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"}
	switch target {
	case "naru":
		naru, err := env.Naru(w.ctx)
		w.serve = broker.NaruCommand(naru, w.dir, port, settings...)
		return err
	case "kafka":
		cp, err := env.KafkaClassPath(w.ctx)
		if err != nil {
			return err
		}
		w.serve, err = broker.KafkaCommand(w.ctx, cp, w.dir, port, settings...)
		return err
	}
	return fmt.Errorf("-target %q: want naru or kafka", target)
}
