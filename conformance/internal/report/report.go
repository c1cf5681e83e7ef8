// Package report compares what the clients saw against Apache Kafka with what they saw against Naru, and
// writes the table. Every difference and every failure needs an explanation in the committed file
// explained.json; without one the run fails.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/naru-stream/naru/conformance/internal/scenario"
)

// Explanation says why one cell of the table is not "ok" on both brokers, or why a tool prints something
// else. It holds only while the cell is exactly as it says.
type Explanation struct {
	Client   string `json:"client"` // one client, or "*" for all
	Scenario string `json:"scenario"`
	// Kafka and Naru are the statuses explained ("ok", "FAIL", "n/a").
	Kafka scenario.Status `json:"kafka"`
	Naru  scenario.Status `json:"naru"`
	// Diff lists the differing lines of a tool's output, "-" as Kafka prints them and "+" as Naru does.
	Diff []string `json:"diff,omitempty"`
	Why  string   `json:"why"`
}

// Difference is one cell that is not ok on both brokers or whose output differs.
type Difference struct {
	Client, Scenario string
	Kafka, Naru      scenario.Result
	Diff             []string
	Why              string // empty when nobody has explained it
}

// LoadExplanations reads explained.json.
func LoadExplanations(path string) ([]Explanation, error) {
	var es []Explanation
	return es, load(path, &es)
}

// Load reads the results of an earlier run.
func Load(path string) (scenario.Target, error) {
	var t scenario.Target
	return t, load(path, &t)
}

func load(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// Save writes results so that Load finds them; times are left out so that the file changes only when
// an outcome does.
func Save(path string, t scenario.Target) error {
	t.Results = slices.Clone(t.Results)
	for i := range t.Results {
		t.Results[i].Millis = 0
		if t.Results[i].Status == scenario.OK {
			t.Results[i].Detail = ""
		}
	}
	content, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}

// Merge replaces in old the results of every client that new has.
func Merge(old, new scenario.Target) scenario.Target {
	ran := map[string]bool{}
	for _, r := range new.Results {
		ran[r.Client] = true
	}
	merged := scenario.Target{Broker: new.Broker}
	for _, r := range old.Results {
		if !ran[r.Client] {
			merged.Results = append(merged.Results, r)
		}
	}
	merged.Results = append(merged.Results, new.Results...)
	slices.SortStableFunc(merged.Results, func(a, b scenario.Result) int { return strings.Compare(a.Client, b.Client) })
	return merged
}

type cell struct{ client, scenario string }

func index(t scenario.Target) map[cell]scenario.Result {
	m := map[cell]scenario.Result{}
	for _, r := range t.Results {
		m[cell{r.Client, r.Scenario}] = r
	}
	return m
}

// Differences lists, for the clients in only (nil means all), the cells that are not ok on both brokers.
func Differences(kafka, naru scenario.Target, explained []Explanation, only []string) []Difference {
	k, n := index(kafka), index(naru)
	var ds []Difference
	for _, c := range cells(kafka, naru) {
		if only != nil && !slices.Contains(only, c.client) {
			continue
		}
		a, b := k[c], n[c]
		d := Difference{Client: c.client, Scenario: c.scenario, Kafka: a, Naru: b}
		if a.Status != "" && b.Status != "" {
			d.Diff = diffLines(a.Output, b.Output)
		}
		good := func(r scenario.Result) bool { return r.Status == scenario.OK || r.Status == "" }
		if good(a) && good(b) && len(d.Diff) == 0 {
			continue
		}
		if a.Status == scenario.NA && (b.Status == scenario.NA || b.Status == "") || b.Status == scenario.NA && a.Status == "" {
			continue // the client says why
		}
		for _, e := range explained {
			if e.matches(d) {
				d.Why = e.Why
				break
			}
		}
		ds = append(ds, d)
	}
	return ds
}

// Stale lists, for the clients in only, the explanations of differences that are gone.
func Stale(kafka, naru scenario.Target, explained []Explanation, only []string) []Explanation {
	ds := Differences(kafka, naru, nil, only)
	return slices.DeleteFunc(slices.Clone(explained), func(e Explanation) bool {
		return !slices.Contains(only, e.Client) || slices.ContainsFunc(ds, e.matches)
	})
}

// matches reports whether e explains d; a broker that was not run matches any status.
func (e Explanation) matches(d Difference) bool {
	same := func(want, got scenario.Status) bool { return got == "" || want == got }
	return (e.Client == d.Client || e.Client == "*") && e.Scenario == d.Scenario &&
		same(e.Kafka, d.Kafka.Status) && same(e.Naru, d.Naru.Status) && slices.Equal(e.Diff, d.Diff)
}

func cells(ts ...scenario.Target) []cell {
	var cs []cell
	have := map[cell]bool{}
	for _, t := range ts {
		for _, r := range t.Results {
			c := cell{r.Client, r.Scenario}
			if !have[c] {
				have[c] = true
				cs = append(cs, c)
			}
		}
	}
	return cs
}

// diffLines returns the lines that only one side has, by longest common subsequence.
func diffLines(a, b string) []string {
	x, y := strings.Split(strings.TrimRight(a, "\n"), "\n"), strings.Split(strings.TrimRight(b, "\n"), "\n")
	lcs := make([][]int, len(x)+1)
	for i := range lcs {
		lcs[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				lcs[i][j] = lcs[i+1][j+1] + 1
			} else {
				lcs[i][j] = max(lcs[i+1][j], lcs[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && lcs[i+1][j] >= lcs[i][j+1]:
			out = append(out, "-"+x[i])
			i++
		default:
			out = append(out, "+"+y[j])
			j++
		}
	}
	return out
}
