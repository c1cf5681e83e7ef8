package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// session runs the command in this process.
type session struct {
	app
	out, err bytes.Buffer
}

func newSession() *session {
	s := &session{}
	s.app = app{
		in: strings.NewReader(""), out: &s.out, err: &s.err,
		now: func() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) },
		start: func(context.Context, map[string]string, *slog.Logger) (node, error) {
			return nil, errors.New("no node in this test")
		},
	}
	return s
}

func (s *session) do(args ...string) int { return s.run(context.Background(), args) }

// Standard output stays empty then.
func TestWrongUsageIsNamedWithTheRemedyAndExitsWith2(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"topc list", `unknown verb "topc": did you mean "naru topic"?`},
		{"xyzzy", "unknown verb \"xyzzy\": there are"},
		{"topic lst", `did you mean "naru topic list"?`},
		{"topic create", "the name of a topic is missing"},
		{"topic create x --partition 3", "unknown flag --partition: did you mean --partitions?"},
		{"topic create x -p many", `invalid argument "many"`},
		{"topic create x -p 0", "--partitions 0 is not allowed: use 1 or more"},
		{"topic create x -r -3", "--replication-factor -3 is not allowed"},
		{"topic create my/topic", `contains '/': use letters, digits, '.', '_' and '-', such as "my-topic"`},
		{"topic create ..", `topic name ".." is not allowed`},
		{"topic create " + strings.Repeat("x", 250), "has 250 characters: at most 249"},
		{"topic create x -c compression.type=liz4", "did you mean lz4?"},
		{"topic create x -c min.insync.replica=2", "did you mean min.insync.replicas?"},
		{"topic create x -c retention.ms", `setting "retention.ms" is not of the form key=value`},
		{"topic create x -c retention.ms=soon", "Not a number of type LONG"},
		{"topic create x -b a:b:c", "write host:port, such as localhost:9092"},
		{"topic list x", "too many arguments from \"x\" on: it takes no argument"},
		{"topic alter x", "nothing to alter"},
		{"topic alter x -p -4", "--partitions -4 is not allowed"},
		{"topic alter x -c retention.ms=1 --delete-config retention.ms", `"retention.ms" is both set and deleted`},
		{"produce", "the name of one topic is missing"},
		{"produce x --acks 2", "--acks \"2\" is not allowed: use 0, 1 or all"},
		{"produce x -z liz4", `--compression "liz4" is not allowed: did you mean "lz4"?`},
		{"produce x -p -7", "--partition -7 is not allowed"},
		{"produce x -H nothing", `--header "nothing" is not of the form name=value`},
		{"produce x -k : --key k", "--key and --key-separator exclude each other"},
		{`produce x -k \q`, "--key-separator: format escape"},
		{"produce x --batch-bytes 1", "--batch-bytes 1 is not allowed"},
		{"consume x -o beginnning", `offset "beginnning" is not valid: use beginning, end`},
		{"consume x -o 1 --from-beginning", "is given beside another one"},
		{"consume x -n -1", "--count -1 is not allowed"},
		{"consume x -p -1", "--partition -1 is not allowed"},
		{"consume x -f %q", "format token %q is unknown: the tokens are"},
		{"consume x -g g -p 0", "--group and --partition exclude each other"},
		{"consume x -g g -o e@-1h", "--group and an end such as e@TIME exclude each other"},
		{"group reset g", "exactly one of --to-earliest"},
		{"group reset g --to-earliest --to-latest", "exactly one of --to-earliest"},
		{"group reset g --to-earliest", "say which topics: --topic or --all-topics"},
		{"group reset g --to-earliest -t x --all-topics", "say which topics"},
		{"group reset g --to-offset -5 --all-topics", `--to-offset "-5" is not allowed: use 0 or more`},
		{"group reset g --to-datetime yesterday --all-topics", `time "yesterday" is not valid`},
		{"group reset g --by-duration=-1h --all-topics", "--by-duration -1h0m0s is not allowed"},
		{"group reset g --to-latest -t x:a", `"a" is not a partition: write TOPIC:0,1`},
		{"config get", "say whose settings: exactly one of --topic, --group, --broker and --cluster"},
		{"config get --topic a --cluster", "exactly one of"},
		{"config get --broker one", `--broker "one" is not a broker's id`},
		{"config get --topic a retention.mss", "did you mean retention.ms?"},
		{"config set --topic a", "nothing to set"},
		{"config set --cluster num.io.threads=0", "Value must be at least 1"},
		{"start a.properties b.properties", "too many arguments"},
		{"start nofile.properties", `properties file "nofile.properties" does not exist`},
		{"start --override x", `override "x" is not of the form key=value`},
		{"start --log-level inof", `did you mean "info"?`},
		{"start --override num.partitions=0 --override log.segment.bytes=1", "Value must be at least 1048576"},
		{"nofile.properties", `properties file "nofile.properties" does not exist`},
	} {
		s := newSession()
		if got := s.do(strings.Fields(tt.args)...); got != 2 {
			t.Errorf("naru %s: exit status %d, want 2: %s", tt.args, got, s.err.String())
		}
		if !strings.Contains(s.err.String(), tt.want) {
			t.Errorf("naru %s:\n got %s\nwant %s", tt.args, s.err.String(), tt.want)
		}
		if s.out.Len() > 0 {
			t.Errorf("naru %s prints to standard output: %s", tt.args, s.out.String())
		}
	}
}

func TestFailuresExitWith1AndSayWhatHelps(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"topic list -b localhost:1", "no broker listens on localhost:1: start one with 'naru'"},
		{"produce x -f nofile -b localhost:1", "opening the input: open nofile: no such file"},
		{"log dump nofile.log", "nofile.log: opening the segment: no such file"},
		{"log dump testdata", "it is a directory: name the segments in it"},
		{"start", "starting the node: no node in this test"},
	} {
		s := newSession()
		if got := s.do(strings.Fields(tt.args)...); got != 1 || !strings.Contains(s.err.String(), tt.want) {
			t.Errorf("naru %s: exit status %d: got %s, want %s", tt.args, got, s.err.String(), tt.want)
		}
	}
}

func TestVersionIsShown(t *testing.T) {
	s := newSession()
	if got := s.do("version", "--json"); got != 0 || !strings.Contains(s.out.String(), `"kafka": "4.3.1"`) {
		t.Errorf("exit status %d: %s%s", got, s.out.String(), s.err.String())
	}
}
