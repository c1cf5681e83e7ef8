package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// rules are the committed files that say what need not pass and why.
type rules struct {
	known   []*rule // known.json: of tests, as Class.method
	skipped []*rule // skipped.json: of classes
}

// rule is one entry of these files. Its pattern must match the whole name.
type rule struct {
	Test  string `json:"test,omitempty"`
	Class string `json:"class,omitempty"`
	Why   string `json:"why"`

	pattern *regexp.Regexp
	used    bool // it explained a failure, or left a class out
	passed  bool // a test that it matches passed
}

func loadRules(dir string) (*rules, error) {
	known, err := loadFile(filepath.Join(dir, "known.json"))
	if err != nil {
		return nil, err
	}
	skipped, err := loadFile(filepath.Join(dir, "skipped.json"))
	return &rules{known: known, skipped: skipped}, err
}

func loadFile(path string) ([]*rule, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rs []*rule
	if err := json.Unmarshal(content, &rs); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	for _, r := range rs {
		if r.Test+r.Class == "" || r.Why == "" {
			return nil, fmt.Errorf("%s: every entry needs a pattern and a why: %+v", path, *r)
		}
		if r.pattern, err = regexp.Compile("^(?:" + r.Test + r.Class + ")$"); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return rs, nil
}

// leavesOut returns why a class is not run, or nothing.
func (rs *rules) leavesOut(class string) string { return why(rs.skipped, class) }

// explain returns why a test is known to fail, or nothing.
func (rs *rules) explain(test string) string { return why(rs.known, test) }

// why returns what the first rule that matches says, and notes that it is used.
func why(rules []*rule, name string) string {
	for _, r := range rules {
		if r.pattern.MatchString(name) {
			r.used = true
			return r.Why
		}
	}
	return ""
}

// judge puts what became of a class's tests into its result.
func (rs *rules) judge(class string, invocations []invocation) classResult {
	c := classResult{Name: class, Passed: map[string]int{}}
	for _, i := range invocations {
		name := class + "." + i.method
		switch i.status {
		case passed:
			c.Passed[i.method]++
			for _, r := range rs.known {
				r.passed = r.passed || r.pattern.MatchString(name)
			}
		case skipped:
			c.Skipped = count(c.Skipped, i.method, i.why)
		case failed:
			if why := rs.explain(name); why != "" {
				c.Known = count(c.Known, i.method, why)
			} else {
				c.Failed = count(c.Failed, i.method, i.why)
			}
		}
	}
	return c
}

// reconsider moves the failures of an earlier run that are explained by now to the known ones. It does not make
// an entry one that is used.
func (rs *rules) reconsider(c *classResult) {
	c.Failed = slices.DeleteFunc(c.Failed, func(o outcome) bool {
		at := slices.IndexFunc(rs.known, func(r *rule) bool { return r.pattern.MatchString(c.Name + "." + o.Test) })
		if at < 0 {
			return false
		}
		for range o.Times {
			c.Known = count(c.Known, o.Test, rs.known[at].Why)
		}
		return true
	})
}

// stale lists the entries that explain nothing any more: all that they match passed, or, after a full run,
// they match nothing that failed or is left out.
func (rs *rules) stale(full bool) []string {
	var patterns []string
	for _, r := range rs.known {
		if !r.used && (r.passed || full) {
			patterns = append(patterns, "known.json: "+r.Test)
		}
	}
	for _, r := range rs.skipped {
		if !r.used && full {
			patterns = append(patterns, "skipped.json: "+r.Class)
		}
	}
	return patterns
}
