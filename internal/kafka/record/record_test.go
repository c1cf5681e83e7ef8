package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/internal/kafka/compress"
)

var codecs = []compress.Codec{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd}

type plain struct {
	Offset, Timestamp int64
	Key, Value        []byte
	Headers           []Header
}

func readAll(t *testing.T, b Batch) []plain {
	t.Helper()
	it, err := b.Iterate(&Scratch{})
	if err != nil {
		t.Fatal(err)
	}
	var out []plain
	for it.Next() {
		p := plain{Offset: it.Record.Offset, Timestamp: it.Record.Timestamp,
			Key: bytes.Clone(it.Record.Key), Value: bytes.Clone(it.Record.Value)}
		h := it.Record.Headers()
		for h.Next() {
			p.Headers = append(p.Headers, Header{bytes.Clone(h.Header.Key), bytes.Clone(h.Header.Value)})
		}
		if h.Err() != nil {
			t.Fatal(h.Err())
		}
		out = append(out, p)
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return out
}

// diff is cmp.Diff, which is slow on equal bytes.
func diff(want, got []plain) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

func randomRecords(rng *rand.Rand) []plain {
	some := func() []byte {
		switch rng.IntN(5) {
		case 0:
			return nil
		case 1:
			return []byte{}
		}
		b := make([]byte, rng.IntN(300))
		for i := range b {
			b[i] = byte(rng.IntN(4))
		}
		return b
	}
	out := make([]plain, 1+rng.IntN(40))
	for i := range out {
		out[i] = plain{Offset: int64(i), Timestamp: 1_700_000_000_000 + rng.Int64N(1<<40) - 1<<39, Key: some(), Value: some()}
		for range rng.IntN(3) {
			out[i].Headers = append(out[i].Headers, Header{append([]byte("h"), some()...), some()})
		}
	}
	return out
}

func build(t testing.TB, spec Spec, records []plain) Batch {
	t.Helper()
	var bl Builder
	bl.Reset(spec)
	for _, p := range records {
		if err := bl.Append(p.Timestamp, p.Key, p.Value, p.Headers...); err != nil {
			t.Fatal(err)
		}
	}
	b, err := bl.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuiltBatchesAreWhatKmsgReads(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		codec := codecs[i%len(codecs)]
		spec := DefaultSpec()
		spec.BaseOffset, spec.PartitionLeaderEpoch = rng.Int64N(1<<40), rng.Int32()
		spec.Codec, spec.Level = codec, codec.DefaultLevel()
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = rng.Int64(), 7, rng.Int32()
		spec.Transactional = i%3 == 0
		records := randomRecords(rng)
		b := build(t, spec, records)

		var k kmsg.RecordBatch
		if err := k.ReadFrom(b); err != nil {
			t.Fatal(err)
		}
		if uint32(k.CRC) != b.ComputeCRC() || int(k.Length) != len(b)-LengthPrefix {
			t.Fatal("kmsg reads another CRC or length")
		}
		if k.FirstOffset != spec.BaseOffset || k.ProducerID != spec.ProducerID || k.FirstSequence != spec.BaseSequence ||
			k.NumRecords != int32(len(records)) || k.LastOffsetDelta != int32(len(records))-1 ||
			k.MaxTimestamp != b.MaxTimestamp() || k.PartitionLeaderEpoch != spec.PartitionLeaderEpoch {
			t.Fatalf("kmsg reads another header: %+v of %s", k, b)
		}
		raw, err := compress.Decompress(nil, k.Records, codec, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		var again []byte
		for j := range records {
			var r kmsg.Record
			if err := r.ReadFrom(raw); err != nil {
				t.Fatal(err)
			}
			if r.OffsetDelta != int32(j) || k.FirstTimestamp+r.TimestampDelta64 != records[j].Timestamp {
				t.Fatalf("record %d: offset delta %d, timestamp %d", j, r.OffsetDelta, k.FirstTimestamp+r.TimestampDelta64)
			}
			n := len(again)
			again = r.AppendTo(again)
			raw = raw[len(again)-n:]
		}
		if len(raw) != 0 {
			t.Fatalf("%d bytes kmsg does not know", len(raw))
		}
		for j := range records {
			records[j].Offset += spec.BaseOffset
		}
		if d := diff(records, readAll(t, b)); d != "" {
			t.Fatalf("%s: %s", codec, d)
		}
		// What kmsg encodes, the iterator reads.
		k.Records = again
		k.Attributes &^= codecMask
		k.Length = int32(HeaderSize - LengthPrefix + len(again))
		if d := diff(records, readAll(t, k.AppendTo(nil))); d != "" {
			t.Fatal(d)
		}
	}
}

func TestNextSplitsARecordsField(t *testing.T) {
	a, b := build(t, DefaultSpec(), randomRecords(rand.New(rand.NewPCG(1, 1)))), build(t, DefaultSpec(), []plain{{}})
	field := append(bytes.Clone(a), b...)
	first, rest, err := Next(field)
	if err != nil || !bytes.Equal(first, a) {
		t.Fatal(err)
	}
	second, rest, err := Next(rest)
	if err != nil || !bytes.Equal(second, b) || len(rest) != 0 {
		t.Fatal(err)
	}
	for cut := range len(b) {
		if _, _, err := Next(b[:cut]); !errors.Is(err, ErrShort) {
			t.Fatalf("cut to %d: %v", cut, err)
		}
	}
	bad := bytes.Clone(b)
	bad[atMagic] = 1
	if _, _, err := Next(bad); !errors.Is(err, ErrMagic) {
		t.Fatal(err)
	}
	bad = bytes.Clone(b)
	bad[atLength+3], bad[atLength+2] = HeaderSize-LengthPrefix-1, 0
	if _, _, err := Next(bad); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	bad[atLength] = 0x80
	if _, _, err := Next(bad); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
}

func TestLeaderPatchesWithoutTouchingTheCRC(t *testing.T) {
	b := build(t, DefaultSpec(), []plain{{Timestamp: 5}, {Timestamp: 9}})
	b.SetBaseOffset(1 << 50)
	b.SetPartitionLeaderEpoch(42)
	if err := b.CheckCRC(); err != nil {
		t.Fatal(err)
	}
	if b.LastOffset() != 1<<50+1 || b.PartitionLeaderEpoch() != 42 {
		t.Fatal(b)
	}
	b.SetLogAppendTime(77)
	if err := b.CheckCRC(); err != nil {
		t.Fatal(err)
	}
	for _, r := range readAll(t, b) {
		if r.Timestamp != 77 {
			t.Fatalf("timestamp %d", r.Timestamp)
		}
	}
	b.SetProducer(9, 1, math.MaxInt32)
	if err := b.CheckCRC(); err != nil || b.LastSequence() != 0 {
		t.Fatal(err, b.LastSequence())
	}
	for i := atAttributes; i < len(b); i++ {
		b[i] ^= 1
		if err := b.CheckCRC(); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("flipped byte %d is not noticed", i)
		}
		b[i] ^= 1
	}
}

func TestSequencesWrapAtMaxInt32(t *testing.T) {
	for _, tc := range []struct{ s, n, want int32 }{
		{0, 0, 0}, {0, 1, 1}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 2, 5, 2},
	} {
		if got := AddSequence(tc.s, tc.n); got != tc.want {
			t.Errorf("%d + %d = %d, want %d", tc.s, tc.n, got, tc.want)
		}
	}
}

