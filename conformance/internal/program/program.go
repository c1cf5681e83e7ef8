// Package program runs the client programs of folder clients. A program takes the broker's address, a
// prefix for its topics and groups, and the scenarios to run in order; it prints one JSON line for each.
// A scenario that prints nothing in time is recorded as failed, the program is killed, and a new process
// goes on with the scenarios after it, so that one hang costs one cell.
package program

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/scenario"
)

// Program is one client and how to start its scenarios.
type Program struct {
	Client string
	Argv   []string // the scenarios' arguments are appended
	Dir    string
	Env    []string
	// Shares tells that the client knows share groups.
	Shares bool
}

// line is what a program prints for a scenario.
type line struct {
	Scenario string `json:"scenario"`
	OK       bool   `json:"ok"`
	NA       bool   `json:"na"`
	Detail   string `json:"detail"`
}

// Run runs all scenarios against addr and returns one result for each; limit is the time a single
// scenario may take.
func (p Program) Run(ctx context.Context, addr string, limit time.Duration) []scenario.Result {
	var results []scenario.Result
	first := slices.DeleteFunc(slices.Clone(scenario.Names), func(n string) bool {
		return n == scenario.Resume || !p.Shares && slices.Contains(scenario.Shares, n)
	})
	if !p.Shares {
		for _, name := range scenario.Shares {
			results = append(results, scenario.Result{Client: p.Client, Scenario: name, Status: scenario.NA, Detail: scenario.NoShares})
		}
	}
	for _, names := range [][]string{first, {scenario.Resume}} {
		for len(names) > 0 && ctx.Err() == nil {
			done := p.process(ctx, addr, names, limit)
			results = append(results, done...)
			names = names[len(done):]
		}
	}
	return results
}

// process runs one process of the program until it has answered all names or fails one by hanging or
// ending early. It returns at least one result.
func (p Program) process(ctx context.Context, addr string, names []string, limit time.Duration) []scenario.Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	argv := append(slices.Clone(p.Argv), addr, p.Client)
	cmd := proc.New(ctx, proc.Command{Argv: append(argv, names...), Dir: p.Dir, Env: p.Env})
	var stderr tailWriter
	cmd.Stderr = &stderr
	failed := func(detail string) scenario.Result {
		return scenario.Result{Client: p.Client, Status: scenario.Fail, Detail: detail}
	}
	lines, err := startLines(cmd)
	if err != nil {
		r := failed(err.Error())
		r.Scenario = names[0]
		return []scenario.Result{r}
	}
	var results []scenario.Result
	began := time.Now()
	for len(results) < len(names) {
		var r scenario.Result
		ended := false
		select {
		case l, ok := <-lines:
			switch {
			case !ok:
				ended = true
				_ = cmd.Wait() // what it said is complete only now
				r = failed("the program ended: " + proc.Tail(stderr.Bytes(), 600))
			case l.Scenario != names[len(results)]:
				r = failed("the program answered scenario " + l.Scenario)
			default:
				r = result(p.Client, l)
			}
		case <-time.After(limit):
			ended = true
			r = failed(fmt.Sprintf("nothing within %s: %s", limit, proc.Tail(stderr.Bytes(), 600)))
		case <-ctx.Done():
			ended = true
			r = failed("the run was cancelled")
		}
		r.Scenario = names[len(results)]
		r.Millis = time.Since(began).Milliseconds()
		began = time.Now()
		results = append(results, r)
		if ended {
			break
		}
	}
	grace := time.AfterFunc(10*time.Second, cancel)
	defer grace.Stop()
	if len(results) < len(names) {
		cancel()
	}
	for range lines { // until the program has closed its output
	}
	_ = cmd.Wait()
	return results
}

func result(client string, l line) scenario.Result {
	r := scenario.Result{Client: client, Scenario: l.Scenario, Status: scenario.Fail, Detail: l.Detail}
	switch {
	case l.NA:
		r.Status = scenario.NA
	case l.OK:
		r.Status = scenario.OK
	}
	return r
}

// startLines starts cmd and delivers the JSON lines of its standard output.
func startLines(cmd *exec.Cmd) (<-chan line, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := make(chan line, 64)
	go func() {
		defer close(lines)
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			var l line
			if json.Unmarshal(scan.Bytes(), &l) == nil && l.Scenario != "" {
				lines <- l
			}
		}
	}()
	return lines, nil
}

// tailWriter keeps the end of what a program writes.
type tailWriter struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if t.buf.Len() > 64<<10 {
		t.buf.Next(t.buf.Len() - 32<<10)
	}
	return len(p), nil
}

// Bytes returns a copy of what was kept.
func (t *tailWriter) Bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf.Bytes())
}
