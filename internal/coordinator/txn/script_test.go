package txn

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// TestScripts plays testdata/*.txt: of each step everything that was answered or written
// into partitions while it ran. "settings key=value …" starts with an empty log. After
// every step memory is held against a replay of the log.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		s := &scene{Output: out}
		s.reset(script.Parse(t, ""))
		return func(op, args string) {
			s.step(op, script.Parse(t, args))
			s.Run()
			s.check()
		}
	})
}

type scene struct {
	*world
	*script.Output
}

func (s *scene) reset(a script.Args) {
	s.world = newWorld(a.TB, func(c *Settings) {
		c.HoldMaxMs = a.Num("hold", 0)
		c.IDExpirationMs = a.Num("expiration", c.IDExpirationMs)
	})
	s.places.seen = func(m Marker, p TopicPartition) {
		s.Say("marker %s-%d %d:%d %s coordinator=%d version=%d", p.Topic, p.Index, m.ProducerID, m.Epoch,
			map[bool]string{true: "COMMIT", false: "ABORT"}[m.Commit], m.CoordinatorEpoch, m.Version)
	}
}

// producer reads "101:3".
func producer(a script.Args, i int) (id int64, epoch int16) {
	if i >= len(a.Words) {
		return noProducerID, noProducerEpoch
	}
	left, right, _ := strings.Cut(a.Words[i], ":")
	return a.Number(left), int16(a.Number(right))
}

func partitions(a script.Args, words []string) (out []TopicPartition) {
	for _, w := range words {
		i := strings.LastIndex(w, "-")
		out = append(out, TopicPartition{w[:i], int32(a.Number(w[i+1:]))})
	}
	return out
}

func (s *scene) step(op string, a script.Args) {
	switch op {
	case "settings":
		s.reset(a)
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
		t := s.cores[s.c.PartitionFor(a.Words[0])].ids[a.Words[0]]
		t.epoch = int16(a.Number(a.Words[1]))
		var out runtime.Effects
		s.cores[s.c.PartitionFor(a.Words[0])].write(env{s.NowMs(), &out}, t)
		s.force(t)
	case "pass":
		s.Advance(a.Number(strings.TrimSuffix(a.Words[0], "ms")))
	case "crash":
		s.crash()
	case "hold-markers":
		s.places.held = true
	case "release-marker":
		i := int(a.Number(a.Words[0]))
		f := s.places.calls[i]
		s.places.calls = slices.Delete(s.places.calls, i, i+1)
		f()
	case "release-markers":
		s.places.release()
	case "fail-markers":
		s.places.code = protocol.None
		for _, code := range []protocol.ErrorCode{protocol.NotLeaderOrFollower, protocol.InvalidProducerEpoch, protocol.TransactionCoordinatorFenced} {
			if code.String() == a.Words[0] {
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
func (s *scene) force(t *transaction) {
	batch := singleRecord(s.t, appendKey(nil, t.id), t.appendValue(nil))
	if _, err := s.log.Append(s.c.PartitionFor(t.id), s.epoch, batch); err != nil {
		s.t.Fatal(err)
	}
	s.crash()
}

func (s *scene) init(a script.Args) {
	id := a.Words[0]
	pid, epoch := producer(a, 1)
	req := &protocol.InitProducerIdRequest{TransactionalId: &id, TransactionTimeoutMs: int32(a.Num("timeout", 60_000)), ProducerId: pid, ProducerEpoch: epoch}
	s.c.InitProducerID(runtime.Context{Version: 5}, req, func(r *protocol.InitProducerIdResponse) {
		s.Say("init %s %s %d:%d", id, r.ErrorCode, r.ProducerId, r.ProducerEpoch)
	})
}

func (s *scene) add(op string, a script.Args) {
	id := a.Words[0]
	pid, epoch := producer(a, 1)
	s.c.AddPartitions(Add{
		TransactionalID: id, ProducerID: pid, Epoch: epoch, Partitions: partitions(a, a.Words[2:]), VerifyOnly: op == "verify",
		Version: int16(a.Num("v", 0)),
		Done: func(code protocol.ErrorCode, absent []TopicPartition) {
			text := ""
			for _, p := range absent {
				text += fmt.Sprintf(" absent=%s-%d", p.Topic, p.Index)
			}
			s.Say("%s %s %s%s", op, id, code, text)
		},
	})
}

func (s *scene) endTxn(op string, a script.Args) {
	id := a.Words[0]
	pid, epoch := producer(a, 1)
	version := int16(4)
	if a.Num("v", 0) == 2 {
		version = 5
	}
	req := &protocol.EndTxnRequest{TransactionalId: id, ProducerId: pid, ProducerEpoch: epoch, Committed: op == "commit"}
	s.c.EndTxn(runtime.Context{Version: version}, req, func(r *protocol.EndTxnResponse) {
		next := ""
		if version == 5 {
			next = fmt.Sprintf(" next=%d:%d", r.ProducerId, r.ProducerEpoch)
		}
		s.Say("%s %s %s%s", op, id, r.ErrorCode, next)
	})
}

func (s *scene) describe(a script.Args) {
	s.c.Describe(runtime.Context{}, &protocol.DescribeTransactionsRequest{TransactionalIds: a.Words}, func(r *protocol.DescribeTransactionsResponse) {
		for _, t := range r.TransactionStates {
			text := ""
			for _, topic := range t.Topics {
				text += fmt.Sprintf(" %s%v", topic.Topic, topic.Partitions)
			}
			s.Say("%s %s %s %d:%d timeout=%d start=%d%s", t.TransactionalId, t.ErrorCode, t.TransactionState, t.ProducerId, t.ProducerEpoch,
				t.TransactionTimeoutMs, t.TransactionStartTimeMs, text)
		}
	})
}

func (s *scene) list(a script.Args) {
	req := &protocol.ListTransactionsRequest{DurationFilter: a.Num("longer", -1)}
	if v, ok := a.Named["states"]; ok {
		req.StateFilters = strings.Split(v, ",")
	}
	if _, ok := a.Named["producer"]; ok {
		req.ProducerIdFilters = []int64{a.Num("producer", 0)}
	}
	if v, ok := a.Named["pattern"]; ok {
		req.TransactionalIdPattern = &v
	}
	s.c.List(runtime.Context{}, req, func(r *protocol.ListTransactionsResponse) {
		s.Say("list %s unknown=%v", r.ErrorCode, r.UnknownStateFilters)
		for _, t := range r.TransactionStates {
			s.Say("%s %s %d", t.TransactionalId, t.TransactionState, t.ProducerId)
		}
	})
}
