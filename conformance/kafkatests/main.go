// Command kafkatests runs Apache Kafka's own integration tests, compiled as its developers publish them,
// against Naru.
//
// The tests ask two classes of Kafka's for a cluster, KafkaClusterTestKit and, in Scala,
// KRaftQuorumImplementation; classes of these names that stand earlier on the class path (folder java) give
// them one Naru process. Every test class runs in a JVM of its own, one after the other. What fails must be explained in known.json; classes that cannot mean anything
// here are left out by skipped.json. What became of a class that was run whole is put into RESULTS.md and
// results/kafkatests.json at once.
//
//	go run ./kafkatests                                   all suites
//	go run ./kafkatests -suites core,tools
//	go run ./kafkatests -tests 'ProducerIntegrationTest.testUniqueProducerIds'
//	go run ./kafkatests -quick
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/naru-stream/naru/conformance/internal/setup"
)

// quickClasses are what -quick runs.
var quickClasses = []string{
	"org.apache.kafka.clients.producer.ProducerIntegrationTest",
	"kafka.server.ConsumerGroupHeartbeatRequestTest",
	"kafka.server.OffsetFetchRequestTest",
	"kafka.server.TxnOffsetCommitRequestTest",
}

// options are the flags.
type options struct {
	suites  []string
	tests   *regexp.Regexp // nil means all
	quick   bool
	verbose bool
}

// full tells whether everything is run.
func (o options) full() bool {
	return len(o.suites) == len(suiteNames) && o.tests == nil && !o.quick
}

func main() {
	o, err := parseFlags()
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
}

func parseFlags() (options, error) {
	var o options
	suites := flag.String("suites", strings.Join(suiteNames, ","), "which suites to run")
	tests := flag.String("tests", "", "run only tests whose Class.method this regular expression matches")
	flag.BoolVar(&o.quick, "quick", false, "a few classes, about 2 minutes, on which nothing is written down")
	flag.BoolVar(&o.verbose, "v", false, "print what the tests print on standard error")
	flag.Parse()
	for _, name := range suiteNames { // in this order, each once
		if slices.Contains(strings.Split(*suites, ","), name) {
			o.suites = append(o.suites, name)
		}
	}
	for _, name := range strings.Split(*suites, ",") {
		if !slices.Contains(suiteNames, name) {
			return o, fmt.Errorf("-suites %q: want some of %s", name, strings.Join(suiteNames, ","))
		}
	}
	if *tests != "" {
		var err error
		if o.tests, err = regexp.Compile(*tests); err != nil {
			return o, fmt.Errorf("-tests: %w", err)
		}
	}
	return o, nil
}

func run(ctx context.Context, o options) error {
	env, err := setup.New(".")
	if err != nil {
		return err
	}
	rules, err := loadRules(filepath.Join(env.Root, "kafkatests"))
	if err != nil {
		return err
	}
	classPath, err := env.ClassPath(ctx, "kafkatests", setup.KafkaVersion)
	if err != nil {
		return err
	}
	r := &results{Kafka: setup.KafkaVersion}
	chosen := map[string][]testClass{}
	count := 0
	for _, name := range o.suites {
		classes, err := findClasses(name, strings.TrimSpace(classPath))
		if err != nil {
			return err
		}
		chosen[name] = choose(o, rules, classes, r)
		count += len(chosen[name])
	}
	if count == 0 {
		return errors.New("no test class matches; see kafkatests/skipped.json for those that are left out")
	}
	launcher, err := newLauncher(ctx, env, o)
	if err != nil {
		return err
	}
	for _, name := range o.suites {
		s := suiteResult{Name: name}
		for _, c := range chosen[name] {
			began := time.Now()
			invocations, err := launcher.run(ctx, c)
			if err != nil {
				return err
			}
			if len(invocations) == 0 {
				continue
			}
			result := rules.judge(c.name, invocations)
			fmt.Println(result.progress(time.Since(began)))
			s.Classes = append(s.Classes, result)
			if c.whole && !o.quick {
				if err := r.keep(env.Root, name, result, rules); err != nil {
					return err
				}
			}
		}
		r.Suites = append(r.Suites, s)
	}
	r.print(os.Stdout, launcher.dir, rules.stale(o.full()))
	if n := r.total().failed; n > 0 {
		return fmt.Errorf("%d tests failed and kafkatests/known.json does not say why", n)
	}
	return nil
}

// choose returns the classes to run, each with the methods to run, and notes in r which are left out.
func choose(o options, rules *rules, classes []testClass, r *results) []testClass {
	var chosen []testClass
	for _, c := range classes {
		if o.quick && !slices.Contains(quickClasses, c.name) {
			continue
		}
		c.whole = true
		if o.tests != nil {
			all := len(c.methods)
			c.methods = slices.DeleteFunc(slices.Clone(c.methods), func(m string) bool { return !o.tests.MatchString(c.name + "." + m) })
			if len(c.methods) == 0 {
				continue
			}
			c.whole = len(c.methods) == all
		}
		if why := rules.leavesOut(c.name); why != "" {
			r.LeftOut = append(r.LeftOut, leftOut{Class: c.name, Why: why})
			continue
		}
		chosen = append(chosen, c)
	}
	return chosen
}
