// Package server starts the server under test again and again on one directory and one port, and ends it
// as a crash (SIGKILL) or in order (SIGTERM).
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/naru-stream/naru/conformance/internal/broker"
	"github.com/naru-stream/naru/conformance/internal/proc"
	"github.com/naru-stream/naru/conformance/internal/setup"
)

// First and last port that a run may take.
const (
	firstPort = 23000
	lastPort  = 23499
)

// Server is a server that is running or between two runs. One goroutine uses it.
type Server struct {
	Name    string // "kafka" or "naru"
	Addr    string
	DataDir string // log.dirs: holds one folder per partition
	LogFile string // what all its runs printed
	Starts  int

	workDir string
	command func(settings []string) ([]string, error)
	cmd     *exec.Cmd
	done    chan struct{}
}

// New prepares a server of the given name with its directory under workDir.
func New(ctx context.Context, env setup.Env, name, workDir string) (*Server, error) {
	port, err := freePorts()
	if err != nil {
		return nil, err
	}
	s := &Server{Name: name, Addr: fmt.Sprintf("localhost:%d", port), workDir: workDir,
		DataDir: filepath.Join(workDir, "data"), LogFile: filepath.Join(workDir, name+".log")}
	switch name {
	case "naru":
		built, err := env.Naru(ctx)
		if err != nil {
			return nil, err
		}
		binary := filepath.Join(workDir, "naru") // a copy: another build must not change the run
		if err := copyProgram(binary, built); err != nil {
			return nil, err
		}
		s.command = func(settings []string) ([]string, error) {
			return broker.NaruCommand(binary, workDir, port, settings...), nil
		}
	case "kafka":
		classPath, err := env.KafkaClassPath(ctx)
		if err != nil {
			return nil, err
		}
		var argv []string // settings are written once: the directory is formatted with them
		s.command = func(settings []string) ([]string, error) {
			if argv == nil {
				argv, err = broker.KafkaCommand(ctx, classPath, workDir, port, settings...)
			}
			return argv, err
		}
	default:
		return nil, fmt.Errorf("no server %q: want kafka or naru", name)
	}
	return s, nil
}

func copyProgram(to, from string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}

// freePorts returns the first of two ports on which nothing listens.
func freePorts() (int, error) {
	span := (lastPort - firstPort) / 2
	for try := range span {
		port := firstPort + (os.Getpid()+try)%span*2
		if free(port) && free(port+1) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no two free ports between %d and %d", firstPort, lastPort)
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// Start starts the process and returns the moment before that; it does not wait until it serves.
func (s *Server) Start(ctx context.Context, settings ...string) (time.Time, error) {
	argv, err := s.command(settings)
	if err != nil {
		return time.Time{}, err
	}
	logFile, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return time.Time{}, err
	}
	s.Starts++
	fmt.Fprintf(logFile, "--- start %d %s\n", s.Starts, strings.Join(settings, " "))
	cmd, done := proc.New(ctx, proc.Command{Argv: argv, Dir: s.workDir}), make(chan struct{})
	cmd.Stdout, cmd.Stderr = logFile, logFile
	began := time.Now()
	if err := cmd.Start(); err != nil {
		logFile.Close()
		return began, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	s.cmd, s.done = cmd, done
	go func() {
		_ = cmd.Wait()
		logFile.Close()
		close(done)
	}()
	return began, nil
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
}

// Stop asks the process to end in order and says how long that took; an error if it had to be killed.
func (s *Server) Stop(limit time.Duration) (time.Duration, error) {
	began := time.Now()
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-s.done:
	case <-time.After(limit):
		s.Kill()
		return time.Since(began), fmt.Errorf("%s did not stop within %s", s.Name, limit)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 && s.Name == "naru" {
		return time.Since(began), fmt.Errorf("naru stopped with exit code %d: %s", code, s.Tail())
	}
	return time.Since(began), nil
}

// Exited reports an error if the process ended by itself.
func (s *Server) Exited() error {
	select {
	case <-s.done:
		return fmt.Errorf("%s ended by itself (%s): %s", s.Name, s.cmd.ProcessState, s.Tail())
	default:
		return nil
	}
}

// Tail returns the end of what the server printed.
func (s *Server) Tail() string {
	said, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	return proc.Tail(said, 1500)
}

// Said returns the lines of the last run that contain all the given words.
func (s *Server) Said(words ...string) []string {
	said, err := os.ReadFile(s.LogFile)
	if err != nil {
		return nil
	}
	if i := bytes.LastIndex(said, []byte("--- start ")); i >= 0 {
		said = said[i:]
	}
	var found []string
next:
	for line := range strings.Lines(string(said)) {
		for _, word := range words {
			if !strings.Contains(strings.ToLower(line), strings.ToLower(word)) {
				continue next
			}
		}
		found = append(found, strings.TrimSpace(line))
	}
	return found
}

// Resident returns the process's resident memory in bytes.
func (s *Server) Resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// OpenFiles returns how many file descriptors the process holds.
func (s *Server) OpenFiles() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		return -1
	}
	return len(entries)
}
