package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/naru-stream/naru/conformance/internal/crash/ledger"
	"github.com/naru-stream/naru/conformance/internal/crash/load"
)

// start is how long one start took, in milliseconds from the start of the process.
type start struct {
	ListeningMs float64 `json:"listening_ms"`
	MetadataMs  float64 `json:"metadata_ms"`
	FetchMs     float64 `json:"fetch_ms"` // every partition has served a fetch
	Partitions  int     `json:"partitions"`
}

// sized is a start with a given amount of data.
type sized struct {
	Durability string  `json:"durability"`
	GB         float64 `json:"gb"`
	After      string  `json:"after"`
	Start      start   `json:"start"`
	ResidentMB float64 `json:"resident_mb"`
}

// rested is the start with many idle partitions.
type rested struct {
	After      string  `json:"after"`
	Start      start   `json:"start"`
	ResidentMB float64 `json:"resident_mb"`
	OpenFiles  int     `json:"open_files"`
}

// harmed is what became of one injected damage below the durable point.
type harmed struct {
	Partition string `json:"partition"`
	Damage    string `json:"damage"`
	Reported  bool   `json:"reported"`
	Found     string `json:"found"`
}

type report struct {
	began   time.Time
	notes   load.Notes
	Target  string  `json:"target"`
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`

	Kills               int                `json:"kills"`
	Starts              []start            `json:"starts,omitempty"`
	CleanStart          start              `json:"clean_start"`
	CleanStopMs         float64            `json:"clean_stop_ms"`
	Acked               int64              `json:"acknowledged_records"`
	Read                int64              `json:"read_records"`
	ReadBytes           int64              `json:"read_bytes"`
	CommittedPartitions int                `json:"committed_partitions"`
	StateChecks         int64              `json:"state_checks"`
	TailChecks          int64              `json:"tail_checks"`
	TopicChanges        map[string]int     `json:"topic_changes,omitempty"`
	Torn                []string           `json:"torn,omitempty"`
	Notes               map[string]int     `json:"notes,omitempty"`
	Sizes               []sized            `json:"sizes,omitempty"`
	Idle                []rested           `json:"idle,omitempty"`
	Damage              []harmed           `json:"damage,omitempty"`
	Violations          []ledger.Violation `json:"violations"`
	ViolationCounts     map[string]int     `json:"violation_counts"`
}

func newReport(o options) *report {
	return &report{began: time.Now(), Target: o.target, Seed: o.seed, Violations: []ledger.Violation{}, ViolationCounts: map[string]int{}}
}

func (r *report) add(violations []ledger.Violation, counts map[string]int) {
	r.Violations = append(r.Violations, violations...)
	for rule, n := range counts {
		r.ViolationCounts[rule] += n
	}
}

// violate writes down a violation found outside the ledger.
func (r *report) violate(rule, where, format string, args ...any) {
	r.add([]ledger.Violation{{Rule: rule, Where: where, Evidence: fmt.Sprintf(format, args...)}}, map[string]int{rule: 1})
}

func (r *report) notesInto(notes map[string]int) { r.Notes = notes }

// write prints the summary.
func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, "# %s, seed %d, %.0f s\n", r.Target, r.Seed, r.Seconds)
	if len(r.Starts) > 0 {
		r.writeKills(w)
	}
	if len(r.Damage) > 0 {
		fmt.Fprintf(w, "\n| damage below the durable point | reported at start | what is found |\n|---|---|---|\n")
		for _, d := range r.Damage {
			fmt.Fprintf(w, "| %s: %s | %t | %s |\n", d.Partition, d.Damage, d.Reported, d.Found)
		}
	}
	if len(r.Sizes) > 0 {
		fmt.Fprintf(w, "\n| durability | GB | started after | listening ms | every partition served ms | resident MB |\n|---|---:|---|---:|---:|---:|\n")
		for _, s := range r.Sizes {
			fmt.Fprintf(w, "| %s | %.1f | %s | %.1f | %.1f | %.1f |\n", s.Durability, s.GB, s.After, s.Start.ListeningMs, s.Start.FetchMs, s.ResidentMB)
		}
	}
	if len(r.Idle) > 0 {
		fmt.Fprintf(w, "\n| idle partitions | started after | listening ms | metadata ms | every partition served ms | resident MB | open files |\n|---:|---|---:|---:|---:|---:|---:|\n")
		for _, s := range r.Idle {
			fmt.Fprintf(w, "| %d | %s | %.1f | %.1f | %.1f | %.1f | %d |\n", s.Start.Partitions, s.After, s.Start.ListeningMs, s.Start.MetadataMs, s.Start.FetchMs, s.ResidentMB, s.OpenFiles)
		}
	}
	fmt.Fprintln(w)
	if len(r.Violations) == 0 {
		fmt.Fprintln(w, "no violation")
		return
	}
	for _, rule := range slices.Sorted(maps.Keys(r.ViolationCounts)) {
		fmt.Fprintf(w, "VIOLATED %d times: %s\n", r.ViolationCounts[rule], rule)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "  after kill %d: %s: %s: %s\n", v.Kill, v.Rule, v.Where, v.Evidence)
	}
}

func (r *report) writeKills(w io.Writer) {
	var served []float64
	for _, s := range r.Starts {
		served = append(served, s.FetchMs)
	}
	slices.Sort(served)
	fmt.Fprintf(w, "\n| under load | |\n|---|---|\n")
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	row("kill -9", "%d", r.Kills)
	row("torn tails injected", "%d", len(r.Torn))
	row("acknowledged records", "%d", r.Acked)
	row("records read and compared", "%d (%.1f MB)", r.Read, float64(r.ReadBytes)/1e6)
	row("committed offsets (group, partition)", "%d", r.CommittedPartitions)
	row("checks of state / tails after a start", "%d / %d", r.StateChecks, r.TailChecks)
	row("topic changes", "%s", counts(r.TopicChanges))
	row("start after kill until every partition served, min / median / max", "%.1f / %.1f / %.1f ms (%d partitions)",
		served[0], served[len(served)/2], served[len(served)-1], r.Starts[len(r.Starts)-1].Partitions)
	row("stop in order / start after it", "%.1f / %.1f ms", r.CleanStopMs, r.CleanStart.FetchMs)
	row("met by clients and retried", "%s", counts(r.Notes))
}

func counts(m map[string]int) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s %d", name, m[name])
	}
	return text
}
