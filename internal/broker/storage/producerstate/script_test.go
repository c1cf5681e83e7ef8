package producerstate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/script"
)

// model is a log around a State, driven by script commands.
type model struct {
	*script.Output
	t       testing.TB
	state   *State
	log     []byte
	end     int64 // log end with what is prepared
	written int64 // log end without
	now     int64
	hw      int64
	snap    []byte
	aborted []AbortedTxn
	pending []byte
}

func newModel(t testing.TB) *model { return &model{t: t, state: New(Limits{}), now: 1000} }

// run does what one line of a script says.
func (m *model) run(line string) {
	op, args, _ := strings.Cut(line, " ")
	m.step(op, script.Parse(m.t, args))
}

// data makes a data batch, header first: the State reads no more of it.
func (m *model) data(a script.Args) []byte {
	spec := record.DefaultSpec()
	spec.BaseOffset = m.end
	spec.ProducerID = a.Num("pid", -1)
	spec.ProducerEpoch = int16(a.Num("epoch", -1))
	spec.BaseSequence = int32(a.Num("seq", -1))
	spec.Transactional = a.Has("txn")
	b, err := record.AppendEmpty(nil, spec, m.end+a.Num("n", 1)-1, a.Num("ts", m.now))
	if err != nil {
		a.Fatal(err)
	}
	return b
}

func (m *model) marker(a script.Args) []byte {
	spec := record.DefaultSpec()
	spec.BaseOffset = m.end
	spec.ProducerID, spec.ProducerEpoch = a.Num("pid", -1), int16(a.Num("epoch", -1))
	typ := record.ControlAbort
	if a.Has("commit") {
		typ = record.ControlCommit
	}
	var bl record.Builder
	b, err := record.AppendEndTxn(nil, spec, record.EndTxnMarker{Type: typ, CoordinatorEpoch: int32(a.Num("coordinator", 0))}, m.now, &bl)
	if err != nil {
		a.Fatal(err)
	}
	return b
}

func (m *model) prepare(batches []byte, a script.Args, origin Origin) {
	switch a.Named["origin"] {
	case "coordinator":
		origin = Coordinator
	case "replication":
		origin = Replication
	}
	res, err := m.state.Prepare(batches, origin, int16(a.Num("tv", 0)), m.now)
	if err != nil {
		m.Say("%s: %v", protocol.CodeOf(err), err)
		return
	}
	if res.Duplicate {
		m.Say("duplicate of %d–%d at %d ms", res.BaseOffset, res.LastOffset, res.TimestampMs)
		return
	}
	m.pending = append(m.pending, batches...)
	m.end = res.LastOffset + 1
	if !a.Has("prepare") {
		m.commit()
	}
	m.Say("offsets %d–%d", res.BaseOffset, res.LastOffset)
}

func (m *model) commit() {
	m.aborted = append(m.aborted, m.state.Commit()...)
	m.log = append(m.log, m.pending...)
	m.pending, m.written = nil, m.end
}

func (m *model) step(op string, a script.Args) {
	switch op {
	case "data":
		m.prepare(m.data(a), a, Client)
	case "two": // an append of two batches: seq and seq2
		first := m.data(a)
		end := m.end
		m.end += a.Num("n", 1)
		a.Named["seq"] = a.Named["seq2"]
		both := append(first, m.data(a)...)
		m.end = end
		m.prepare(both, a, Client)
	case "marker":
		m.prepare(m.marker(a), a, Coordinator)
	case "commit":
		m.commit()
	case "rollback":
		m.state.Rollback()
		m.pending, m.end = nil, m.written
	case "hw":
		m.hw = a.Num("at", 0)
		m.state.OnHighWatermark(m.hw)
	case "start":
		m.state.OnLogStartOffset(a.Num("at", 0))
	case "limits":
		m.state.SetLimits(Limits{MaxProducers: int(a.Num("producers", 0)), ExpirationMs: a.Num("ms", 0)})
	case "now":
		m.now = a.Num("ms", 0)
	case "expire":
		m.Say("%d expired", m.state.Expire(m.now))
	case "snapshot":
		m.snap = m.state.AppendSnapshot(nil)
	case "restart": // from the snapshot, then the log behind it
		if err := m.state.Load(m.snap); err != nil {
			m.Say("%v", err)
			return
		}
		from := m.state.EndOffset()
		for rest := m.log; len(rest) > 0; {
			var b record.Batch
			b, rest, _ = record.Next(rest)
			if b.BaseOffset() >= from {
				m.state.Replay(b, m.now)
			}
		}
	case "state":
		m.Say("%s", m.describe())
	default:
		a.Fatalf("unknown step %q", op)
	}
}

func (m *model) describe() string {
	var out strings.Builder
	for p := range m.state.All() {
		fmt.Fprintf(&out, "producer %d epoch %d seq %d ts %d coordinator %d txn %d\n",
			p.ID, p.Epoch, p.LastSequence, p.LastTimestampMs, p.CoordinatorEpoch, p.TxnFirstOffset)
	}
	undecided, ok := m.state.FirstUndecidedOffset()
	fmt.Fprintf(&out, "end %d, stable %d, undecided %d %t", m.state.EndOffset(), m.state.LastStableOffset(m.hw), undecided, ok)
	for _, a := range m.aborted {
		fmt.Fprintf(&out, "\naborted %d: %d–%d, stable %d", a.ProducerID, a.FirstOffset, a.LastOffset, a.LastStableOffset)
	}
	return out.String()
}

// TestScripts plays testdata/*.txt: of each step what State answers.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		m := newModel(t)
		m.Output = out
		return func(op, args string) { m.step(op, script.Parse(t, args)) }
	})
}
