package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

const (
	// classLimit bounds the JVM of a class; JUnit bounds its tests, but not every wait lets itself be interrupted.
	classLimit = 30 * time.Minute
	testLimit  = "100s"
	// wholeClass stands for the method when the JVM did not come to its end.
	wholeClass = "class"
)

// launcher runs test classes.
type launcher struct {
	java     []string
	naru     string
	dir      string // has a folder for each class: output.txt, JUnit's reports, and a log for each Naru
	filtered bool   // only a class's chosen methods are run
	verbose  bool
}

func newLauncher(ctx context.Context, env setup.Env, o options) (*launcher, error) {
	l := &launcher{dir: filepath.Join(env.Cache, "kafkatests", "run"), filtered: o.tests != nil, verbose: o.verbose}
	var err error
	if l.naru, err = env.Naru(ctx); err != nil {
		return nil, err
	}
	l.java, err = env.KafkaTests(ctx)
	return l, err
}

// run runs a class in a JVM and returns what became of its tests. A JVM that does not come to its end is a
// failure of the class, not an error.
func (l *launcher) run(ctx context.Context, c testClass) ([]invocation, error) {
	dir := filepath.Join(l.dir, c.name)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	output, err := os.Create(filepath.Join(dir, "output.txt"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	limited, cancel := context.WithTimeout(ctx, classLimit)
	defer cancel()
	cmd := proc.New(limited, proc.Command{Argv: l.command(c, dir, tmp), Dir: dir})
	cmd.Stdout = output
	if l.verbose {
		cmd.Stdout = io.MultiWriter(output, os.Stderr)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("running %s: %w", c.name, err)
	}
	end := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // brokers that a test did not stop
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	invocations, files, err := readReports(dir, c.name)
	if err != nil || files > 0 {
		return invocations, err
	}
	switch {
	case limited.Err() != nil:
		end = fmt.Errorf("killed after %s", classLimit)
	case end == nil:
		end = errors.New("no report was written")
	}
	said, err := os.ReadFile(output.Name())
	if err != nil {
		return nil, err
	}
	last := strings.Join(strings.Fields(proc.Tail(said, 400)), " ")
	return []invocation{{method: wholeClass, status: failed, why: fmt.Sprintf("%v; it printed last: %s", end, last)}}, nil
}

func (l *launcher) command(c testClass, dir, tmp string) []string {
	argv := append(l.java[:len(l.java):len(l.java)],
		"-Dnaru.binary="+l.naru, "-Dnaru.logs="+dir, "-Djava.io.tmpdir="+tmp,
		"org.junit.platform.console.ConsoleLauncher", "execute", "--disable-banner", "--disable-ansi-colors", "--details=testfeed",
		"--reports-dir="+dir, "--config", "junit.jupiter.execution.timeout.default="+testLimit, "--select-class", c.name)
	if l.filtered {
		argv = append(argv, "--include-methodname", methodPattern(c))
	}
	return argv
}

// methodPattern matches the chosen methods of a class and its nested classes, as JUnit spells them.
func methodPattern(c testClass) string {
	return regexp.QuoteMeta(c.name) + `(\$[^#]*)?#(` + strings.Join(c.methods, "|") + ")"
}
