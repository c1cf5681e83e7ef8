// Package tools runs Apache Kafka's console tools from its jars, step by step as an operator would, and
// records what each prints: the report compares it with what it prints against Apache Kafka.
package tools

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/scenario"
)

// Client is the name under which the steps are recorded.
const Client = "console-tools"

// Tools runs steps against the broker at Addr.
type Tools struct {
	Java []string // start of a command line, up to the main class
	Addr string
	Dir  string // where the files that tools read are put
}

// step is one run of a tool.
type step struct {
	name   string
	tool   string
	args   []string
	stdin  string
	code   int  // expected exit code
	sorted bool // the order of output lines is not defined
	// lines keeps only output lines that contain one of these.
	lines []string
	// want must be in the output.
	want []string
	// mask matches what differs between two runs of this step.
	mask string
	// order matches parts of a line whose order is not defined; they are put in order.
	order string
	// before does what the tool is to find.
	before func(ctx context.Context, addr string) error
}

// mains are the tools' main classes.
var mains = map[string]string{
	"kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
	"kafka-client-metrics":      "org.apache.kafka.tools.ClientMetricsCommand",
	"kafka-cluster":             "org.apache.kafka.tools.ClusterTool",
	"kafka-configs":             "kafka.admin.ConfigCommand",
	"kafka-console-consumer":    "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"kafka-console-producer":    "org.apache.kafka.tools.ConsoleProducer",
	"kafka-consumer-groups":     "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"kafka-delete-records":      "org.apache.kafka.tools.DeleteRecordsCommand",
	"kafka-features":            "org.apache.kafka.tools.FeatureCommand",
	"kafka-get-offsets":         "org.apache.kafka.tools.GetOffsetShell",
	"kafka-groups":              "org.apache.kafka.tools.GroupsCommand",
	"kafka-log-dirs":            "org.apache.kafka.tools.LogDirsCommand",
	"kafka-metadata-quorum":     "org.apache.kafka.tools.MetadataQuorumCommand",
	"kafka-share-groups":        "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
	"kafka-topics":              "org.apache.kafka.tools.TopicCommand",
	"kafka-transactions":        "org.apache.kafka.tools.TransactionsCommand",
}

// Run runs all steps in order, limit each; a step that fails does not stop those after it.
func (t Tools) Run(ctx context.Context, limit time.Duration) []scenario.Result {
	var results []scenario.Result
	for _, s := range slices.Concat(steps, operations) {
		if ctx.Err() != nil {
			break
		}
		began := time.Now()
		output, err := t.step(ctx, s, limit)
		r := scenario.Result{Client: Client, Scenario: s.name, Status: scenario.OK, Output: output, Millis: time.Since(began).Milliseconds()}
		if err != nil {
			r.Status, r.Detail = scenario.Fail, err.Error()
		}
		results = append(results, r)
	}
	return results
}

func (t Tools) step(ctx context.Context, s step, limit time.Duration) (string, error) {
	args := []string{}
	for _, a := range s.args {
		args = append(args, strings.ReplaceAll(a, "@DIR@", t.Dir))
	}
	if strings.Contains(s.tool, "delete-records") {
		file := filepath.Join(t.Dir, "delete-records.json")
		text := `{"partitions":[{"topic":"tools-one","partition":0,"offset":2}],"version":1}`
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	argv := append(append([]string{}, t.Java...), mains[s.tool])
	argv = append(argv, "--bootstrap-server", t.Addr)
	if s.tool == "kafka-cluster" { // which takes its verb first
		argv = append(append(argv[:len(argv)-2:len(argv)-2], args...), "--bootstrap-server", t.Addr)
		args = nil
	}
	if s.before != nil {
		if err := s.before(ctx, t.Addr); err != nil {
			return "", err
		}
	}
	out, err := proc.Run(ctx, proc.Command{Argv: append(argv, args...), Stdin: strings.NewReader(s.stdin), Dir: t.Dir, Timeout: limit})
	if err != nil {
		return "", err
	}
	text := t.normalise(string(out.Stdout), s)
	if s.code != 0 {
		text += t.complaint(out.Stderr, s)
	}
	if out.ExitCode != s.code {
		return text, fmt.Errorf("exit code %d, want %d: %s %s", out.ExitCode, s.code, proc.Tail(out.Stdout, 300), proc.Tail(out.Stderr, 600))
	}
	for _, w := range s.want {
		if !strings.Contains(text, w) {
			return text, fmt.Errorf("the output has no %q: %s %s", w, proc.Tail(out.Stdout, 400), proc.Tail(out.Stderr, 400))
		}
	}
	return text, nil
}

// complaint returns the first line of standard error that tells the error, without the stack below it.
func (t Tools) complaint(stderr []byte, s step) string {
	for _, word := range []string{"Exception: ", "Error"} {
		for _, l := range strings.Split(string(stderr), "\n") {
			if strings.Contains(l, word) {
				return "\nstderr: " + t.normalise(l, s)
			}
		}
	}
	return ""
}

// What differs between two runs of one broker: topic ids, member ids, times.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`TopicId: [A-Za-z0-9_-]{22}`), "TopicId: TOPIC-ID"},
	{regexp.MustCompile(`Cluster ID: [A-Za-z0-9_-]{22}`), "Cluster ID: CLUSTER-ID"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`CreateTime:\d{13}`), "CreateTime:MILLIS"},
	{regexp.MustCompile(`node \d+`), "node N"},
	{regexp.MustCompile(`\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]`), "[TIME]"},
	{regexp.MustCompile(`/(127\.0\.0\.1|0:0:0:0:0:0:0:1)`), "/LOOPBACK"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(` +(\n|$)`), "$1"},
}

func (t Tools) normalise(out string, s step) string {
	out = strings.ReplaceAll(out, t.Addr, "localhost:PORT")
	for _, c := range changing {
		out = c.pattern.ReplaceAllString(out, c.with)
	}
	if s.mask != "" {
		out = regexp.MustCompile(s.mask).ReplaceAllString(out, "MASKED")
	}
	if s.order != "" {
		parts := regexp.MustCompile(s.order)
		sorted := parts.FindAllString(out, -1)
		slices.Sort(sorted)
		out = parts.ReplaceAllStringFunc(out, func(string) string {
			part := sorted[0]
			sorted = sorted[1:]
			return part
		})
	}
	var lines []string
	for _, l := range strings.Split(strings.Trim(out, "\n"), "\n") {
		keep := len(s.lines) == 0
		for _, w := range s.lines {
			keep = keep || strings.Contains(l, w)
		}
		if keep {
			lines = append(lines, l)
		}
	}
	if s.sorted {
		sort.Strings(lines)
	}
	return strings.Join(lines, "\n")
}
