package script

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestScriptsArePlayed(t *testing.T) {
	begun := 0
	Run(t, func(t *testing.T, out *Output) func(op, args string) {
		begun++
		var numbers []int64
		sum := int64(0)
		return func(op, args string) {
			a := Parse(t, args)
			switch op {
			case "add":
				for _, w := range append(a.Words, a.List("of")...) {
					n := a.Number(w) * a.Num("times", 1)
					numbers, sum = append(numbers, n), sum+n
				}
				if name := a.Opt("as"); name != nil {
					out.Say("%s %d", *name, sum)
				}
			case "show":
				out.Say("%d numbers\nsum %d", len(numbers), sum)
			default:
				t.Fatalf("unknown step %q", op)
			}
		}
	})
	if begun != 1 {
		t.Errorf("%d scripts have begun, there is one", begun)
	}
}

func TestWhatComesOfStepsReplacesWhatWasExpected(t *testing.T) {
	const text = "# one\na 1  2\n  stale\n   stale too\n\nb\nc x"
	var steps []string
	var out Output
	got := play(text, &out, func(op, args string) {
		steps = append(steps, fmt.Sprintf("%s(%s)", op, args))
		if op != "b" {
			out.Say("done %s %%\nand more", op)
		}
	})
	const want = "# one\na 1  2\n  done a %\n  and more\n\nb\nc x\n  done c %\n  and more\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if want := []string{"a(1  2)", "b()", "c(x)"}; !slices.Equal(steps, want) {
		t.Errorf("the steps are %q, want %q", steps, want)
	}
	if again := play(got, &Output{}, func(string, string) {}); again != "# one\na 1  2\n\nb\nc x\n" {
		t.Errorf("what was said is taken for steps:\n%s", again)
	}
}

func TestStepsAreThoseOfAllScripts(t *testing.T) {
	var ops []string
	for op, args := range Steps(t) {
		ops = append(ops, op)
		if op == "show" {
			break
		}
		if strings.Contains(args, "thirty") != (len(ops) == 2) {
			t.Errorf("step %d has the arguments %q", len(ops), args)
		}
	}
	if want := []string{"add", "add", "add", "show"}; !slices.Equal(ops, want) {
		t.Errorf("the steps are %q, want %q", ops, want)
	}
}

// failing notes how a test failed.
type failing struct {
	testing.TB
	told string
}

func (f *failing) Helper() {}

func (f *failing) Errorf(format string, values ...any) { f.told = fmt.Sprintf(format, values...) }

func (f *failing) Fatalf(format string, values ...any) { f.told = fmt.Sprintf(format, values...) }

func TestAnArgumentThatIsNoNumberEndsTheTest(t *testing.T) {
	f := &failing{TB: t}
	Parse(f, "n=many").Num("n", 0)
	if f.told != `"many" is no number` {
		t.Errorf("told %q", f.told)
	}
	if a := Parse(f, "quickly b=c"); !a.Has("quickly") || a.Has("b") || a.Str("b", "") != "c" || a.Str("d", "e") != "e" || a.Opt("d") != nil || a.List("d") != nil {
		t.Errorf("read as %v %v", a.Words, a.Named)
	}
}

func TestAFileThatIsNotWhatTheTestMadeFailsItUntilItIsUpdated(t *testing.T) {
	f := &failing{TB: t}
	file := filepath.Join(t.TempDir(), "testdata", "golden")
	defer func(was bool) { *update = was }(*update)
	for _, made := range []string{"a\nb\n", "a\nc\n"} {
		if *update = false; made == "a\nc\n" {
			if Golden(f, file, made); !strings.Contains(f.told, "- b\n+ c\n") || !strings.Contains(f.told, file) {
				t.Errorf("told %s", f.told)
			}
		}
		*update = true
		Golden(t, file, made)
		*update = false
		Golden(t, file, made)
	}
}

func TestADifferenceIsShownWithWhatIsAboveIt(t *testing.T) {
	for _, tt := range []struct{ want, got, diff string }{
		{"a\nb\n", "a\nb\n", ""},
		{"a\nb\nc", "a\nX\nb\nc", "  a\n+ X\n"},
		{"1\n2\n3\n4\n5\n6\n7", "1\n2\n3\n4\n5\n7", "line 3:\n  3\n  4\n  5\n- 6\n"},
		{"1\n2\n3\n4\n5\n6\n7\n8", "x\n1\n2\n3\n4\n5\n6\n7\n9", "+ x\nline 5:\n  5\n  6\n  7\n- 8\n+ 9\n"},
		{"a", "", "- a\n+ \n"},
	} {
		if d := diff(tt.want, tt.got); d != tt.diff {
			t.Errorf("of %q and %q:\n%q\nwant\n%q", tt.want, tt.got, d, tt.diff)
		}
	}
}
