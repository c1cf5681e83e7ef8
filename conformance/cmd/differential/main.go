// Command differential sends the same raw requests, every API in every version with good, odd and wrong
// content, to Apache Kafka and to Naru, and compares the decoded answers field by field. See README.md in
// the module's root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/naru-stream/naru/conformance/differential"
	"github.com/naru-stream/naru/conformance/internal/broker"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

type options struct {
	root, target, scenarios, naru string
	quick, keep                   bool
	port                          int
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "folder of the conformance module")
	flag.StringVar(&o.target, "target", "naru", "both: ask Kafka too; naru: compare with what Kafka answered in the last run")
	flag.StringVar(&o.scenarios, "scenarios", "", "comma-separated, default all: "+strings.Join(differential.Scenarios(), ","))
	flag.StringVar(&o.naru, "naru", "", "naru binary to ask, default: built from this source tree")
	flag.BoolVar(&o.quick, "quick", false, "only the lowest, the first flexible and the highest version of each API")
	flag.BoolVar(&o.keep, "keep", false, "keep the brokers' directories")
	flag.IntVar(&o.port, "port", 24000, "first of three ports to use")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		os.Exit(1)
	}
}

// files of a run, under the module's root.
func (o options) recorded() string {
	name := "differential-kafka.json.gz"
	if o.quick {
		name = "differential-kafka-quick.json.gz" // what is listed depends on what was made before
	}
	return filepath.Join(o.root, "results", name)
}
func (o options) explained() string {
	return filepath.Join(o.root, "differential", "explained.json")
}
func (o options) summary() string { return filepath.Join(o.root, "DIFFERENTIAL.md") }

// whole tells whether everything is asked, so that results may be kept and explanations be stale.
func (o options) whole() bool { return o.scenarios == "" && !o.quick }

func run(ctx context.Context, o options) error {
	env, err := setup.New(o.root)
	if err != nil {
		return err
	}
	explanations, err := differential.LoadExplanations(o.explained())
	if err != nil {
		return err
	}
	kafka, naru, err := observe(ctx, env, o)
	if err != nil {
		return err
	}
	differences := differential.Compare(kafka, naru)
	stale := differential.Explain(differences, explanations)
	if o.whole() {
		text := differential.Markdown(kafka, naru, differences, setup.KafkaVersion)
		if err := os.WriteFile(o.summary(), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return judge(o, differences, stale)
}

// judge prints what is not explained.
func judge(o options, differences []differential.Difference, stale []differential.Explanation) error {
	open, kept, soft := 0, 0, 0
	for _, d := range differences {
		switch {
		case d.Why != "":
			kept++
		case d.Soft():
			soft++
		default:
			open++
			fmt.Printf("%s [%s]\n    %s\n    kafka %s\n    naru  %s\n", d.Case, strings.Join(d.Versions, " "), d.Path, d.Kafka, d.Naru)
		}
	}
	fmt.Printf("%d differences without explanation, %d kept on purpose, %d messages in other words\n", open, kept, soft)
	if o.whole() {
		for _, e := range stale {
			fmt.Printf("explains nothing any more: %s %s\n", e.Case, e.Path)
		}
		if len(stale) > 0 {
			open++
		}
	}
	if open > 0 {
		return fmt.Errorf("differences or explanations to look at; those that are kept belong into %s", o.explained())
	}
	return nil
}

// observe asks the servers, both at once, and returns what each answered.
func observe(ctx context.Context, env setup.Env, o options) (kafka, naru []differential.Observation, err error) {
	var wg sync.WaitGroup
	var kafkaErr, naruErr error
	if o.target == "both" {
		wg.Go(func() { kafka, kafkaErr = ask(ctx, env, o, "kafka") })
	} else if kafka, err = remembered(o); err != nil {
		return nil, nil, err
	}
	wg.Go(func() { naru, naruErr = ask(ctx, env, o, "naru") })
	wg.Wait()
	if kafkaErr != nil || naruErr != nil {
		return nil, nil, errors.Join(kafkaErr, naruErr)
	}
	if o.target == "both" && o.scenarios == "" {
		err = differential.Save(o.recorded(), kafka)
	}
	return kafka, naru, err
}

// remembered returns what Kafka answered to what is to be asked now.
func remembered(o options) ([]differential.Observation, error) {
	all, err := differential.Load(o.recorded())
	if err != nil {
		return nil, err
	}
	return differential.Select(all, chosen(o)), nil
}

func chosen(o options) map[string]bool {
	if o.scenarios == "" {
		return nil
	}
	out := map[string]bool{}
	for _, name := range strings.Split(o.scenarios, ",") {
		out[name] = true
	}
	return out
}

// ask starts one server, asks it everything and stops it.
func ask(ctx context.Context, env setup.Env, o options, name string) ([]differential.Observation, error) {
	workDir, err := os.MkdirTemp("", "naru-differential-"+name+"-")
	if err != nil {
		return nil, err
	}
	if o.keep {
		fmt.Fprintln(os.Stderr, "keeping", workDir)
	} else {
		defer os.RemoveAll(workDir)
	}
	b, err := launch(ctx, env, o, name, workDir)
	if err != nil {
		return nil, err
	}
	defer b.Stop()
	seen, err := differential.Observe(ctx, b.Addr, b.DataDir, differential.Options{
		Scenarios: chosen(o), Quick: o.quick,
		Progress: func(scenario string, cases int, took time.Duration) {
			fmt.Fprintf(os.Stderr, "%-6s %-14s %5d requests %6d ms\n", name, scenario, cases, took.Milliseconds())
		},
	})
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", name, err)
	}
	return seen, nil
}

// sameAsKafka are the settings that the control broker has too.
var sameAsKafka = []string{
	"node.id=1", "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
	"share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
}

func launch(ctx context.Context, env setup.Env, o options, name, workDir string) (*broker.Broker, error) {
	port := o.port
	var argv []string
	if name == "kafka" {
		cp, err := env.KafkaClassPath(ctx)
		if err != nil {
			return nil, err
		}
		if argv, err = broker.KafkaCommand(ctx, cp, workDir, port); err != nil {
			return nil, err
		}
	} else {
		port += 2
		binary := o.naru
		if binary == "" {
			var err error
			if binary, err = env.Naru(ctx); err != nil {
				return nil, err
			}
		}
		argv = broker.NaruCommand(binary, workDir, port, sameAsKafka...)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		return nil, fmt.Errorf("%w; choose another -port", err)
	}
	l.Close()
	return broker.Serve(ctx, name, workDir, port, argv)
}
