package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

type status string

const (
	passed  status = "passed"
	skipped status = "skipped"
	failed  status = "failed"
)

// invocation is what became of one run of a test method; a method with parameters is run several times.
type invocation struct {
	method string // with the nested class before it, if it is in one
	status status
	why    string // it was skipped or failed, in one line
}

// report is a file that JUnit's console launcher writes.
type report struct {
	Cases []struct {
		Name      string  `xml:"name,attr"`
		ClassName string  `xml:"classname,attr"`
		Skipped   *string `xml:"skipped"`
		Failure   *string `xml:"failure"`
		Error     *string `xml:"error"`
	} `xml:"testcase"`
}

// readReports reads what JUnit left in dir about a class. There are no files if the JVM did not get to its end.
func readReports(dir, class string) (invocations []invocation, files int, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "TEST-*.xml"))
	if err != nil {
		return nil, 0, err
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, 0, err
		}
		found, err := parseReport(content, class)
		if err != nil {
			return nil, 0, fmt.Errorf("reading %s: %w", path, err)
		}
		invocations = append(invocations, found...)
	}
	return invocations, len(paths), nil
}

// parseReport lists the tests of a class in one report.
func parseReport(content []byte, class string) ([]invocation, error) {
	var r report
	if err := xml.Unmarshal(content, &r); err != nil {
		return nil, err
	}
	var invocations []invocation
	for _, c := range r.Cases {
		i := invocation{method: methodOf(c.Name, c.ClassName, class), status: passed}
		switch {
		case c.Skipped != nil:
			i.status, i.why = skipped, abortReason(*c.Skipped)
			if i.why == "" {
				i.why = firstLine(*c.Skipped)
			}
		case c.Failure != nil:
			i.status, i.why = judgeFailure(*c.Failure)
		case c.Error != nil:
			i.status, i.why = judgeFailure(*c.Error)
		}
		invocations = append(invocations, i)
	}
	return invocations, nil
}

// methodOf returns the method's name without parameters and the number of the invocation.
func methodOf(name, className, class string) string {
	method, _, _ := strings.Cut(name, "(")
	if nested, ok := strings.CutPrefix(className, class+"$"); ok {
		return nested + "." + method
	}
	return method
}

// judgeFailure tells whether a test failed, or was aborted where it did not expect that.
func judgeFailure(text string) (status, string) {
	if why := abortReason(text); why != "" {
		return skipped, why
	}
	why := firstLine(text)
	for line := range strings.Lines(text) {
		if cause, ok := strings.CutPrefix(line, "Caused by: "); ok && !strings.Contains(why, strings.TrimSpace(cause)) {
			first, _, _ := strings.Cut(why, " ← ")
			why = first + " ← " + strings.TrimSpace(cause) // the last is the root
		}
	}
	return failed, why
}

var aborted = regexp.MustCompile(`TestAbortedException(?:: (.*))?`)

// abortReason returns why a test was aborted, or nothing. What was suppressed is indented: an abort while
// cleaning up does not excuse the failure before it.
func abortReason(text string) string {
	for line := range strings.Lines(text) {
		if m := aborted.FindStringSubmatch(strings.TrimSpace(line)); m != nil && !strings.HasPrefix(line, "\t") {
			if m[1] == "" {
				return "aborted without a reason"
			}
			return m[1]
		}
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}
