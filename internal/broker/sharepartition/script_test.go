package sharepartition

import (
	"fmt"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/script"
)

// TestScripts plays testdata/*.txt: of each step what it gave, and what is in flight then.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		s := &scene{Output: out, s: Settings{MaxDeliveries: 5, MaxLocks: 100, LockMs: 1000, Renew: true}}
		s.p, _ = Load(0, nil) // nothing is wrong with nothing
		return func(op, args string) {
			s.step(op, script.Parse(t, args))
			s.show()
		}
	})
}

type scene struct {
	*script.Output
	p       *Partition
	s       Settings
	nowMs   int64
	log     []Extent
	aborted []AbortedTxn
	pending []Change
	letters []DeadLetter
}

// span reads "5-9".
func span(a script.Args, text string) (first, last int64) {
	left, right, _ := strings.Cut(text, "-")
	return a.Number(left), a.Number(right)
}

func (s *scene) step(op string, a script.Args) {
	switch op {
	case "settings":
		s.s.MaxDeliveries = int16(a.Num("deliveries", int64(s.s.MaxDeliveries)))
		s.s.MaxLocks = int32(a.Num("locks", int64(s.s.MaxLocks)))
		s.s.Renew = a.Num("renew", 1) == 1
		s.s.DeadLetters = a.Num("letters", 0) == 1
	case "log": // record batches; "5-9:7" is of producer 7's transaction, "10-10:7!" aborts it
		for _, w := range a.Words {
			text, producer, _ := strings.Cut(w, ":")
			e := Extent{ProducerID: -1}
			e.First, e.Last = span(a, text)
			if producer != "" {
				e.Abort = strings.HasSuffix(producer, "!")
				e.ProducerID, e.Transactional = a.Number(strings.TrimSuffix(producer, "!")), true
			}
			s.log = append(s.log, e)
		}
	case "aborted":
		s.aborted = append(s.aborted, AbortedTxn{a.Number(a.Words[0]), a.Number(a.Words[1])})
	case "acquire":
		s.acquire(a)
	case "ack":
		s.acknowledge(a)
	case "release":
		s.change(s.p.Release(a.Words[0], s.s), nil)
	case "written", "failed":
		for _, c := range s.pending {
			s.Say("news=%v", s.p.Complete(c, op == "written"))
		}
		s.pending = nil
	case "pass":
		s.nowMs += a.Number(a.Words[0])
		c := s.p.Expire(s.s, s.nowMs)
		s.Say("expired %v", c.Batches)
		s.p.Complete(c, true)
	case "log-start":
		s.p.LogStartMoved(a.Number(a.Words[0]))
	case "letters":
		for _, l := range s.p.DeadLetters() {
			s.Say("%d-%d, delivery %d: %s", l.First, l.Last, l.Count, l.Cause)
			s.letters = append(s.letters, l)
		}
	case "bury":
		s.change(s.p.Bury(s.letters[0]), nil)
		s.letters = s.letters[1:]
	case "load":
		s.load(a)
	default:
		a.Fatalf("unknown step %q", op)
	}
}

// show prints what is in flight.
func (s *scene) show() {
	text := ""
	for _, b := range s.p.batches {
		text += " |"
		for i := range b.runs {
			r := &b.runs[i]
			text += fmt.Sprintf(" %d-%d:%s:%d", r.first, r.last, r.state, r.count)
			if r.member != "" {
				text += ":" + r.member
			}
			if r.pending != 0 {
				text += "*"
			}
		}
	}
	s.Say("start=%d next=%d%s", s.p.Start(), s.p.NextFetchOffset(), text)
}

func (s *scene) acquire(args script.Args) {
	next := s.p.NextFetchOffset()
	a := &Acquire{
		Member: args.Words[0], MaxRecords: int32(args.Num("max", 500)), Exact: args.Num("exact", 0) == 1, BatchSize: int32(args.Num("batch", 500)),
		FetchOffset: next, Aborted: s.aborted, NowMs: s.nowMs,
	}
	for _, e := range s.log {
		if e.Last >= next && e.First <= args.Num("read", 1<<40) {
			a.Log = append(a.Log, e)
		}
	}
	if len(a.Log) == 0 || !s.p.CanAcquire(s.s) {
		s.Say("nothing to acquire")
		return
	}
	for _, r := range s.p.Acquire(a, s.s, nil) {
		s.Say("%s has %d-%d, delivery %d", args.Words[0], r.First, r.Last, r.Count)
	}
}

// acknowledge plays "ack a 0-9 accept" or "ack a 0-1 accept,release".
func (s *scene) acknowledge(args script.Args) {
	a := AckBatch{}
	a.First, a.Last = span(args, args.Words[1])
	for _, w := range strings.Split(args.Words[2], ",") {
		a.Types = append(a.Types, map[string]int8{"gap": Gap, "accept": Accept, "release": Release, "reject": Reject, "renew": Renew, "9": 9}[w])
	}
	s.change(s.p.Acknowledge(args.Words[0], []AckBatch{a}, s.s, s.nowMs))
}

func (s *scene) change(c Change, err error) {
	if err != nil {
		s.Say("%v", err)
		return
	}
	s.Say("write %v", c.Batches)
	s.pending = append(s.pending, c)
}

// load plays "load 5 5-9:4:1": what was written, state and deliveries.
func (s *scene) load(a script.Args) {
	var known []StateBatch
	for _, w := range a.Words[1:] {
		parts := strings.Split(w, ":")
		b := StateBatch{State: State(a.Number(parts[1])), Count: int16(a.Number(parts[2]))}
		b.First, b.Last = span(a, parts[0])
		known = append(known, b)
	}
	p, err := Load(a.Number(a.Words[0]), known)
	if err != nil {
		s.Say("%v", err)
		return
	}
	s.p = p
}
