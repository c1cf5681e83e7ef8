// Command conformance runs real Kafka clients and tools against Apache Kafka, Naru or both, and writes
// the table of what they saw. See README.md in the module's root.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/naru-stream/naru/conformance/internal/broker"
	"github.com/naru-stream/naru/conformance/internal/report"
	"github.com/naru-stream/naru/conformance/internal/scenario"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

type options struct {
	target, root string
	naru         string // a binary to run instead of building one
	clients      []string
	json, keep   bool
	limit        time.Duration
	total        time.Duration
}

func main() {
	var o options
	var clients string
	flag.StringVar(&o.target, "target", "naru", "broker to run against: kafka, naru or both")
	flag.StringVar(&clients, "clients", "", "comma-separated clients (default all): "+strings.Join(clientNames(), ","))
	flag.StringVar(&o.root, "root", ".", "folder of the conformance module")
	flag.StringVar(&o.naru, "naru", "", "naru binary to run (default: built from this source tree)")
	flag.BoolVar(&o.json, "json", false, "print each result as a JSON line")
	flag.BoolVar(&o.keep, "keep", false, "keep the brokers' directories")
	flag.DurationVar(&o.limit, "limit", 60*time.Second, "time limit of one scenario")
	flag.DurationVar(&o.total, "total", 25*time.Minute, "time limit of the whole run")
	flag.Usage = usage
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.total)
	defer cancel()
	err := run(ctx, o, clients)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		stop()
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprint(os.Stderr, `Usage: conformance [flags]           run the clients and write RESULTS.md
       conformance setup             only install the clients into .cache
       conformance broker kafka|naru start a broker, print its address, wait for an interrupt
       conformance schemas           hold the codec against the schemas inside Kafka's jars

`)
	flag.PrintDefaults()
}

func run(ctx context.Context, o options, clients string) error {
	env, err := setup.New(o.root)
	if err != nil {
		return err
	}
	o.clients, err = chosen(clients)
	if err != nil {
		return err
	}
	switch flag.Arg(0) {
	case "":
		return conform(ctx, env, o)
	case "setup":
		_, err := prepare(ctx, env, o.clients)
		return err
	case "broker":
		return serve(ctx, env, o, flag.Arg(1))
	case "schemas":
		return schemas(ctx, env)
	}
	usage()
	os.Exit(2)
	return nil
}

// conform runs the chosen clients against the chosen brokers, compares and writes RESULTS.md.
func conform(ctx context.Context, env setup.Env, o options) error {
	targets := map[string][]string{"kafka": {"kafka"}, "naru": {"naru"}, "both": {"kafka", "naru"}}[o.target]
	if targets == nil {
		return fmt.Errorf("-target %q: want kafka, naru or both", o.target)
	}
	runners, err := prepare(ctx, env, o.clients)
	if err != nil {
		return err
	}
	explained, err := report.LoadExplanations(filepath.Join(env.Root, "explained.json"))
	if err != nil {
		return err
	}
	seen := map[string]scenario.Target{}
	for _, name := range []string{"kafka", "naru"} {
		file := filepath.Join(env.Root, "results", name+".json")
		t, err := report.Load(file)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		seen[name] = t
	}
	for _, name := range targets {
		t, err := against(ctx, env, o, name, runners)
		if err != nil {
			return err
		}
		seen[name] = report.Merge(seen[name], t)
		if err := report.Save(filepath.Join(env.Root, "results", name+".json"), seen[name]); err != nil {
			return err
		}
	}
	table := report.Markdown(seen["kafka"], seen["naru"], explained)
	if err := os.WriteFile(filepath.Join(env.Root, "RESULTS.md"), []byte(table), 0o644); err != nil {
		return err
	}
	unexplained := 0
	for _, d := range report.Differences(seen["kafka"], seen["naru"], explained, o.clients) {
		if d.Why == "" {
			unexplained++
			fmt.Fprintf(os.Stderr, "not explained: %s, %s (kafka %s, naru %s) %s\n", d.Client, d.Scenario, d.Kafka.Status, d.Naru.Status, strings.Join(d.Diff, " "))
		}
	}
	for _, e := range report.Stale(seen["kafka"], seen["naru"], explained, o.clients) {
		unexplained++
		fmt.Fprintf(os.Stderr, "explains nothing any more: %s, %s: %s\n", e.Client, e.Scenario, e.Why)
	}
	if unexplained > 0 {
		return fmt.Errorf("%d differences without an explanation, or explanations without a difference, in explained.json", unexplained)
	}
	return nil
}

// against runs all runners against one broker, started for them.
func against(ctx context.Context, env setup.Env, o options, name string, runners []runner) (scenario.Target, error) {
	workDir, err := os.MkdirTemp("", "naru-conformance-"+name+"-")
	if err != nil {
		return scenario.Target{}, err
	}
	b, err := launch(ctx, env, o, name, workDir)
	if err != nil {
		return scenario.Target{}, err
	}
	defer func() {
		b.Stop()
		if o.keep {
			fmt.Fprintln(os.Stderr, "kept", workDir)
		} else {
			os.RemoveAll(workDir)
		}
	}()
	t := scenario.Target{Broker: map[string]string{"kafka": "Apache Kafka " + setup.KafkaVersion, "naru": "Naru"}[name]}
	out := json.NewEncoder(os.Stdout)
	for _, r := range runners {
		for _, result := range r.run(ctx, b, o) {
			t.Results = append(t.Results, result)
			if o.json {
				_ = out.Encode(result)
			} else {
				fmt.Fprintf(os.Stdout, "%-6s %-20s %-22s %-4s %6d ms  %s\n", name, result.Client, result.Scenario, result.Status, result.Millis, first(result.Detail))
			}
		}
		if b.Exited() {
			return t, fmt.Errorf("%s ended during %s; its log is %s", name, r.client, b.LogFile)
		}
		if ctx.Err() != nil {
			return t, ctx.Err()
		}
	}
	return t, nil
}

func first(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 400 {
		return s[:400] + "…"
	}
	return s
}

func launch(ctx context.Context, env setup.Env, o options, name, workDir string) (*broker.Broker, error) {
	if name == "kafka" {
		cp, err := env.KafkaClassPath(ctx)
		if err != nil {
			return nil, err
		}
		return broker.StartKafka(ctx, cp, workDir)
	}
	if o.naru == "" {
		bin, err := env.Naru(ctx)
		if err != nil {
			return nil, err
		}
		o.naru = bin
	}
	return broker.StartNaru(ctx, o.naru, workDir)
}

// serve starts a broker for use by hand.
func serve(ctx context.Context, env setup.Env, o options, name string) error {
	workDir, err := os.MkdirTemp("", "naru-conformance-"+name+"-")
	if err != nil {
		return err
	}
	b, err := launch(ctx, env, o, name, workDir)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%s %s\n", b.Addr, b.DataDir)
	<-ctx.Done()
	b.Stop()
	return os.RemoveAll(workDir)
}
