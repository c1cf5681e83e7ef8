package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/conformance/internal/scenario"
	"github.com/naru-stream/naru/conformance/internal/tools"
)

var marks = map[scenario.Status]string{scenario.OK: "✓", scenario.Fail: "✗", scenario.NA: "–", "": "·"}

// Markdown prints the tables and the list of differences.
func Markdown(kafka, naru scenario.Target, explained []Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Real clients against Apache Kafka and Naru\n\n")
	fmt.Fprintf(&b, "Written by `go run ./cmd/conformance -target both`. Each cell is Kafka %s, then Naru: ", strings.TrimPrefix(kafka.Broker, "Apache Kafka "))
	fmt.Fprintf(&b, "✓ as specified, ✗ not, – the client has no such feature, · not run. What a scenario does is in README.md.\n\n")
	k, n := index(kafka), index(naru)
	all := cells(kafka, naru)
	var clients []string
	for _, c := range all {
		if c.client != tools.Client && !slices.Contains(clients, c.client) {
			clients = append(clients, c.client)
		}
	}
	slices.Sort(clients)
	fmt.Fprintf(&b, "| scenario | %s |\n|---|%s\n", strings.Join(clients, " | "), strings.Repeat(":-:|", len(clients)))
	names := slices.Clone(scenario.Names)
	for _, c := range all { // scenarios that only one client has
		if c.client != tools.Client && !slices.Contains(names, c.scenario) {
			names = append(names, c.scenario)
		}
	}
	for _, name := range names {
		fmt.Fprintf(&b, "| %s |", name)
		for _, client := range clients {
			c := cell{client, name}
			fmt.Fprintf(&b, " %s %s |", marks[k[c].Status], marks[n[c].Status])
		}
		b.WriteString("\n")
	}
	toolTable(&b, all, k, n)
	notAvailable(&b, all, k, n)
	differences(&b, Differences(kafka, naru, explained, nil))
	return b.String()
}

func toolTable(b *strings.Builder, all []cell, k, n map[cell]scenario.Result) {
	fmt.Fprintf(b, "\n## Console tools\n\nStandard output compared line by line after ids, ports and times are replaced.\n\n| step | Kafka | Naru | output |\n|---|:-:|:-:|---|\n")
	for _, c := range all {
		if c.client != tools.Client {
			continue
		}
		same := "·"
		if k[c].Status != "" && n[c].Status != "" {
			same = "same"
			if d := diffLines(k[c].Output, n[c].Output); len(d) > 0 {
				same = fmt.Sprintf("%d lines differ", len(d))
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", c.scenario, marks[k[c].Status], marks[n[c].Status], same)
	}
}

func notAvailable(b *strings.Builder, all []cell, k, n map[cell]scenario.Result) {
	fmt.Fprintf(b, "\n## Features a client does not have\n\n")
	for _, c := range all {
		r := k[c]
		if r.Status == "" {
			r = n[c]
		}
		if r.Status == scenario.NA {
			fmt.Fprintf(b, "- %s, %s: %s\n", c.client, c.scenario, r.Detail)
		}
	}
}

func differences(b *strings.Builder, ds []Difference) {
	fmt.Fprintf(b, "\n## Differences and failures\n\n")
	if len(ds) == 0 {
		b.WriteString("None.\n")
	}
	for _, d := range ds {
		why := d.Why
		if why == "" {
			why = "**not explained**"
		}
		fmt.Fprintf(b, "- **%s, %s** (Kafka %s, Naru %s): %s\n", d.Client, d.Scenario, marks[d.Kafka.Status], marks[d.Naru.Status], why)
		for _, side := range []struct {
			name string
			r    scenario.Result
		}{{"Kafka", d.Kafka}, {"Naru", d.Naru}} {
			if side.r.Status == scenario.Fail {
				fmt.Fprintf(b, "  - %s: `%s`\n", side.name, oneLine(side.r.Detail))
			}
		}
		if len(d.Diff) > 0 {
			fmt.Fprintf(b, "\n  ```diff\n  %s\n  ```\n", strings.Join(d.Diff, "\n  "))
		}
	}
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, "`", "'")), " ")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}
