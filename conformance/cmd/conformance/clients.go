package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/naru-stream/naru/conformance/internal/broker"
	"github.com/naru-stream/naru/conformance/internal/disk"
	"github.com/naru-stream/naru/conformance/internal/kcat"
	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/program"
	"github.com/naru-stream/naru/conformance/internal/scenario"
	"github.com/naru-stream/naru/conformance/internal/setup"
	"github.com/naru-stream/naru/conformance/internal/tools"
)

// runner runs one client against a broker.
type runner struct {
	client string
	run    func(ctx context.Context, b *broker.Broker, o options) []scenario.Result
}

// install prepares one client's runner.
type install func(ctx context.Context, env setup.Env) (runner, error)

type namedInstall struct {
	name    string
	install install
}

// installs lists every client under test in the order of a run.
func installs() []namedInstall {
	list := []namedInstall{
		{kcat.Client, installKcat},
		{"franz-go", fromProgram(setup.Env.Franz)},
		{"confluent-kafka-go", fromProgram(setup.Env.Confluent)},
		{"kafka-python", fromProgram(python("kafka-python"))},
		{"kafka-python-2.0.2", fromProgram(python("kafka-python-2.0.2"))},
		{"aiokafka", fromProgram(python("aiokafka"))},
		{"kafkajs", fromProgram(setup.Env.KafkaJS)},
	}
	for _, v := range setup.JavaVersions {
		list = append(list, namedInstall{"java-" + v, fromProgram(func(e setup.Env, ctx context.Context) (program.Program, error) { return e.Java(ctx, v) })})
	}
	return append(list, namedInstall{tools.Client, installTools})
}

func installTools(ctx context.Context, env setup.Env) (runner, error) {
	java, err := env.JavaTool(ctx)
	return runner{tools.Client, func(ctx context.Context, b *broker.Broker, o options) []scenario.Result {
		return tools.Tools{Java: java, Addr: b.Addr, Dir: filepath.Dir(b.DataDir)}.Run(ctx, o.limit)
	}}, err
}

func python(client string) func(setup.Env, context.Context) (program.Program, error) {
	return func(e setup.Env, ctx context.Context) (program.Program, error) { return e.Python(ctx, client) }
}

func clientNames() []string {
	var names []string
	for _, c := range installs() {
		names = append(names, c.name)
	}
	return names
}

// chosen splits the -clients flag; empty means all clients.
func chosen(list string) ([]string, error) {
	if list == "" {
		return clientNames(), nil
	}
	names := strings.Split(list, ",")
	for _, n := range names {
		if !slices.Contains(clientNames(), n) {
			return nil, fmt.Errorf("-clients: there is no %q; the clients are %s", n, strings.Join(clientNames(), ", "))
		}
	}
	return names, nil
}

// prepare installs the chosen clients.
func prepare(ctx context.Context, env setup.Env, clients []string) ([]runner, error) {
	var runners []runner
	for _, c := range installs() {
		if !slices.Contains(clients, c.name) {
			continue
		}
		r, err := c.install(ctx, env)
		if err != nil {
			return nil, fmt.Errorf("preparing %s: %w", c.name, err)
		}
		runners = append(runners, r)
	}
	return runners, nil
}

// fromProgram makes a runner of a client program; after it has run, what the broker stored is checked.
func fromProgram(build func(setup.Env, context.Context) (program.Program, error)) install {
	return func(ctx context.Context, env setup.Env) (runner, error) {
		p, err := build(env, ctx)
		if err != nil {
			return runner{}, err
		}
		return runner{p.Client, func(ctx context.Context, b *broker.Broker, o options) []scenario.Result {
			results := p.Run(ctx, b.Addr, o.limit)
			checkCodecs(results, b.DataDir)
			return results
		}}, nil
	}
}

// installKcat makes the runner of kcat, with the million lines as a scenario of its own.
func installKcat(ctx context.Context, env setup.Env) (runner, error) {
	path, err := env.Kcat(ctx)
	if err != nil {
		return runner{}, err
	}
	words, err := env.Words(ctx)
	if err != nil {
		return runner{}, err
	}
	return runner{kcat.Client, func(ctx context.Context, b *broker.Broker, o options) []scenario.Result {
		k := kcat.Kcat{Path: path, Addr: b.Addr, Dir: filepath.Dir(b.DataDir)}
		results := k.Run(ctx, o.limit)
		checkCodecs(results, b.DataDir)
		began := time.Now()
		lines := scenario.Result{Client: kcat.Client, Scenario: "million-lines", Status: scenario.OK}
		err := k.Lines(ctx, words)
		if err == nil {
			err = disk.MostlyCodec(b.DataDir, kcat.LinesTopic, "lz4")
		}
		if err != nil {
			lines.Status, lines.Detail = scenario.Fail, err.Error()
		}
		lines.Millis = time.Since(began).Milliseconds()
		return append(results, lines)
	}}, nil
}

// checkCodecs fails a compression scenario whose batches on disk do not have its codec.
func checkCodecs(results []scenario.Result, dataDir string) {
	for i := range results {
		r := &results[i]
		if r.Status != scenario.OK || !slices.Contains(scenario.Codecs, r.Scenario) {
			continue
		}
		if err := disk.OnlyCodec(dataDir, r.Client+"-"+r.Scenario, r.Scenario); err != nil {
			r.Status, r.Detail = scenario.Fail, err.Error()
		}
	}
}

// schemas runs the main module's schema test with Kafka's class path.
func schemas(ctx context.Context, env setup.Env) error {
	cp, err := env.KafkaClassPath(ctx)
	if err != nil {
		return err
	}
	test := proc.Command{
		Argv: []string{"go", "test", "-count=1", "-run", "Schema", "./internal/kafka/..."},
		Dir:  filepath.Dir(env.Root),
		Env:  []string{"NARU_KAFKA_CLASSPATH=" + strings.TrimSpace(cp)},
	}
	out, err := proc.Must(ctx, test)
	fmt.Printf("%s", out.Stdout)
	return err
}
