package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

const streamsGroups = "org.apache.kafka.tools.streams.StreamsGroupCommand"

// while and after are what kafka-streams-groups.sh is asked while the application runs,
// and when it has ended.
var (
	while = []string{
		"--list", "--list --state", "--list --state Stable", "--list --state Empty",
		"--describe --group words", "--describe --group words --verbose", "--describe --group words --state", "--describe --group words --state --verbose",
		"--describe --group words --members", "--describe --group words --members --verbose",
		"--describe --group words --offsets", "--describe --group words --offsets --verbose", "--describe --all-groups --state",
		"--describe --group nobody", "--delete --group words", "--reset-offsets --group words --to-earliest --input-topic lines --dry-run",
	}
	after = []string{
		"--list --state", "--describe --group words --offsets", "--describe --group words --members",
		"--reset-offsets --group words --to-earliest --input-topic lines --dry-run", "--reset-offsets --group words --to-offset 7 --input-topic lines --execute",
		"--describe --group words --offsets --verbose", "--delete-offsets --group words --input-topic lines",
		"--describe --group words --offsets", "--delete --group words", "--list",
	}
)

// changing is what differs between two runs of one server.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`(?m)(^|\s)[A-Za-z0-9_-]{22}(\s|$)`), "${1}ID$2"},
	{regexp.MustCompile(`localhost:\d+`), "localhost:PORT"},
	{regexp.MustCompile(`/(127\.0\.0\.1|0:0:0:0:0:0:0:1)`), "/LOOPBACK"},
	{regexp.MustCompile(`\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]`), "[TIME]"},
	{regexp.MustCompile(`node \d+`), "node N"},
	{regexp.MustCompile(`StreamThread-\d`), "StreamThread-N"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(` +(\n|$)`), "$1"},
}

// compareTools has kafka-streams-groups.sh tell of the same application on Apache Kafka
// and on Naru, and prints where the two differ.
func compareTools(ctx context.Context) error {
	told := map[string]map[string]string{}
	for _, server := range []string{"kafka", "naru"} {
		said, err := askTools(ctx, server)
		if err != nil {
			return fmt.Errorf("on %s: %w", server, err)
		}
		told[server] = said
	}
	differ := 0
	for i, step := range append(slices.Clone(while), after...) {
		name := stepName(i, step)
		if told["kafka"][name] != told["naru"][name] {
			differ++
			fmt.Printf("%s\n--- kafka\n%s\n--- naru\n%s\n", name, told["kafka"][name], told["naru"][name])
		}
	}
	fmt.Printf("%d steps of kafka-streams-groups.sh, %d differ\n", len(while)+len(after), differ)
	if os.Getenv("STREAMS_TOOLS_SHOW") != "" {
		text, _ := json.MarshalIndent(told["naru"], "", "  ")
		fmt.Println(string(text))
	}
	if differ > 0 {
		return fmt.Errorf("%d steps differ", differ)
	}
	return nil
}

func stepName(i int, step string) string { return fmt.Sprintf("%02d %s", i, step) }

// askTools runs the application on a server, and all steps.
func askTools(ctx context.Context, server string) (map[string]string, error) {
	env, err := setup.New(".")
	if err != nil {
		return nil, err
	}
	tool, err := env.JavaTool(ctx)
	if err != nil {
		return nil, err
	}
	w, err := newWorld(ctx, env, &result{Server: server, Protocol: "streams", Guarantee: "at_least_once"}, false)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	app, err := w.countSomething()
	if app != nil {
		defer app()
	}
	if err != nil {
		return nil, err
	}
	said := map[string]string{}
	ask := func(at int, steps []string) error {
		for i, step := range steps {
			argv := append(append(slices.Clone(tool), streamsGroups, "--bootstrap-server", w.Addr), strings.Fields(step)...)
			out, err := proc.Run(ctx, proc.Command{Argv: argv, Dir: w.Dir, Timeout: time.Minute})
			if err != nil {
				return err
			}
			said[stepName(at+i, step)] = normalise(fmt.Sprintf("exit %d\n%s\n%s", out.ExitCode, out.Stdout, out.Stderr))
		}
		return nil
	}
	if err := ask(0, while); err != nil {
		return nil, err
	}
	app()
	return said, ask(len(while), after)
}

func normalise(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.with)
	}
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return l == "" || strings.HasPrefix(l, " at ") })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// countSomething starts one instance of one thread and waits until it has counted what it was given.
// The returned function ends it well.
func (w *world) countSomething() (end func(), err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopics(w.ctx, partitions, 1, nil, "lines", "counts"); err != nil {
		return nil, err
	}
	var records []*kgo.Record
	for i := range 60 {
		records = append(records, &kgo.Record{Topic: "lines", Partition: int32(i % partitions), Value: fmt.Appendf(nil, "one two three word%d", i%7)})
	}
	if err := cl.ProduceSync(w.ctx, records...).FirstErr(); err != nil {
		return nil, err
	}
	cmd := proc.New(w.ctx, proc.Command{Argv: append(slices.Clone(w.app), w.Addr, "words", w.r.Protocol, w.r.Guarantee, filepath.Join(w.Dir, "state"), "1"), Dir: w.Dir})
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	end = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		<-done
	}
	for w.ctx.Err() == nil {
		offsets, err := adm.FetchOffsets(w.ctx, "words")
		sum := int64(0)
		if err == nil {
			offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		}
		if sum == 60+4*60 {
			return end, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return end, w.ctx.Err()
}
