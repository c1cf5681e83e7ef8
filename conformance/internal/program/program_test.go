package program

import (
	"testing"
	"time"

	"github.com/naru-stream/naru/conformance/internal/scenario"
)

// run runs a shell script as a client program; its scenarios follow the address and the client's name.
func run(t *testing.T, script string, limit time.Duration) map[string]scenario.Result {
	p := Program{Client: "c", Argv: []string{"sh", "-c", script, "sh"}, Dir: t.TempDir(), Shares: true}
	results := map[string]scenario.Result{}
	for _, r := range p.Run(t.Context(), "addr", limit) {
		results[r.Scenario] = r
	}
	if len(results) != len(scenario.Names) {
		t.Fatalf("%d results, want one for each of %d scenarios", len(results), len(scenario.Names))
	}
	return results
}

func TestHangingScenarioCostsOneCell(t *testing.T) {
	results := run(t, `shift 2; for s; do case $s in acks-1) sleep 60;; *) echo "{\"scenario\":\"$s\",\"ok\":true}";; esac; done`, 500*time.Millisecond)
	for name, r := range results {
		if want := map[bool]scenario.Status{true: scenario.Fail, false: scenario.OK}[name == "acks-1"]; r.Status != want {
			t.Errorf("%s: %s (%s), want %s", name, r.Status, r.Detail, want)
		}
	}
}

func TestProgramThatEndsEarlyFailsTheScenarioItWasIn(t *testing.T) {
	results := run(t, `shift 2; for s; do case $s in acks-1) echo broken >&2; exit 3;; *) echo "{\"scenario\":\"$s\",\"ok\":true}";; esac; done`, 5*time.Second)
	if r := results["acks-1"]; r.Status != scenario.Fail || r.Detail != "the program ended: broken" {
		t.Errorf("acks-1: %+v", r)
	}
	if r := results["acks-all"]; r.Status != scenario.OK {
		t.Errorf("acks-all: %+v", r)
	}
}

func TestFailureAndMissingFeatureAreTold(t *testing.T) {
	results := run(t, `shift 2; for s; do case $s in
acks-1) echo "{\"scenario\":\"$s\",\"ok\":false,\"detail\":\"why\"}";;
zstd) echo "{\"scenario\":\"$s\",\"ok\":false,\"na\":true,\"detail\":\"none\"}";;
lz4) echo "{\"scenario\":\"other\",\"ok\":true}";;
*) echo "{\"scenario\":\"$s\",\"ok\":true}";; esac; done`, 5*time.Second)
	for name, want := range map[string]scenario.Status{"acks-1": scenario.Fail, "zstd": scenario.NA, "lz4": scenario.Fail, "gzip": scenario.OK} {
		if results[name].Status != want {
			t.Errorf("%s: %+v, want %s", name, results[name], want)
		}
	}
}
