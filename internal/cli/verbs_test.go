package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/script"
)

// TestVerbsDoAndSayWhatTheScriptHolds runs testdata/verbs.txt against a cluster:
// each line with $ is a command, lines with < are its input, what follows is what
// it printed, lines with ! on standard error. The output in the file was taken
// from Apache Kafka 4.3.1, and a node of ours must give the same; -update rewrites
// it. NARU_TEST_BOOTSTRAP names another fresh cluster to run against, which needs
// num.partitions=4 and group.initial.rebalance.delay.ms=0.
func TestVerbsDoAndSayWhatTheScriptHolds(t *testing.T) {
	bootstrap := cluster(t)
	file := filepath.Join("testdata", "verbs.txt")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, block := range blocks(string(data)) {
		if !strings.HasPrefix(block, "$ ") {
			got.WriteString(block) // a comment before the first command
			continue
		}
		got.WriteString(perform(block, bootstrap))
	}
	script.Golden(t, file, got.String())
}

// cluster returns the address of a fresh broker to test with.
func cluster(t *testing.T) string {
	t.Helper()
	if address := os.Getenv("NARU_TEST_BOOTSTRAP"); address != "" {
		return address
	}
	n, err := naru.Start(t.Context(), naru.Config{Properties: map[string]string{
		"log.dirs": t.TempDir(), "listeners": "PLAINTEXT://localhost:0",
		"num.partitions": "4", "group.initial.rebalance.delay.ms": "0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n.Addr()
}

// blocks separates a script before each line with $.
func blocks(script string) []string {
	var out []string
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "$ ") || len(out) == 0 {
			out = append(out, "")
		}
		out[len(out)-1] += line
	}
	return out
}

// perform runs one block and returns it with its present output.
func perform(block, bootstrap string) string {
	var b, input strings.Builder
	var command string
	for line := range strings.Lines(block) {
		switch {
		case strings.HasPrefix(line, "$ "):
			command = strings.TrimSpace(line[2:])
			b.WriteString(line)
		case strings.HasPrefix(line, "< "):
			input.WriteString(line[2:])
			b.WriteString(line)
		}
	}
	s := newSession()
	s.in = strings.NewReader(input.String())
	status := s.do(append(words(command), "-b", bootstrap)...)
	b.WriteString(s.out.String())
	for line := range strings.Lines(s.err.String()) {
		b.WriteString("! " + line)
	}
	if status != 0 {
		fmt.Fprintf(&b, "exit %d\n", status)
	}
	return steady(b.String()) + "\n"
}

// words separates a command at blanks; single quotes keep them together.
func words(command string) []string {
	var out []string
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

// changing is what differs from run to run, and what Naru's messages say beyond
// Kafka's.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`id [A-Za-z0-9_-]{22}`), "id ID"},
	{regexp.MustCompile(`"topic_id": "[^"]{22}"`), `"topic_id": "ID"`},
	{regexp.MustCompile(`in \d+ ms`), "in N ms"},
	{regexp.MustCompile(`"elapsed_ms": \d+`), `"elapsed_ms": N`},
	{regexp.MustCompile(`"timestamp":\d+`), `"timestamp":T`},
	{regexp.MustCompile(`"time":"[^"]+"`), `"time":"T"`},
	{regexp.MustCompile(` \(docs/configuration.md lists every setting\)`), ""},
	{regexp.MustCompile(` \(set it in server.properties and restart the node\)`), ""},
	{regexp.MustCompile(` or some brokers have all their log directories cordoned`), ""},
}

func steady(s string) string {
	for _, c := range changing {
		s = c.pattern.ReplaceAllString(s, c.with)
	}
	return strings.TrimRight(s, "\n") + "\n"
}
