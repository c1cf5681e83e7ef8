package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// results is what a run found, as it is written. It says nothing of times, so that the file changes only
// when an outcome does.
type results struct {
	Kafka   string        `json:"kafka"`
	Suites  []suiteResult `json:"suites"`
	LeftOut []leftOut     `json:"left_out"`
}

type suiteResult struct {
	Name    string        `json:"name"`
	Classes []classResult `json:"classes"`
}

// classResult has the tests of a class by what became of them. A test that is run several times may be in
// several lists, with the number of times.
type classResult struct {
	Name    string         `json:"name"`
	Passed  map[string]int `json:"passed,omitempty"`
	Skipped []outcome      `json:"skipped,omitempty"`
	Known   []outcome      `json:"known,omitempty"`
	Failed  []outcome      `json:"failed,omitempty"`
}

type outcome struct {
	Test  string `json:"test"`
	Times int    `json:"times"`
	Why   string `json:"why"`
}

type leftOut struct {
	Class string `json:"class"`
	Why   string `json:"why"`
}

// count adds one to the outcome of a test for a reason. Outcomes are sorted: JUnit's order is not by name.
func count(outcomes []outcome, test, why string) []outcome {
	at, found := slices.BinarySearchFunc(outcomes, outcome{Test: test, Why: why}, func(a, b outcome) int {
		if byTest := strings.Compare(a.Test, b.Test); byTest != 0 {
			return byTest
		}
		return strings.Compare(a.Why, b.Why)
	})
	if !found {
		outcomes = slices.Insert(outcomes, at, outcome{Test: test, Why: why})
	}
	outcomes[at].Times++
	return outcomes
}

// tally counts tests, each as often as it was run.
type tally struct{ passed, skipped, known, failed int }

func (t tally) plus(o tally) tally {
	return tally{t.passed + o.passed, t.skipped + o.skipped, t.known + o.known, t.failed + o.failed}
}

// row is the tally as cells of a table.
func (t tally) row() string {
	return fmt.Sprintf("%d | %d | %d | %d", t.passed, t.skipped, t.known, t.failed)
}

func (c classResult) tally() tally {
	times := func(outcomes []outcome) (n int) {
		for _, o := range outcomes {
			n += o.Times
		}
		return n
	}
	t := tally{skipped: times(c.Skipped), known: times(c.Known), failed: times(c.Failed)}
	for _, n := range c.Passed {
		t.passed += n
	}
	return t
}

func (s suiteResult) tally() (t tally) {
	for _, c := range s.Classes {
		t = t.plus(c.tally())
	}
	return t
}

func (r *results) total() (t tally) {
	for _, s := range r.Suites {
		t = t.plus(s.tally())
	}
	return t
}

// progress is the line printed when a class is done.
func (c classResult) progress(took time.Duration) string {
	t := c.tally()
	return fmt.Sprintf("%-80s %4d passed %4d skipped %4d known %4d failed %4.0fs", c.Name, t.passed, t.skipped, t.known, t.failed, took.Seconds())
}

// print prints why tests were skipped, what nobody explained, and the sums.
func (r *results) print(to io.Writer, logs string, stale []string) {
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, logs); err == nil {
			logs = relative
		}
	}
	fmt.Fprint(to, r.section("Skipped", func(c classResult) []outcome { return c.Skipped }))
	for _, s := range r.Suites {
		for _, c := range s.Classes {
			if len(c.Failed) == 0 {
				continue
			}
			fmt.Fprintf(to, "\n%s: what it and Naru printed is in %s\n", c.Name, filepath.Join(logs, c.Name))
			for _, o := range c.Failed {
				fmt.Fprintf(to, "  %s (%d): %s\n", o.Test, o.Times, clip(o.Why, 500))
			}
		}
	}
	fmt.Fprintln(to)
	for _, pattern := range stale {
		fmt.Fprintf(to, "explains nothing any more: %s\n", pattern)
	}
	t := r.total()
	fmt.Fprintf(to, "%d passed, %d skipped, %d known, %d failed, %d classes left out\n", t.passed, t.skipped, t.known, t.failed, len(r.LeftOut))
}

