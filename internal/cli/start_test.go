package cli

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeNode is a node that only remembers that it was closed.
type fakeNode struct{ closed bool }

func (*fakeNode) Addr() string   { return "localhost:19092" }
func (n *fakeNode) Close() error { n.closed = true; return nil }

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
	_, n := startFake(t, s, "start", "--override", "log.dirs=/data/a,/data/b", "--override", "naru.durability=group")
	got := regexp.MustCompile(`Naru \S+ is`).ReplaceAllString(s.out.String(), "Naru VERSION is")
	golden(t, "ready.txt", got)
	if !n.closed {
		t.Error("the node is not closed")
	}
	if !strings.Contains(s.err.String(), `level=INFO msg="node stopped"`) {
		t.Errorf("log: %s", s.err.String())
	}
}

func TestTheCommandWithoutAVerbStartsANode(t *testing.T) {
	s := newSession()
	if _, n := startFake(t, s); !n.closed || !strings.Contains(s.out.String(), "naru-data") {
		t.Errorf("got %s", s.out.String())
	}
}

func TestOverridesGoBeforeTheFileAndUnknownSettingsAreWarnedAbout(t *testing.T) {
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
		for _, warning := range []string{
			`warning: setting "num.partitions" is given on line 1 and again on line 3: the last one holds`,
			`warning: unknown setting "num.partitons" is ignored: did you mean num.partitions?`,
		} {
			if !strings.Contains(s.err.String(), warning) {
				t.Errorf("%q is missing in %s", warning, s.err.String())
			}
		}
	}
}
