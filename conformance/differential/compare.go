package differential

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Difference is one field, or one outcome, that differs, with all versions in which it does.
type Difference struct {
	Case  string // scenario/case, without the version
	Path  string // of the field; "outcome" for the outcome
	Kafka string
	Naru  string
	// Versions are those of the API in which it differs.
	Versions []string
	// Why explains a difference that is kept; empty means that nobody has.
	Why string
}

// Soft reports whether only the words for people differ.
func (d Difference) Soft() bool { return strings.HasSuffix(d.Path, "ErrorMessage") }

// missing stands for a field that an answer does not have.
const missing = "(missing)"

// Compare returns what differs between the observations of two servers, grouped over versions, in the
// order of the cases.
func Compare(kafka, naru []Observation) []Difference {
	theirs := map[string]Observation{}
	for _, o := range naru {
		theirs[o.Case] = o
	}
	groups := map[string]*Difference{}
	var order []string
	add := func(name, path, k, n string) {
		if k == n {
			return
		}
		base, version := split(name)
		key := strings.Join([]string{base, path, k, n}, "\x00")
		if groups[key] == nil {
			groups[key] = &Difference{Case: base, Path: path, Kafka: k, Naru: n}
			order = append(order, key)
		}
		groups[key].Versions = append(groups[key].Versions, version)
	}
	known := map[string]bool{}
	for _, k := range kafka {
		known[k.Case] = true
		n, ok := theirs[k.Case]
		if !ok {
			add(k.Case, "outcome", k.Outcome, missing)
			continue
		}
		compareOne(k, n, add)
	}
	for _, n := range naru {
		if !known[n.Case] {
			add(n.Case, "outcome", missing, n.Outcome)
		}
	}
	out := make([]Difference, 0, len(order))
	for _, key := range order {
		out = append(out, *groups[key])
	}
	return out
}

func compareOne(k, n Observation, add func(name, path, k, n string)) {
	if k.Outcome != n.Outcome {
		add(k.Case, "outcome", outcome(k), outcome(n))
		return
	}
	paths := map[string]bool{}
	for path := range k.Fields {
		paths[path] = true
	}
	for path := range n.Fields {
		paths[path] = true
	}
	sorted := make([]string, 0, len(paths))
	for path := range paths {
		sorted = append(sorted, path)
	}
	sort.Strings(sorted)
	element := "" // that only one of them has
	for _, path := range sorted {
		if element != "" && strings.HasPrefix(path, element) {
			continue
		}
		if strings.HasSuffix(path, "]") && value(k.Fields, path) != value(n.Fields, path) {
			element = path
		}
		if none(k.Fields[path]) != none(n.Fields[path]) {
			element = path + "[" // what an array that the other lacks holds says no more
		}
		add(k.Case, path, value(k.Fields, path), value(n.Fields, path))
	}
}

// none tells whether a field is an array without elements.
func none(v string) bool { return v == "null" || v == "0 elements" }

// outcome adds the error codes to an answer that the other server did not give.
func outcome(o Observation) string {
	var codes []string
	for path, v := range o.Fields {
		if strings.HasSuffix(path, "ErrorCode") && !slices.Contains(codes, v) {
			codes = append(codes, v)
		}
	}
	sort.Strings(codes)
	return strings.TrimSpace(o.Outcome + " " + strings.Join(codes, " "))
}

func value(fields map[string]string, path string) string {
	if v, ok := fields[path]; ok {
		return v
	}
	return missing
}

// split takes the version off a case's name.
func split(name string) (base, version string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 || strings.Trim(name[i+1:], "0123456789") != "" {
		return name, ""
	}
	return name[:i], name[i+1:]
}

// Explanation tells why differences are kept. In all fields but Why, * stands for any text and an empty
// field for anything.
type Explanation struct {
	Case  string `json:"case"`
	Path  string `json:"path,omitempty"`
	Kafka string `json:"kafka,omitempty"`
	Naru  string `json:"naru,omitempty"`
	Why   string `json:"why"`
	// Sometimes marks what depends on timing and need not be seen in every run.
	Sometimes bool `json:"sometimes,omitempty"`

	used bool
}

// LoadExplanations reads the committed list.
func LoadExplanations(file string) ([]Explanation, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []Explanation
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	for _, e := range out {
		if e.Case == "" || e.Why == "" {
			return nil, fmt.Errorf("reading %s: an explanation needs a case and a why: %+v", file, e)
		}
	}
	return out, nil
}

// Explain fills in Why and returns the explanations that explain nothing any more.
func Explain(differences []Difference, explanations []Explanation) (stale []Explanation) {
	for i := range differences {
		d := &differences[i]
		for j := range explanations {
			e := &explanations[j]
			if match(e.Case, d.Case) && match(e.Path, d.Path) && match(e.Kafka, d.Kafka) && match(e.Naru, d.Naru) {
				d.Why, e.used = e.Why, true
				break
			}
		}
	}
	for _, e := range explanations {
		if !e.used && !e.Sometimes {
			stale = append(stale, e)
		}
	}
	return stale
}

func match(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `(?s:.*)`)
	return regexp.MustCompile("^" + quoted + "$").MatchString(text)
}
