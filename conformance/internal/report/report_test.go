package report

import (
	"slices"
	"testing"

	"github.com/naru-stream/naru/conformance/internal/scenario"
)

func target(status scenario.Status, output string) scenario.Target {
	return scenario.Target{Results: []scenario.Result{{Client: "c", Scenario: "s", Status: status, Output: output}}}
}

func TestFailureNeedsAnExplanationThatFitsIt(t *testing.T) {
	why := Explanation{Client: "c", Scenario: "s", Kafka: scenario.OK, Naru: scenario.Fail, Why: "known"}
	for _, c := range []struct {
		name        string
		kafka, naru scenario.Target
		explained   []Explanation
		want        int // differences
		open        int // of them unexplained
	}{
		{"both ok", target(scenario.OK, ""), target(scenario.OK, ""), nil, 0, 0},
		{"both lack the feature", target(scenario.NA, ""), target(scenario.NA, ""), nil, 0, 0},
		{"naru fails", target(scenario.OK, ""), target(scenario.Fail, ""), nil, 1, 1},
		{"naru fails, explained", target(scenario.OK, ""), target(scenario.Fail, ""), []Explanation{why}, 1, 0},
		{"kafka fails too, explained otherwise", target(scenario.Fail, ""), target(scenario.Fail, ""), []Explanation{why}, 1, 1},
		{"only naru lacks the feature", target(scenario.OK, ""), target(scenario.NA, ""), nil, 1, 1},
		{"output differs", target(scenario.OK, "a\nb"), target(scenario.OK, "a\nc"), nil, 1, 1},
		{"output differs otherwise than explained", target(scenario.OK, "a\nb"), target(scenario.OK, "a\nc"),
			[]Explanation{{Client: "*", Scenario: "s", Kafka: scenario.OK, Naru: scenario.OK, Diff: []string{"-b", "+d"}, Why: "known"}}, 1, 1},
		{"output differs as explained", target(scenario.OK, "a\nb"), target(scenario.OK, "a\nc"),
			[]Explanation{{Client: "*", Scenario: "s", Kafka: scenario.OK, Naru: scenario.OK, Diff: []string{"-b", "+c"}, Why: "known"}}, 1, 0},
		{"naru not run", target(scenario.OK, "a"), scenario.Target{}, nil, 0, 0},
	} {
		ds := Differences(c.kafka, c.naru, c.explained, nil)
		open := 0
		for _, d := range ds {
			if d.Why == "" {
				open++
			}
		}
		if len(ds) != c.want || open != c.open {
			t.Errorf("%s: %d differences, %d open; want %d and %d", c.name, len(ds), open, c.want, c.open)
		}
	}
}

func TestDiffHasOnlyTheLinesOfOneSide(t *testing.T) {
	got := diffLines("a\nb\nc\n", "a\nx\nc\nd")
	if want := []string{"-b", "+x", "+d"}; !slices.Equal(got, want) {
		t.Errorf("diff %q, want %q", got, want)
	}
}

func TestExplanationOfADifferenceThatIsGoneIsStale(t *testing.T) {
	explained := []Explanation{{Client: "c", Scenario: "s", Kafka: scenario.OK, Naru: scenario.Fail, Why: "known"}}
	if got := Stale(target(scenario.OK, ""), target(scenario.Fail, ""), explained, []string{"c"}); len(got) != 0 {
		t.Errorf("the difference is there: %v", got)
	}
	if got := Stale(target(scenario.OK, ""), target(scenario.OK, ""), explained, []string{"c"}); len(got) != 1 {
		t.Errorf("the difference is gone: %v", got)
	}
	if got := Stale(target(scenario.OK, ""), target(scenario.OK, ""), explained, []string{"other"}); len(got) != 0 {
		t.Errorf("the client was not run: %v", got)
	}
}
