// Package broker starts the server under test, Apache Kafka from Maven Central's jars or Naru from
// this source tree, on free loopback ports with an empty data directory, and stops it again.
package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/naru-stream/naru/conformance/internal/proc"
)

// Broker is a running server.
type Broker struct {
	Name    string // "kafka" or "naru"
	Addr    string // host:port of its plaintext listener
	DataDir string // log.dirs: holds one folder per partition
	LogFile string // what the server printed

	cmd  *exec.Cmd
	done chan struct{}
}

// First and last port that a run may take.
const (
	firstPort = 20000
	lastPort  = 20999
)

// cleanerBackoff has compacted topics looked at twice a second instead of every 15 s.
const cleanerBackoff = "log.cleaner.backoff.ms=500"

// freePorts returns n consecutive ports on which nothing listens.
func freePorts(n int) (int, error) {
	start := firstPort + os.Getpid()*7%800
	for try := 0; try < lastPort-firstPort; try++ {
		port := firstPort + (start-firstPort+try)%(lastPort-firstPort-n)
		if allFree(port, n) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
}

func allFree(port, n int) bool {
	for i := range n {
		l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port+i))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// start runs command with its output in workDir and waits until it answers ApiVersions.
func start(ctx context.Context, name, workDir string, port int, c proc.Command, limit time.Duration) (*Broker, error) {
	b := &Broker{
		Name:    name,
		Addr:    fmt.Sprintf("localhost:%d", port),
		DataDir: filepath.Join(workDir, "data"),
		LogFile: filepath.Join(workDir, name+".log"),
		done:    make(chan struct{}),
	}
	logFile, err := os.Create(b.LogFile)
	if err != nil {
		return nil, err
	}
	b.cmd = proc.New(ctx, c)
	b.cmd.Stdout, b.cmd.Stderr = logFile, logFile
	if err := b.cmd.Start(); err != nil {
		logFile.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = b.cmd.Wait()
		logFile.Close()
		close(b.done)
	}()
	deadline := time.Now().Add(limit)
	for {
		err := AskAPIVersions(b.Addr)
		if err == nil {
			return b, nil
		}
		select {
		case <-b.done:
			return nil, fmt.Errorf("%s ended before it was ready: %s", name, b.logTail())
		case <-ctx.Done():
			b.Stop()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			b.Stop()
			return nil, fmt.Errorf("%s did not answer ApiVersions within %s: %w: %s", name, limit, err, b.logTail())
		}
	}
}

// Serve runs argv, a server's command line for workDir and port, and waits until it answers.
func Serve(ctx context.Context, name, workDir string, port int, argv []string) (*Broker, error) {
	return start(ctx, name, workDir, port, proc.Command{Argv: argv, Dir: workDir}, 90*time.Second)
}

func (b *Broker) logTail() string {
	said, err := os.ReadFile(b.LogFile)
	if err != nil {
		return err.Error()
	}
	return proc.Tail(said, 2000)
}

// Stop ends the broker, by force after ten seconds.
func (b *Broker) Stop() { proc.Stop(b.cmd, b.done, 10*time.Second) }

// PID is the process id of the server.
func (b *Broker) PID() int { return b.cmd.Process.Pid }

// Exited reports whether the server has ended by itself.
func (b *Broker) Exited() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// AskAPIVersions sends ApiVersions version 0 to addr and accepts any answer to it.
func AskAPIVersions(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	// Length 10, key 18, version 0, correlation id 7, null client id.
	if _, err := conn.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff}); err != nil {
		return err
	}
	head := make([]byte, 10)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if id := binary.BigEndian.Uint32(head[4:]); id != 7 {
		return fmt.Errorf("answer has correlation id %d, want 7", id)
	}
	if code := binary.BigEndian.Uint16(head[8:]); code != 0 {
		return fmt.Errorf("ApiVersions answered error code %d", code)
	}
	return nil
}
