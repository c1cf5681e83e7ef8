package sharefetch

import (
	"strings"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/script"
)

// TestScripts plays testdata/*.txt: what a step does, and what has happened when nothing
// moves any more.
func TestScripts(t *testing.T) {
	script.RunInBubble(t, func(t *testing.T, out *script.Output) func(op, args string) {
		w := newWorld(t)
		return func(op, args string) {
			w.step(op, script.Parse(t, args), out)
			for _, e := range w.settle() {
				out.Say("%s", e)
			}
		}
	})
}

// span reads "5-9".
func span(a script.Args, text string) (first, last int64) {
	left, right, _ := strings.Cut(text, "-")
	return a.Number(left), a.Number(right)
}

func partitionOf(a script.Args) sharesession.Partition {
	return sharesession.Partition{Topic: topicID, Index: int32(a.Num("partition", 0))}
}

func (w *world) step(op string, a script.Args, out *script.Output) {
	switch op {
	case "settings": // committed letters by_duration=MS latest lock=MS
		w.set(a)
	case "append":
		w.append(int32(a.Num("partition", 0)), int(a.Number(a.Words[0])), a.Num("producer", -1))
	case "commit":
		w.endTxn(int32(a.Num("partition", 0)), a.Num("producer", -1), record.ControlCommit)
	case "abort":
		w.endTxn(int32(a.Num("partition", 0)), a.Num("producer", -1), record.ControlAbort)
	case "lead", "resign":
		w.elect(int32(a.Num("partition", 0)), map[string]int32{"lead": 1, "resign": -1}[op])
	case "delete":
		w.change(&metarecord.RemoveTopicRecord{TopicId: topicID})
	case "told": // of the last change
		w.m.OnMetadata(w.changes)
	case "log-start":
		if err := w.replicas.Partition("t", int32(a.Num("partition", 0))).DeleteRecordsBefore(a.Number(a.Words[0])); err != nil {
			w.t.Fatal(err)
		}
	case "join":
		w.join(a)
	case "leave":
		closed, _ := w.sessions.Close(sharesession.Key{Group: "g", Member: a.Words[0]})
		w.m.Ended(closed)
	case "fetch":
		w.startFetch(a)
	case "abandon":
		if w.fetches[a.Words[0]].Abandon() {
			delete(w.fetches, a.Words[0])
		}
	case "ack": // ack a 0-9 accept, or ack a 0-1 accept,release
		b := sharepartition.AckBatch{}
		b.First, b.Last = span(a, a.Words[1])
		for _, word := range strings.Split(a.Words[2], ",") {
			b.Types = append(b.Types, map[string]int8{
				"accept": sharepartition.Accept, "release": sharepartition.Release, "reject": sharepartition.Reject, "renew": sharepartition.Renew,
			}[word])
		}
		w.acknowledge(a.Words[0], partitionOf(a), []sharepartition.AckBatch{b})
	case "pass":
		sleep(a.Number(a.Words[0]))
	case "hold", "answer":
		w.coordinate(op, a)
	case "buried":
		take(w, &w.letters).Done()
	case "gate": // gate log closed, gate log open
		w.moveGate(a)
	case "show":
		w.show(out)
	default:
		a.Fatalf("unknown step %q", op)
	}
}

func (w *world) set(a script.Args) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settings.Committed, w.settings.Settings.DeadLetters = a.Has("committed"), a.Has("letters")
	w.settings.Reset = Reset{Earliest: !a.Has("latest") && a.Opt("by_duration") == nil, DurationMs: a.Num("by_duration", 0)}
	w.settings.LockMs, w.settings.MaxLocks = a.Num("lock", 1000), int32(a.Num("locks", 100))
	w.settings.MaxDeliveries = int16(a.Num("deliveries", 5))
}

func (w *world) join(a script.Args) {
	w.conns++
	_, code := w.sessions.Begin(&sharesession.Fetch{
		Key: sharesession.Key{Group: "g", Member: a.Words[0]}, Added: []sharesession.Partition{{Topic: topicID}, {Topic: topicID, Index: 1}},
		Conn: w.conns, MaxSessions: 10,
	})
	if code != protocol.None {
		a.Fatalf("%s: %v", a.Words[0], code)
	}
}

func (w *world) startFetch(a script.Args) {
	f := &Fetch{
		Member: a.Words[0], MaxWait: time.Duration(a.Num("wait", 60_000)) * time.Millisecond,
		MinBytes: a.Num("min", 1), MaxBytes: a.Num("bytes", 1<<20), MaxRecords: int32(a.Num("max", 500)), BatchSize: 500, Exact: a.Has("exact"),
	}
	for _, index := range strings.Split(a.Str("of", "0"), ",") {
		if index != "none" {
			f.Partitions = append(f.Partitions, sharesession.Partition{Topic: topicID, Index: int32(a.Number(index))})
		}
	}
	w.fetch(f)
}

// coordinate plays "hold", "answer read start=5 epoch=2 5-9:3:1", "answer write
// error=FENCED_STATE_EPOCH" and "answer at-once error=GROUP_ID_NOT_FOUND".
func (w *world) coordinate(op string, a script.Args) {
	code := codeOf(a)
	w.mu.Lock()
	switch {
	case op == "hold":
		w.state.held = !a.Has("off")
	case a.Has("at-once"):
		w.state.code = code
	}
	w.mu.Unlock()
	if op == "hold" || a.Has("at-once") {
		return
	}
	if a.Words[0] == "write" {
		w.answerWrite(code)
		return
	}
	r := &protocol.ReadShareGroupStateResponsePartitionResult{ErrorCode: code, StateEpoch: int32(a.Num("epoch", 1)), StartOffset: a.Num("start", -1)}
	for _, word := range a.Words[1:] {
		parts := strings.Split(word, ":")
		b := protocol.ReadShareGroupStateResponseStateBatch{DeliveryState: int8(a.Number(parts[1])), DeliveryCount: int16(a.Number(parts[2]))}
		b.FirstOffset, b.LastOffset = span(a, parts[0])
		r.StateBatches = append(r.StateBatches, b)
	}
	w.answerRead(r)
}

// codeOf reads error=NAME.
func codeOf(a script.Args) (code protocol.ErrorCode) {
	for name := a.Str("error", "NONE"); code.String() != name; code++ {
		if code > 200 {
			a.Fatalf("no error is called %q", name)
		}
	}
	return code
}

func (w *world) moveGate(a script.Args) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.Has("closed") {
		w.gates[a.Words[0]] = make(chan struct{})
		return
	}
	w.open(a.Words[0])
}

// show tells what the manager holds.
func (w *world) show(out *script.Output) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	out.Say("%d share partitions, %d timers", len(w.m.groups["g"]), w.timer.Len())
}
