package sharepartition

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the scripts in testdata with what happens")

// TestScripts plays testdata/*.txt: each line is a step, and indented is what came of it.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			switch {
			case got == string(want):
			case *rewrite:
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s goes another way; it would now read:\n%s", file, got)
			}
		})
	}
}

type script struct {
	t       *testing.T
	out     strings.Builder
	p       *Partition
	s       Settings
	nowMs   int64
	log     []Extent
	aborted []AbortedTxn
	pending []Change
}

func play(t *testing.T, text string) string {
	s := &script{t: t, s: Settings{MaxDeliveries: 5, MaxLocks: 100, LockMs: 1000, Renew: true}}
	s.p, _ = Load(0, nil) // nothing is wrong with nothing
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		s.out.WriteString(line + "\n")
		if line != "" && line[0] != '#' {
			s.step(strings.Fields(line))
		}
	}
	return s.out.String()
}

func (s *script) say(format string, values ...any) { fmt.Fprintf(&s.out, "  "+format+"\n", values...) }

func (s *script) num(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) span(text string) (first, last int64) {
	a, b, _ := strings.Cut(text, "-")
	return s.num(a), s.num(b)
}

func (s *script) arg(words []string, name string, otherwise int64) int64 {
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			return s.num(v)
		}
	}
	return otherwise
}

func (s *script) step(words []string) {
	switch words[0] {
	case "settings":
		s.s.MaxDeliveries = int16(s.arg(words, "deliveries", int64(s.s.MaxDeliveries)))
		s.s.MaxLocks = int32(s.arg(words, "locks", int64(s.s.MaxLocks)))
		s.s.Renew = s.arg(words, "renew", 1) == 1
	case "log": // record batches; "5-9:7" is of producer 7's transaction, "10-10:7!" aborts it
		for _, w := range words[1:] {
			text, producer, _ := strings.Cut(w, ":")
			e := Extent{ProducerID: -1}
			e.First, e.Last = s.span(text)
			if producer != "" {
				e.Abort = strings.HasSuffix(producer, "!")
				e.ProducerID, e.Transactional = s.num(strings.TrimSuffix(producer, "!")), true
			}
			s.log = append(s.log, e)
		}
	case "aborted":
		s.aborted = append(s.aborted, AbortedTxn{s.num(words[1]), s.num(words[2])})
	case "acquire":
		s.acquire(words)
	case "ack":
		s.acknowledge(words)
	case "release":
		s.change(s.p.Release(words[1], s.s), nil)
	case "written", "failed":
		for _, c := range s.pending {
			s.say("news=%v", s.p.Complete(c, words[0] == "written", s.s, s.nowMs))
		}
		s.pending = nil
	case "pass":
		s.nowMs += s.num(words[1])
		c := s.p.Expire(s.s, s.nowMs)
		s.say("expired %v", c.Batches)
		s.p.Complete(c, true, s.s, s.nowMs)
	case "log-start":
		s.p.LogStartMoved(s.num(words[1]))
	case "load":
		s.load(words)
	default:
		s.t.Fatalf("unknown step %q", words[0])
	}
	s.show()
}

// show prints what is in flight.
func (s *script) show() {
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
	s.say("start=%d next=%d%s", s.p.Start(), s.p.NextFetchOffset(), text)
}

func (s *script) acquire(words []string) {
	next := s.p.NextFetchOffset()
	a := &Acquire{
		Member: words[1], MaxRecords: int32(s.arg(words, "max", 500)), Exact: s.arg(words, "exact", 0) == 1, BatchSize: int32(s.arg(words, "batch", 500)),
		FetchOffset: next, Aborted: s.aborted, NowMs: s.nowMs,
	}
	for _, e := range s.log {
		if e.Last >= next && e.First <= s.arg(words, "read", 1<<40) {
			a.Log = append(a.Log, e)
		}
	}
	if len(a.Log) == 0 || !s.p.CanAcquire(s.s) {
		s.say("nothing to acquire")
		return
	}
	for _, r := range s.p.Acquire(a, s.s, nil) {
		s.say("%s has %d-%d, delivery %d", words[1], r.First, r.Last, r.Count)
	}
}

// acknowledge plays "ack a 0-9 accept" or "ack a 0-1 accept,release".
func (s *script) acknowledge(words []string) {
	a := AckBatch{}
	a.First, a.Last = s.span(words[2])
	for _, w := range strings.Split(words[3], ",") {
		a.Types = append(a.Types, map[string]int8{"gap": Gap, "accept": Accept, "release": Release, "reject": Reject, "renew": Renew, "9": 9}[w])
	}
	s.change(s.p.Acknowledge(words[1], []AckBatch{a}, s.s, s.nowMs))
}

func (s *script) change(c Change, err error) {
	if err != nil {
		s.say("%v", err)
		return
	}
	s.say("write %v", c.Batches)
	s.pending = append(s.pending, c)
}

// load plays "load 5 5-9:4:1": what was written, state and deliveries.
func (s *script) load(words []string) {
	var known []StateBatch
	for _, w := range words[2:] {
		parts := strings.Split(w, ":")
		b := StateBatch{State: State(s.num(parts[1])), Count: int16(s.num(parts[2]))}
		b.First, b.Last = s.span(parts[0])
		known = append(known, b)
	}
	p, err := Load(s.num(words[1]), known)
	if err != nil {
		s.say("%v", err)
		return
	}
	s.p = p
}
