package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/script"
)

// fakeNode is a node that only remembers that it was closed.
type fakeNode struct {
	closed  bool
	failed  chan struct{}
	failure error
}

func (*fakeNode) Addr() string              { return "localhost:19092" }
func (*fakeNode) DataDirs() []string        { return []string{"/data/a", "/data/b"} }
func (*fakeNode) Durability() string        { return "group" }
func (n *fakeNode) Failed() <-chan struct{} { return n.failed }
func (n *fakeNode) Err() error              { return n.failure }
func (n *fakeNode) Close() error            { n.closed = true; return nil }

// startFake runs start with a node that stops at once, and returns its settings.
func startFake(t *testing.T, s *session, args ...string) (properties map[string]string, n *fakeNode) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n = &fakeNode{}
	s.start = func(_ context.Context, p map[string]string, _ *slog.Logger) (node, error) {
		properties = p
		cancel()
		return n, nil
	}
	if got := s.run(ctx, args); got != 0 {
		t.Fatalf("exit status %d: %s", got, s.err.String())
	}
	return properties, n
}

func TestStartTellsWhenItIsReadyAndClosesTheNode(t *testing.T) {
	s := newSession()
	_, n := startFake(t, s, "start")
	got := regexp.MustCompile(`Naru \S+ is`).ReplaceAllString(s.out.String(), "Naru VERSION is")
	script.Golden(t, "testdata/ready.txt", got)
	if !n.closed {
		t.Error("the node is not closed")
	}
	if !strings.Contains(s.err.String(), `level=INFO msg="node stopped"`) {
		t.Errorf("log: %s", s.err.String())
	}
}

func TestTheCommandWithoutAVerbStartsANode(t *testing.T) {
	s := newSession()
	if _, n := startFake(t, s); !n.closed || !strings.Contains(s.out.String(), "is ready after") {
		t.Errorf("got %s", s.out.String())
	}
}

func TestOverridesGoBeforeTheFileAndSettingsGivenTwiceAreWarnedAbout(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("num.partitions=2\nlog.dirs=/x\nnum.partitions=3\nnum.partitons=9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"start", file, "--override", "log.dirs=/y"}, {file, "--override", "log.dirs=/y"}} {
		s := newSession()
		properties, _ := startFake(t, s, args...)
		want := map[string]string{"num.partitions": "3", "log.dirs": "/y", "num.partitons": "9"}
		if diff := cmp.Diff(want, properties); diff != "" {
			t.Error(diff)
		}
		if warning := `setting \"num.partitions\" is given on line 1 and again on line 3: the last one holds`; !strings.Contains(s.err.String(), warning) {
			t.Errorf("%q is missing in %s", warning, s.err.String())
		}
	}
}

func TestANodeThatCannotGoOnFailsTheCommand(t *testing.T) {
	s := newSession()
	n := &fakeNode{failed: make(chan struct{}), failure: errors.New("the disk failed")}
	close(n.failed)
	s.start = func(context.Context, map[string]string, *slog.Logger) (node, error) { return n, nil }
	if got := s.do("start"); got != 1 || !n.closed || !strings.Contains(s.err.String(), "the node stopped: the disk failed") {
		t.Errorf("exit status %d, closed %t: %s", got, n.closed, s.err.String())
	}
}

func TestASecondNodeIsToldWhatTheFirstHolds(t *testing.T) {
	dir := t.TempDir()
	first, err := startNode(t.Context(), map[string]string{"log.dirs": dir, "listeners": "PLAINTEXT://localhost:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct{ dir, listener, want string }{
		{dir, "localhost:0", "is in use by process " + strconv.Itoa(os.Getpid())},
		{t.TempDir(), first.Addr(), "address already in use: is another broker running? --override listeners="},
	} {
		s := newSession()
		s.start = startNode
		status := s.do("start", "--override", "log.dirs="+tt.dir, "--override", "listeners=PLAINTEXT://"+tt.listener)
		if status != 1 || !strings.Contains(s.err.String(), tt.want) {
			t.Errorf("exit status %d: got %s, want %s", status, s.err.String(), tt.want)
		}
	}
}