func TestClientBatchesThatBreakARuleAreRefused(t *testing.T) {
	two := []plain{{Timestamp: 1, Key: []byte("k")}, {Timestamp: 2}}
	patch := func(f func(b Batch)) Batch {
		b := build(t, DefaultSpec(), two)
		f(b)
		b.putCRC()
		return b
	}
	spec := func(f func(s *Spec)) Batch {
		s := DefaultSpec()
		f(&s)
		return build(t, s, two)
	}
	for name, tc := range map[string]struct {
		b    Batch
		want error
	}{
		"good":                   {build(t, DefaultSpec(), two), nil},
		"base offset":            {patch(func(b Batch) { b.SetBaseOffset(1) }), ErrInvalid},
		"negative base offset":   {patch(func(b Batch) { b.SetBaseOffset(-1) }), ErrInvalid},
		"count too small":        {patch(func(b Batch) { b[atCount+3] = 1 }), ErrInvalid},
		"count zero":             {patch(func(b Batch) { b[atCount+3] = 0 }), ErrInvalid},
		"count negative":         {patch(func(b Batch) { b[atCount] = 0x80 }), ErrInvalid},
		"count beyond the bytes": {patch(func(b Batch) { b[atCount], b[atLastOffsetDelta] = 0x70, 0x70 }), ErrInvalid},
		"negative delta":         {patch(func(b Batch) { b[atLastOffsetDelta] = 0xff }), ErrInvalid},
		"control":                {spec(func(s *Spec) { s.Control = true }), ErrInvalid},
		"delete horizon":         {spec(func(s *Spec) { s.DeleteHorizonMs = 5 }), ErrInvalid},
		"log append time":        {spec(func(s *Spec) { s.TimestampType = LogAppendTime }), ErrTimestamp},
		"no sequence":            {spec(func(s *Spec) { s.ProducerID, s.ProducerEpoch = 1, 0 }), ErrInvalid},
		"no epoch":               {spec(func(s *Spec) { s.ProducerID, s.BaseSequence = 1, 0 }), ErrInvalid},
		"transaction without id": {spec(func(s *Spec) { s.Transactional = true }), ErrInvalid},
		"producer id −2":         {spec(func(s *Spec) { s.ProducerID = -2 }), ErrInvalid},
		"codec 5":                {patch(func(b Batch) { b[atAttributes+1] = 5 }), ErrCodec},
	} {
		if err := tc.b.CheckClient(); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

func TestRecordRules(t *testing.T) {
	records := []plain{{Timestamp: 10, Key: []byte("a")}, {Timestamp: 20}, {Timestamp: 30}, {Timestamp: 1, Key: []byte{}}}
	for _, codec := range codecs {
		spec := DefaultSpec()
		spec.Codec, spec.Level = codec, codec.DefaultLevel()
		b := build(t, spec, records)
		if _, err := b.CheckRecords(Rules{}, &Scratch{}); err != nil {
			t.Fatal(err)
		}
		var bad *RecordErrors
		_, err := b.CheckRecords(Rules{RequireKey: true}, &Scratch{})
		if !errors.Is(err, ErrInvalid) || !errors.As(err, &bad) || !cmp.Equal(bad.Indexes, []int32{1, 2}) {
			t.Errorf("%s: %v", codec, err)
		}
		_, err = b.CheckRecords(Rules{CheckTimestamps: true, MinTimestamp: 10, MaxTimestamp: 29}, &Scratch{})
		if !errors.Is(err, ErrTimestamp) || !errors.As(err, &bad) || !cmp.Equal(bad.Indexes, []int32{2, 3}) {
			t.Errorf("%s: %v", codec, err)
		}
		if codec != compress.None {
			if _, err := b.CheckRecords(Rules{}, &Scratch{MaxBytes: 10}); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: %v", codec, err)
			}
		}
	}
	b := build(t, DefaultSpec(), records)
	b[HeaderSize+3] = 2 // the first record's offset delta becomes 1
	if _, err := b.CheckRecords(Rules{}, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("repeated offset: %v", err)
	}
	b = append(build(t, DefaultSpec(), records), 0)
	if _, err := b.CheckRecords(Rules{}, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("trailing byte: %v", err)
	}
}

func TestRecodeKeepsTheRecords(t *testing.T) {
	var bl Builder
	var scratch Scratch
	rng := rand.New(rand.NewPCG(8, 8))
	for _, from := range codecs {
		for _, to := range codecs {
			spec := DefaultSpec()
			spec.Codec, spec.Level = from, from.DefaultLevel()
			spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 4, 2, 11
			b := build(t, spec, randomRecords(rng))
			out, err := Recode(nil, b, to, to.DefaultLevel(), &bl, &scratch)
			if err != nil {
				t.Fatal(err)
			}
			r := Batch(out)
			if r.Codec() != to || r.CheckCRC() != nil || r.LastSequence() != b.LastSequence() {
				t.Fatal(r)
			}
			if d := diff(readAll(t, b), readAll(t, r)); d != "" {
				t.Fatal(d)
			}
		}
	}
}

func TestSparseAndEmptyBatchesKeepTheirOffsets(t *testing.T) {
	spec := DefaultSpec()
	spec.BaseOffset, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 100, 1, 0, 50
	spec.DeleteHorizonMs = 9999
	var bl Builder
	bl.Reset(spec)
	for _, off := range []int64{103, 107} {
		if err := bl.AppendRecord(&Record{Offset: off, Timestamp: 5000 + off, Key: []byte("k"), RawHeaders: []byte{0}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := bl.AppendRecord(&Record{Offset: 107, RawHeaders: []byte{0}}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("repeated offset: %v", err)
	}
	out, err := bl.BuildTo(nil, 110)
	if err != nil {
		t.Fatal(err)
	}
	b := Batch(out)
	if b.BaseOffset() != 100 || b.LastOffset() != 110 || b.LastSequence() != 60 || b.Count() != 2 || b.CheckHeader() != nil {
		t.Fatal(b)
	}
	if ms, ok := b.DeleteHorizonMs(); !ok || ms != 9999 {
		t.Fatal(ms, ok)
	}
	want := []plain{{Offset: 103, Timestamp: 5103, Key: []byte("k")}, {Offset: 107, Timestamp: 5107, Key: []byte("k")}}
	if d := diff(want, readAll(t, b)); d != "" {
		t.Fatal(d)
	}
	if _, err := bl.BuildTo(nil, 106); !errors.Is(err, ErrInvalid) {
		t.Fatal("last offset before the last record")
	}
	out, err = AppendEmpty(nil, spec, 110, 5107)
	if err != nil {
		t.Fatal(err)
	}
	b = out
	if b.Count() != 0 || b.Size() != HeaderSize || b.CheckCRC() != nil || b.CheckHeader() != nil || b.LastSequence() != 60 || len(readAll(t, b)) != 0 {
		t.Fatal(b)
	}
	bl.Reset(spec)
	if _, err := bl.Build(nil); !errors.Is(err, ErrInvalid) {
		t.Fatal("built without records")
	}
}

func TestEndTxnMarkers(t *testing.T) {
	var bl Builder
	for _, typ := range []ControlType{ControlAbort, ControlCommit} {
		spec := DefaultSpec()
		spec.ProducerID, spec.ProducerEpoch = 12, 3
		out, err := AppendEndTxn(nil, spec, EndTxnMarker{typ, 6}, 1234, &bl)
		if err != nil {
			t.Fatal(err)
		}
		b := Batch(out)
		if !b.IsControl() || !b.IsTransactional() || b.BaseSequence() != NoSequence || b.LastSequence() != NoSequence {
			t.Fatal(b)
		}
		m, ok, err := b.EndTxn()
		if err != nil || !ok || m != (EndTxnMarker{typ, 6}) {
			t.Fatal(m, ok, err)
		}
		r := readAll(t, b)[0]
		if !bytes.Equal(r.Key, []byte{0, 0, 0, byte(typ)}) || !bytes.Equal(r.Value, []byte{0, 0, 0, 0, 0, 6}) {
			t.Fatalf("%x %x", r.Key, r.Value)
		}
	}
	for _, key := range [][]byte{nil, {0, 0, 0}, {0xff, 0, 0, 0}} {
		if _, err := ParseControlKey(key); !errors.Is(err, ErrInvalid) {
			t.Errorf("key %x: %v", key, err)
		}
	}
	if _, ok, err := ParseEndTxn(&Record{Key: AppendControlKey(nil, ControlLeaderChange)}); ok || err != nil {
		t.Error("a leader change is no marker")
	}
	if _, _, err := ParseEndTxn(&Record{Key: AppendControlKey(nil, ControlCommit), Value: []byte{0}}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if s := fmt.Sprint(ControlSnapshotFooter, ControlType(99)); s != "SNAPSHOT_FOOTER CONTROL_99" {
		t.Error(s)
	}
}

func TestUncompressedIterationDoesNotAllocate(t *testing.T) {
	b := build(t, DefaultSpec(), randomRecords(rand.New(rand.NewPCG(5, 6))))
	if n := testing.AllocsPerRun(50, func() {
		if _, err := b.CheckRecords(Rules{CheckTimestamps: true, MaxTimestamp: math.MaxInt64, MinTimestamp: math.MinInt64}, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzBatch(f *testing.F) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, codec := range codecs {
		spec := DefaultSpec()
		spec.Codec, spec.Level = codec, codec.DefaultLevel()
		f.Add([]byte(build(f, spec, randomRecords(rng)[:1])))
	}
	var bl Builder
	marker, err := AppendEndTxn(nil, Spec{}, EndTxnMarker{}, 0, &bl)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(marker)
	f.Fuzz(func(t *testing.T, in []byte) {
		scratch := &Scratch{MaxBytes: 1 << 16}
		for rest := in; ; {
			b, next, err := Next(rest)
			if err != nil {
				break
			}
			rest = next
			_ = b.CheckCRC()
			_ = b.CheckHeader()
			_ = b.CheckClient()
			_, _, _ = b.EndTxn()
			_ = b.String()
			_, valid := b.CheckRecords(Rules{RequireKey: true, CheckTimestamps: true}, scratch)
			if valid == nil && b.CheckClient() == nil {
				if _, err := Recode(nil, b, compress.None, 0, &bl, scratch); err != nil {
					t.Fatalf("a valid batch cannot be recoded: %v", err)
				}
			}
			b.SetLogAppendTime(1)
			if err := b.CheckCRC(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func benchBatch(b *testing.B, size int) Batch {
	value := bytes.Repeat([]byte("naru "), size/5)
	records := make([]plain, 1000)
	for i := range records {
		records[i] = plain{Timestamp: int64(i), Key: []byte("key"), Value: value}
	}
	return build(b, DefaultSpec(), records)
}

func BenchmarkCheckCRC(b *testing.B) {
	batch := benchBatch(b, 1000)
	b.ReportAllocs()
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		if err := batch.CheckCRC(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIterate(b *testing.B) {
	batch := benchBatch(b, 100)
	b.ReportAllocs()
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		if _, err := batch.CheckRecords(Rules{RequireKey: true}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

func BenchmarkBuild(b *testing.B) {
	value := bytes.Repeat([]byte("naru "), 20)
	var bl Builder
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		bl.Reset(DefaultSpec())
		for i := range 1000 {
			if err := bl.Append(int64(i), nil, value); err != nil {
				b.Fatal(err)
			}
		}
		out, _ = bl.Build(out[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}
