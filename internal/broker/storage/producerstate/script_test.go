package producerstate

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected output of testdata")

// model is a log around a State, driven by script commands.
type model struct {
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

func newModel() *model { return &model{state: New(Limits{}), now: 1000} }

type args map[string]string

func (a args) int(name string, def int64) int64 {
	v, ok := a[name]
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (a args) has(name string) bool { _, ok := a[name]; return ok }

// data makes a data batch, header first: the State reads no more of it.
func (m *model) data(a args) []byte {
	spec := record.DefaultSpec()
	spec.BaseOffset = m.end
	spec.ProducerID = a.int("pid", -1)
	spec.ProducerEpoch = int16(a.int("epoch", -1))
	spec.BaseSequence = int32(a.int("seq", -1))
	spec.Transactional = a.has("txn")
	b, err := record.AppendEmpty(nil, spec, m.end+a.int("n", 1)-1, a.int("ts", m.now))
	if err != nil {
		panic(err)
	}
	return b
}

func (m *model) marker(a args) []byte {
	spec := record.DefaultSpec()
	spec.BaseOffset = m.end
	spec.ProducerID, spec.ProducerEpoch = a.int("pid", -1), int16(a.int("epoch", -1))
	typ := record.ControlAbort
	if a.has("commit") {
		typ = record.ControlCommit
	}
	var bl record.Builder
	b, err := record.AppendEndTxn(nil, spec, record.EndTxnMarker{Type: typ, CoordinatorEpoch: int32(a.int("coordinator", 0))}, m.now, &bl)
	if err != nil {
		panic(err)
	}
	return b
}

func (m *model) prepare(batches []byte, a args, origin Origin) string {
	switch a["origin"] {
	case "coordinator":
		origin = Coordinator
	case "replication":
		origin = Replication
	}
	res, err := m.state.Prepare(batches, origin, int16(a.int("tv", 0)), m.now)
	if err != nil {
		return protocol.CodeOf(err).String() + ": " + err.Error()
	}
	if res.Duplicate {
		return fmt.Sprintf("duplicate of %d–%d at %d ms", res.BaseOffset, res.LastOffset, res.TimestampMs)
	}
	m.pending = append(m.pending, batches...)
	m.end = res.LastOffset + 1
	if !a.has("prepare") {
		m.commit()
	}
	return fmt.Sprintf("offsets %d–%d", res.BaseOffset, res.LastOffset)
}

func (m *model) commit() {
	m.aborted = append(m.aborted, m.state.Commit()...)
	m.log = append(m.log, m.pending...)
	m.pending, m.written = nil, m.end
}

func (m *model) run(line string) string {
	words := strings.Fields(line)
	a := args{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		a[k] = v
	}
	switch words[0] {
	case "data":
		return m.prepare(m.data(a), a, Client)
	case "two": // an append of two batches: seq and seq2
		first := m.data(a)
		end := m.end
		m.end += a.int("n", 1)
		a["seq"] = a["seq2"]
		both := append(first, m.data(a)...)
		m.end = end
		return m.prepare(both, a, Client)
	case "marker":
		return m.prepare(m.marker(a), a, Coordinator)
	case "commit":
		m.commit()
	case "rollback":
		m.state.Rollback()
		m.pending, m.end = nil, m.written
	case "hw":
		m.hw = a.int("at", 0)
		m.state.OnHighWatermark(m.hw)
	case "start":
		m.state.OnLogStartOffset(a.int("at", 0))
	case "limits":
		m.state.SetLimits(Limits{MaxProducers: int(a.int("producers", 0)), ExpirationMs: a.int("ms", 0)})
	case "now":
		m.now = a.int("ms", 0)
	case "expire":
		return fmt.Sprintf("%d expired", m.state.Expire(m.now))
	case "snapshot":
		m.snap = m.state.AppendSnapshot(nil)
	case "restart": // from the snapshot, then the log behind it
		if err := m.state.Load(m.snap); err != nil {
			return err.Error()
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
		return m.describe()
	default:
		return "unknown command"
	}
	return "ok"
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

// TestScripts runs testdata/*.txt: commands, a line of dashes, the answers.
// Lines that start with # are kept. A blank line ends a case; the model lives on
// to the end of the file.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m := newModel()
			var got []string
			for _, block := range strings.Split(strings.TrimSpace(string(src)), "\n\n") {
				var lines, answers []string
				for _, line := range strings.Split(block, "\n") {
					if line == "----" {
						break
					}
					lines = append(lines, line)
					if !strings.HasPrefix(line, "#") {
						answers = append(answers, m.run(line))
					}
				}
				if len(answers) > 0 {
					lines = append(append(lines, "----"), answers...)
				}
				got = append(got, strings.Join(lines, "\n"))
			}
			text := strings.Join(got, "\n\n") + "\n"
			if *rewrite {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if text != string(src) {
				t.Errorf("answers differ; check with -rewrite and git diff. Got:\n%s", text)
			}
		})
	}
}
