package txn

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

var rewrite = flag.Bool("rewrite", false, "write what happened into testdata/*.txt as what is expected")

// TestScripts plays testdata/*.txt. A step is one line, "op word… key=value…"; the
// indented lines below it are everything that was answered or written into partitions
// while it ran, in order. A line that starts with # is a comment, and "settings
// key=value …" starts with an empty log. After every step memory is held against a
// replay of the log.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if got == string(want) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s goes another way; it would now read:\n%s", file, got)
		})
	}
}

type script struct {
	*world
	out strings.Builder
}

func play(t *testing.T, text string) string {
	s := &script{}
	s.reset(t, nil)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		s.out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		op, rest, _ := strings.Cut(line, " ")
		a := parseArgs(t, rest)
		if op == "settings" {
			s.reset(t, a)
			continue
		}
		s.step(op, a)
		s.Run()
		s.check()
	}
	return s.out.String()
}

func (s *script) reset(t testing.TB, a *args) {
	s.world = newWorld(t, func(c *Settings) {
		c.HoldMaxMs = 0
		if a != nil {
			c.HoldMaxMs = int64(a.num("hold", 0))
			c.IDExpirationMs = int64(a.num("expiration", int(c.IDExpirationMs)))
		}
	})
	s.places.seen = func(m Marker, p TopicPartition) {
		s.say("marker %s-%d %d:%d %s coordinator=%d version=%d", p.Topic, p.Index, m.ProducerID, m.Epoch,
			map[bool]string{true: "COMMIT", false: "ABORT"}[m.Commit], m.CoordinatorEpoch, m.Version)
	}
}

type args struct {
	testing.TB
	words []string
	named map[string]string
}

func parseArgs(t testing.TB, text string) *args {
	a := &args{t, nil, map[string]string{}}
	for _, word := range strings.Fields(text) {
		if key, value, ok := strings.Cut(word, "="); ok {
			a.named[key] = value
		} else {
			a.words = append(a.words, word)
		}
	}
	return a
}

func (a *args) num(key string, otherwise int) int {
	v, ok := a.named[key]
	if !ok {
		return otherwise
	}
	return a.parse(v)
}

func (a *args) parse(v string) int {
	n, err := strconv.Atoi(v)
	if err != nil {
		a.Fatal(err)
	}
	return n
}

// producer reads "101:3".
func (a *args) producer(i int) (id int64, epoch int16) {
	if i >= len(a.words) {
		return noProducerID, noProducerEpoch
	}
	left, right, _ := strings.Cut(a.words[i], ":")
	return int64(a.parse(left)), int16(a.parse(right))
}

func (a *args) partitions(words []string) (out []TopicPartition) {
	for _, w := range words {
		i := strings.LastIndex(w, "-")
		out = append(out, TopicPartition{w[:i], int32(a.parse(w[i+1:]))})
	}
	return out
}

func (s *script) say(format string, values ...any) { fmt.Fprintf(&s.out, "  "+format+"\n", values...) }

func (s *script) step(op string, a *args) {
	switch op {
	case "init":
		s.init(a)
	case "add", "verify":
		s.add(op, a)
	case "commit", "abort":
		s.endTxn(op, a)
	case "describe":
		s.describe(a)
	case "list":
		s.list(a)
	case "force-epoch":
		// What a long history leads to: the epoch is nearly used up.
		t := s.cores[s.c.PartitionFor(a.words[0])].ids[a.words[0]]
		t.epoch = int16(a.parse(a.words[1]))
		var out runtime.Effects
		s.cores[s.c.PartitionFor(a.words[0])].write(env{s.NowMs(), &out}, t)
		s.force(t)
	case "pass":
		s.Advance(int64(a.parse(strings.TrimSuffix(a.words[0], "ms"))))
	case "crash":
		s.crash()
	case "hold-markers":
		s.places.held = true
	case "release-marker":
		i := a.parse(a.words[0])
		f := s.places.calls[i]
		s.places.calls = slices.Delete(s.places.calls, i, i+1)
		f()
	case "release-markers":
		s.places.release()
	case "fail-markers":
		s.places.code = protocol.None
		for _, code := range []protocol.ErrorCode{protocol.NotLeaderOrFollower, protocol.InvalidProducerEpoch, protocol.TransactionCoordinatorFenced} {
			if code.String() == a.words[0] {
				s.places.code = code
			}
		}
	case "hold-log":
		s.log.Hold()
	case "release-log":
		s.log.Release()
	case "fail-appends":
		s.log.FailAppends(protocol.NotEnoughReplicas)
	case "heal-appends":
		s.log.FailAppends(nil)
	default:
		a.Fatalf("unknown step %q", op)
	}
}