// keep puts the result of a class, and what r has left out, into the written results: those of other classes
// stay as they are.
func (r *results) keep(root, suite string, c classResult, rules *rules) error {
	all := &results{Kafka: r.Kafka}
	content, err := os.ReadFile(filepath.Join(root, "results", "kafkatests.json"))
	if err == nil {
		err = json.Unmarshal(content, all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the results so far (remove the file to begin anew): %w", err)
	}
	if all.Kafka != r.Kafka {
		all = &results{Kafka: r.Kafka}
	}
	for _, name := range suiteNames {
		if !slices.ContainsFunc(all.Suites, func(s suiteResult) bool { return s.Name == name }) {
			all.Suites = append(all.Suites, suiteResult{Name: name})
		}
	}
	for i := range all.Suites {
		s := &all.Suites[i]
		s.Classes = slices.DeleteFunc(s.Classes, func(was classResult) bool {
			return was.Name == c.Name || slices.ContainsFunc(r.LeftOut, func(l leftOut) bool { return l.Class == was.Name })
		})
		for j := range s.Classes {
			rules.reconsider(&s.Classes[j])
		}
		if s.Name == suite {
			s.Classes = append(s.Classes, c)
		}
		slices.SortFunc(s.Classes, func(a, b classResult) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, l := range r.LeftOut {
		all.LeftOut = slices.DeleteFunc(all.LeftOut, func(was leftOut) bool { return was.Class == l.Class })
		all.LeftOut = append(all.LeftOut, l)
	}
	slices.SortFunc(all.LeftOut, func(a, b leftOut) int { return strings.Compare(a.Class, b.Class) })
	return all.save(root)
}

// save writes the results into the conformance module at root.
func (r *results) save(root string) error {
	var content bytes.Buffer
	to := json.NewEncoder(&content)
	to.SetEscapeHTML(false) // "expected: <1>" stays readable
	to.SetIndent("", " ")
	if err := to.Encode(r); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "results", "kafkatests.json"), content.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "kafkatests", "RESULTS.md"), []byte(r.markdown()), 0o644)
}

func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Apache Kafka's own integration tests against Naru\n\n")
	fmt.Fprintf(&b, "Written by `go run ./kafkatests`, with the tests of Kafka %s. A test that is run with several parameters counts as often. What the columns mean is in [README.md](README.md); every test is in [../results/kafkatests.json](../results/kafkatests.json).\n\n", r.Kafka)
	fmt.Fprintf(&b, "| suite | classes | passed | skipped | known | failed |\n|---|--:|--:|--:|--:|--:|\n")
	classes := 0
	for _, s := range r.Suites {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", s.Name, len(s.Classes), s.tally().row())
		classes += len(s.Classes)
	}
	fmt.Fprintf(&b, "| all | %d | %s |\n", classes, r.total().row())
	for _, s := range r.Suites {
		fmt.Fprintf(&b, "\n## %s\n\n| class | passed | skipped | known | failed |\n|---|--:|--:|--:|--:|\n", s.Name)
		for _, c := range s.Classes {
			fmt.Fprintf(&b, "| %s | %s |\n", short(c.Name), c.tally().row())
		}
	}
	b.WriteString(r.section("Failed", func(c classResult) []outcome { return c.Failed }))
	b.WriteString(r.section("Known failures", func(c classResult) []outcome { return c.Known }))
	b.WriteString(r.section("Skipped", func(c classResult) []outcome { return c.Skipped }))
	left := reasons{}
	for _, l := range r.LeftOut {
		left.add(l.Why, short(l.Class), 1)
	}
	b.WriteString(left.section("Classes left out"))
	return b.String()
}

// section lists the reasons of one kind of outcome.
func (r *results) section(title string, of func(classResult) []outcome) string {
	found := reasons{}
	for _, s := range r.Suites {
		for _, c := range s.Classes {
			for _, o := range of(c) {
				found.add(o.Why, short(c.Name), o.Times)
			}
		}
	}
	return found.section(title)
}

// reasons has, for each reason, the classes to which it applies and how often.
type reasons map[string]map[string]int

func (rs reasons) add(why, class string, times int) {
	why = clip(why, 200)
	if rs[why] == nil {
		rs[why] = map[string]int{}
	}
	rs[why][class] += times
}

// section lists the most frequent reason first.
func (rs reasons) section(title string) string {
	if len(rs) == 0 {
		return ""
	}
	type line struct {
		why     string
		times   int
		classes []string
	}
	var lines []line
	for why, classes := range rs {
		l := line{why: why}
		for class, times := range classes {
			l.times += times
			l.classes = append(l.classes, class)
		}
		slices.Sort(l.classes)
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b line) int {
		if a.times != b.times {
			return b.times - a.times
		}
		return strings.Compare(a.why, b.why)
	})
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", title)
	for _, l := range lines {
		why := strings.ReplaceAll(l.why, "<", "&lt;")
		fmt.Fprintf(&b, "- %d: %s (%s)\n", l.times, why, strings.Join(l.classes, ", "))
	}
	return b.String()
}

// short is a class's name without its package.
func short(class string) string { return class[strings.LastIndex(class, ".")+1:] }

// clip shortens text to n letters.
func clip(text string, n int) string {
	if letters := []rune(text); len(letters) > n {
		return string(letters[:n]) + "…"
	}
	return text
}
