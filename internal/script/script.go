package script

import (
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

var update = flag.Bool("update", false, "write what happens into the files that say what is expected")

// Run plays every script in testdata as a test with the script's name. It calls begin
// for each; the function that begin returns is told the steps, and what comes of one
// it says to out before it returns.
func Run(t *testing.T, begin func(t *testing.T, out *Output) (step func(op, args string))) {
	t.Helper()
	run(t, begin, func(t *testing.T, test func(*testing.T)) { test(t) })
}

// RunInBubble is Run in virtual time: each script is played in a bubble of its own
// (testing/synctest), in which begin and its steps may start goroutines and sleep.
func RunInBubble(t *testing.T, begin func(t *testing.T, out *Output) (step func(op, args string))) {
	t.Helper()
	run(t, begin, synctest.Test)
}

func run(t *testing.T, begin func(*testing.T, *Output) func(op, args string), within func(*testing.T, func(*testing.T))) {
	t.Helper()
	for _, file := range files(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			within(t, func(t *testing.T) {
				var out Output
				Golden(t, file, play(read(t, file), &out, begin(t, &out)))
			})
		})
	}
}

// Steps yields the operations and arguments of all scripts in testdata, for a test that
// plays them in another order.
func Steps(t testing.TB) iter.Seq2[string, string] {
	t.Helper()
	return func(yield func(op, args string) bool) {
		for _, file := range files(t) {
			for line := range strings.Lines(read(t, file)) {
				if op, args, ok := step(line); ok && !yield(op, args) {
					return
				}
			}
		}
	}
}

// Golden holds what a test made against the file that says what is expected, or with
// -update writes it there.
func Golden(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := diff(read(t, file), got); d != "" {
		t.Errorf("%s holds the lines with -, now it is those with + (-update writes them down):\n%s", file, d)
	}
}

func files(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata (%v)", err)
	}
	return files
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Output takes what came of the steps of a script. A nil one, for steps that no script
// asked for, takes nothing.
type Output struct{ text strings.Builder }

// Say adds what came of a step: a line, or several.
func (o *Output) Say(format string, values ...any) {
	if o == nil {
		return
	}
	o.text.WriteString(indent + strings.ReplaceAll(fmt.Sprintf(format, values...), "\n", "\n"+indent) + "\n")
}

const indent = "  "

// play returns a script with what comes of its steps now.
func play(script string, out *Output, do func(op, args string)) string {
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, indent) {
			continue
		}
		out.text.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		if op, args, ok := step(line); ok {
			do(op, args)
		}
	}
	return out.text.String()
}

// step returns what a line of a script asks for, if it does.
func step(line string) (op, args string, ok bool) {
	if strings.HasPrefix(line, indent) || strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
		return "", "", false
	}
	op, args, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	return op, args, true
}
