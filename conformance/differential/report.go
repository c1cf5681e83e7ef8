package differential

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Load reads observations that Save wrote.
func Load(file string) ([]Observation, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var recorded struct {
		Answers []map[string]string
		Seen    []struct {
			Case, Outcome string
			Answer        int
		}
	}
	if err := json.NewDecoder(text).Decode(&recorded); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var out []Observation
	for _, o := range recorded.Seen {
		seen := Observation{Case: o.Case, Outcome: o.Outcome}
		if o.Answer > 0 && o.Answer <= len(recorded.Answers) {
			seen.Fields = recorded.Answers[o.Answer-1]
		}
		out = append(out, seen)
	}
	return out, nil
}

// Save writes observations as compressed JSON, every distinct answer once and one on each line.
func Save(file string, observations []Observation) error {
	var answers, seen strings.Builder
	known := map[string]int{}
	for i, o := range observations {
		number := 0
		if len(o.Fields) > 0 {
			text, err := json.Marshal(o.Fields)
			if err != nil {
				return err
			}
			if known[string(text)] == 0 {
				known[string(text)] = len(known) + 1
				if len(known) > 1 {
					answers.WriteString(",\n")
				}
				answers.Write(text)
			}
			number = known[string(text)]
		}
		line, err := json.Marshal(map[string]any{"case": o.Case, "outcome": o.Outcome, "answer": number})
		if err != nil {
			return err
		}
		if i > 0 {
			seen.WriteString(",\n")
		}
		seen.Write(line)
	}
	text := "{\"answers\": [\n" + answers.String() + "\n], \"seen\": [\n" + seen.String() + "\n]}\n"
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, packed.Bytes(), 0o644)
}

// Markdown is the committed summary.
func Markdown(kafka, naru []Observation, differences []Difference, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The same requests, asked of Apache Kafka %s and of Naru\n\n", version)
	b.WriteString("Written by `go run ./cmd/differential`; README.md tells how. A difference is a field of an answer, or whether there is one, that differs in one or several versions of a case.\n\n")
	b.WriteString("| scenario | requests | answered fields | differences without explanation | kept | other words in messages |\n|---|--:|--:|--:|--:|--:|\n")
	var total row
	for _, r := range rows(kafka, naru, differences) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", r.name, r.requests, r.fields, r.open, r.kept, r.soft)
		total.requests, total.fields, total.open = total.requests+r.requests, total.fields+r.fields, total.open+r.open
		total.kept, total.soft = total.kept+r.kept, total.soft+r.soft
	}
	fmt.Fprintf(&b, "| **all** | **%d** | **%d** | **%d** | **%d** | **%d** |\n", total.requests, total.fields, total.open, total.kept, total.soft)
	section(&b, "Not explained", differences, func(d Difference) bool { return d.Why == "" && !d.Soft() })
	kept(&b, differences)
	words(&b, differences)
	return b.String()
}

// row counts one scenario.
type row struct {
	name                               string
	requests, fields, open, kept, soft int
}

func rows(kafka, naru []Observation, differences []Difference) []row {
	var out []row
	find := func(name string) *row {
		name, _, _ = strings.Cut(name, "/")
		for i := range out {
			if out[i].name == name {
				return &out[i]
			}
		}
		out = append(out, row{name: name})
		return &out[len(out)-1]
	}
	for _, o := range kafka {
		r := find(o.Case)
		r.requests++
		r.fields += len(o.Fields)
	}
	for _, d := range differences {
		r := find(d.Case)
		switch {
		case d.Why != "":
			r.kept++
		case d.Soft():
			r.soft++
		default:
			r.open++
		}
	}
	return out
}

func section(b *strings.Builder, title string, differences []Difference, in func(Difference) bool) {
	fmt.Fprintf(b, "\n## %s\n\n", title)
	n := 0
	for _, d := range differences {
		if !in(d) {
			continue
		}
		if n++; n == 1 {
			b.WriteString("| case | versions | field | Kafka | Naru |\n|---|---|---|---|---|\n")
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", cell(d.Case), strings.Join(d.Versions, " "), cell(d.Path), cell(d.Kafka), cell(d.Naru))
	}
	if n == 0 {
		b.WriteString("None.\n")
	}
}

// kept lists each explanation with the number of differences it explains and an example.
func kept(b *strings.Builder, differences []Difference) {
	b.WriteString("\n## Kept on purpose\n\n")
	type group struct {
		n     int
		first Difference
	}
	groups := map[string]*group{}
	for _, d := range differences {
		if d.Why == "" {
			continue
		}
		if groups[d.Why] == nil {
			groups[d.Why] = &group{first: d}
		}
		groups[d.Why].n++
	}
	if len(groups) == 0 {
		b.WriteString("None.\n")
		return
	}
	b.WriteString("| why | differences | for example | Kafka | Naru |\n|---|--:|---|---|---|\n")
	whys := sortedKeys(groups)
	slices.SortStableFunc(whys, func(x, y string) int { return cmp.Compare(groups[y].n, groups[x].n) })
	for _, why := range whys {
		g := groups[why]
		fmt.Fprintf(b, "| %s | %d | %s %s | %s | %s |\n", cell(why), g.n, cell(g.first.Case), cell(g.first.Path), cell(g.first.Kafka), cell(g.first.Naru))
	}
}

// words lists the messages for people that differ, each pair once.
func words(b *strings.Builder, differences []Difference) {
	b.WriteString("\n## Other words in messages\n\n| first case | Kafka | Naru |\n|---|---|---|\n")
	seen := map[[2]string]bool{}
	for _, d := range differences {
		pair := [2]string{d.Kafka, d.Naru}
		if d.Soft() && d.Why == "" && !seen[pair] {
			seen[pair] = true
			fmt.Fprintf(b, "| %s | %s | %s |\n", cell(d.Case), cell(d.Kafka), cell(d.Naru))
		}
	}
}

// cell fits a text into a table.
func cell(s string) string {
	if len(s) > 160 {
		s = strings.ToValidUTF8(s[:160], "") + "…"
	}
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(s)
}
