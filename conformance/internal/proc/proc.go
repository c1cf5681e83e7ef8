// Package proc runs other programs so that none survives: each gets its own process group, a time
// limit, and is killed with its children when the limit passes or the run is cancelled.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command describes a program to run.
type Command struct {
	Argv    []string
	Dir     string
	Env     []string // added to this process's environment
	Stdin   io.Reader
	Timeout time.Duration // zero means no limit but the context's
}

// Output is what a finished program left.
type Output struct {
	Stdout   []byte
	Stderr   []byte
	ExitCode int
}

// New prepares c without starting it; cancelling ctx kills its whole process group.
func New(ctx context.Context, c Command) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin = c.Stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 3 * time.Second
	return cmd
}

// Run runs c to its end. A non-zero exit code is not an error; a timeout is.
func Run(ctx context.Context, c Command) (Output, error) {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	cmd := New(ctx, c)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		return out, fmt.Errorf("running %s: %w; stderr: %s", c.Argv[0], ctx.Err(), Tail(out.Stderr, 400))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return out, fmt.Errorf("running %s: %w", c.Argv[0], err)
	}
	return out, nil
}

// Must runs c and turns a non-zero exit code into an error that ends with what the program said.
func Must(ctx context.Context, c Command) (Output, error) {
	out, err := Run(ctx, c)
	if err != nil {
		return out, err
	}
	if out.ExitCode != 0 {
		said := out.Stderr
		if len(bytes.TrimSpace(said)) == 0 {
			said = out.Stdout
		}
		return out, fmt.Errorf("%s: exit code %d: %s", strings.Join(c.Argv, " "), out.ExitCode, Tail(said, 1500))
	}
	return out, nil
}

// Tail returns at most n bytes of the end of b, trimmed.
func Tail(b []byte, n int) string {
	b = bytes.TrimSpace(b)
	if len(b) > n {
		b = append([]byte("…"), b[len(b)-n:]...)
	}
	return string(b)
}

// Stop asks the process group of cmd to end, waits at most grace, then kills it. done must be closed
// when cmd.Wait has returned.
func Stop(cmd *exec.Cmd, done <-chan struct{}, grace time.Duration) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(grace):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
}