// force writes the state of a transaction behind the runtime's back and starts again.
func (s *script) force(t *transaction) {
	batch := singleRecord(s.t, appendKey(nil, t.id), t.appendValue(nil))
	if _, err := s.log.Append(s.c.PartitionFor(t.id), s.epoch, batch); err != nil {
		s.t.Fatal(err)
	}
	s.crash()
}

func (s *script) init(a *args) {
	id := a.words[0]
	pid, epoch := a.producer(1)
	req := &protocol.InitProducerIdRequest{TransactionalId: &id, TransactionTimeoutMs: int32(a.num("timeout", 60_000)), ProducerId: pid, ProducerEpoch: epoch}
	s.c.InitProducerID(runtime.Context{Version: 5}, req, func(r *protocol.InitProducerIdResponse) {
		s.say("init %s %s %d:%d", id, r.ErrorCode, r.ProducerId, r.ProducerEpoch)
	})
}

func (s *script) add(op string, a *args) {
	id := a.words[0]
	pid, epoch := a.producer(1)
	s.c.AddPartitions(Add{
		TransactionalID: id, ProducerID: pid, Epoch: epoch, Partitions: a.partitions(a.words[2:]), VerifyOnly: op == "verify",
		Version: int16(a.num("v", 0)),
		Done: func(code protocol.ErrorCode, absent []TopicPartition) {
			text := ""
			for _, p := range absent {
				text += fmt.Sprintf(" absent=%s-%d", p.Topic, p.Index)
			}
			s.say("%s %s %s%s", op, id, code, text)
		},
	})
}

func (s *script) endTxn(op string, a *args) {
	id := a.words[0]
	pid, epoch := a.producer(1)
	version := int16(4)
	if a.num("v", 0) == 2 {
		version = 5
	}
	req := &protocol.EndTxnRequest{TransactionalId: id, ProducerId: pid, ProducerEpoch: epoch, Committed: op == "commit"}
	s.c.EndTxn(runtime.Context{Version: version}, req, func(r *protocol.EndTxnResponse) {
		next := ""
		if version == 5 {
			next = fmt.Sprintf(" next=%d:%d", r.ProducerId, r.ProducerEpoch)
		}
		s.say("%s %s %s%s", op, id, r.ErrorCode, next)
	})
}

func (s *script) describe(a *args) {
	s.c.Describe(runtime.Context{}, &protocol.DescribeTransactionsRequest{TransactionalIds: a.words}, func(r *protocol.DescribeTransactionsResponse) {
		for _, t := range r.TransactionStates {
			text := ""
			for _, topic := range t.Topics {
				text += fmt.Sprintf(" %s%v", topic.Topic, topic.Partitions)
			}
			s.say("%s %s %s %d:%d timeout=%d start=%d%s", t.TransactionalId, t.ErrorCode, t.TransactionState, t.ProducerId, t.ProducerEpoch,
				t.TransactionTimeoutMs, t.TransactionStartTimeMs, text)
		}
	})
}

func (s *script) list(a *args) {
	req := &protocol.ListTransactionsRequest{DurationFilter: int64(a.num("longer", -1))}
	if v, ok := a.named["states"]; ok {
		req.StateFilters = strings.Split(v, ",")
	}
	if _, ok := a.named["producer"]; ok {
		req.ProducerIdFilters = []int64{int64(a.num("producer", 0))}
	}
	if v, ok := a.named["pattern"]; ok {
		req.TransactionalIdPattern = &v
	}
	s.c.List(runtime.Context{}, req, func(r *protocol.ListTransactionsResponse) {
		s.say("list %s unknown=%v", r.ErrorCode, r.UnknownStateFilters)
		for _, t := range r.TransactionStates {
			s.say("%s %s %d", t.TransactionalId, t.TransactionState, t.ProducerId)
		}
	})
}
