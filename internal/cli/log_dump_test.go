package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/script"
)

// segment writes a segment with a plain, a compressed idempotent and a control
// batch and returns its name and bytes.
func segment(t *testing.T) (name string, data []byte) {
	t.Helper()
	var b record.Builder
	batch := func(base int64, change func(*record.Spec), append_ func()) {
		spec := record.DefaultSpec()
		spec.BaseOffset = base
		change(&spec)
		b.Reset(spec)
		append_()
		var err error
		if data, err = b.Build(data); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	batch(7, func(*record.Spec) {}, func() {
		must(b.Append(1700000000000, nil, []byte("hello")))
		must(b.Append(1700000000001, []byte("k"), nil, record.Header{Key: []byte("h"), Value: []byte("1")}))
	})
	batch(9, func(s *record.Spec) {
		s.ProducerID, s.ProducerEpoch, s.BaseSequence, s.Codec, s.Level = 5, 1, 40, compress.Gzip, 6
	}, func() { must(b.Append(1700000000002, []byte{0xff}, []byte("zipped"))) })
	spec := record.DefaultSpec()
	spec.BaseOffset, spec.ProducerID, spec.ProducerEpoch = 10, 5, 1
	data, err := record.AppendEndTxn(data, spec, record.EndTxnMarker{Type: record.ControlCommit, CoordinatorEpoch: 3}, 1700000000003, &b)
	must(err)
	name = filepath.Join(t.TempDir(), "00000000000000000007.log")
	must(os.WriteFile(name, data, 0o600))
	return name, data
}

func TestDumpShowsEveryBatchAndRecord(t *testing.T) {
	name, _ := segment(t)
	for file, args := range map[string][]string{
		"dump.txt":         {"log", "dump", name},
		"dump-records.txt": {"log", "dump", "--records", name},
		"dump.json":        {"log", "dump", "--json", "--records", name},
	} {
		s := newSession()
		if got := s.do(args...); got != 0 {
			t.Fatalf("exit status %d: %s", got, s.err.String())
		}
		script.Golden(t, filepath.Join("testdata", file), strings.ReplaceAll(s.out.String(), filepath.Dir(name), "DIR"))
	}
}

func TestDumpFailsOnDamageAndShowsWhatIsWhole(t *testing.T) {
	name, data := segment(t)
	flipped := append([]byte(nil), data...)
	flipped[record.HeaderSize+3] ^= 1
	for what, tt := range map[string]struct {
		data  []byte
		lines int
		want  string
	}{
		"bit flip":   {flipped, 6, "1 batch is invalid"},
		"torn batch": {data[:len(data)-5], 4, "are no whole batch"},
		"garbage":    {append(append([]byte(nil), data...), make([]byte, 100)...), 5, "the last 100 bytes, from position"},
	} {
		if err := os.WriteFile(name, tt.data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := newSession()
		if got := s.do("log", "dump", name); got != 1 || !strings.Contains(s.err.String(), tt.want) {
			t.Errorf("%s: exit status %d: %s", what, got, s.err.String())
		}
		if got := strings.Count(s.out.String(), "\n"); got != tt.lines {
			t.Errorf("%s: %d lines, want %d:\n%s", what, got, tt.lines, s.out.String())
		}
	}
}
