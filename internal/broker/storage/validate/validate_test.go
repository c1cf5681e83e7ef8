package validate

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// batchOf builds a batch of n records of size bytes, all with one timestamp.
func batchOf(t testing.TB, spec record.Spec, n, size int, timestampMs int64) []byte {
	t.Helper()
	var bl record.Builder
	bl.Reset(spec)
	for range n {
		if err := bl.Append(timestampMs, []byte("key"), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := bl.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func batch(t testing.TB, n, size int, timestampMs int64) []byte {
	t.Helper()
	return batchOf(t, record.DefaultSpec(), n, size, timestampMs)
}

func TestValidationRefusesWithKafkasCodes(t *testing.T) {
	topic := config.DefaultTopic()
	topic.MaxMessageBytes = 2000
	now := int64(1_700_000_000_000)
	good := func() []byte { return batch(t, 3, 100, now) }
	with := func(change func(b record.Batch)) []byte {
		b := record.Batch(good())
		change(b)
		b.SetProducer(b.ProducerID(), b.ProducerEpoch(), b.BaseSequence()) // a new CRC
		return b
	}
	keyless := func() []byte {
		bl := &record.Builder{}
		bl.Reset(record.DefaultSpec())
		for i := range 3 {
			key := []byte("k")
			if i == 1 {
				key = nil
			}
			if err := bl.Append(now, key, []byte("v")); err != nil {
				t.Fatal(err)
			}
		}
		b, _ := bl.Build(nil)
		return b
	}
	compacted := topic
	compacted.CleanupPolicy = []string{"compact"}
	zstd := record.DefaultSpec()
	zstd.Codec, zstd.Level = compress.Zstd, compress.Zstd.DefaultLevel()
	for _, c := range []struct {
		name  string
		topic config.Topic
		b     []byte
		want  protocol.ErrorCode
		index int32
	}{
		{"good", topic, good(), protocol.None, -1},
		{"compressed", topic, batchOf(t, zstd, 3, 100, now), protocol.None, -1},
		{"empty", topic, nil, protocol.InvalidRecord, -1},
		{"truncated", topic, good()[:100], protocol.InvalidRecord, -1},
		{"flipped bit", topic, func() []byte { b := good(); b[90] ^= 1; return b }(), protocol.CorruptMessage, -1},
		{"two batches", topic, append(good(), good()...), protocol.InvalidRecord, -1},
		{"base offset", topic, with(func(b record.Batch) { b.SetBaseOffset(4) }), protocol.InvalidRecord, -1},
		{"lying count", topic, with(func(b record.Batch) { b[60] = 2 }), protocol.InvalidRecord, -1},
		{"lying count and delta", topic, with(func(b record.Batch) { b[60], b[26] = 2, 1 }), protocol.InvalidRecord, -1},
		{"control batch", topic, with(func(b record.Batch) { b[22] |= 0x20 }), protocol.InvalidRecord, -1},
		{"unknown codec", topic, with(func(b record.Batch) { b[22] |= 7 }), protocol.UnsupportedCompressionType, -1},
		{"too large", topic, batch(t, 30, 100, now), protocol.MessageTooLarge, -1},
		{"future", topic, batch(t, 1, 10, now+4_000_000), protocol.InvalidTimestamp, 0},
		{"no key, not compacted", topic, keyless(), protocol.None, -1},
		{"no key", compacted, keyless(), protocol.InvalidRecord, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules, err := NewRules(&c.topic)
			if err != nil {
				t.Fatal(err)
			}
			_, err = (&Validator{}).Validate(c.b, rules, now)
			if protocol.CodeOf(err) != c.want {
				t.Fatalf("%v, want %v", err, c.want)
			}
			var bad *record.RecordErrors
			if c.index >= 0 && (!errors.As(err, &bad) || len(bad.Indexes) == 0 || bad.Indexes[0] != c.index) {
				t.Fatalf("record errors %+v", bad)
			}
		})
	}
	topic.CompressionType = "gzip"
	topic.MessageTimestampAfterMaxMs = math.MaxInt64
	rules, err := NewRules(&topic)
	if err != nil {
		t.Fatal(err)
	}
	wrongTime := good()
	record.Batch(wrongTime).SetMaxTimestamp(now + 5)
	plain, err := (&Validator{}).Validate(wrongTime, rules, now)
	if err != nil || record.Batch(plain).MaxTimestamp() != record.Batch(good()).MaxTimestamp() || record.Batch(plain).CheckCRC() != nil {
		t.Fatalf("a wrong largest timestamp stays: %v, %v", record.Batch(plain), err)
	}
	out, err := (&Validator{}).Validate(good(), rules, now)
	if err != nil || record.Batch(out).Codec() != compress.Gzip || record.Batch(out).CheckCRC() != nil {
		t.Fatalf("recompressed: %v", err)
	}
}

func BenchmarkValidate(b *testing.B) {
	topic := config.DefaultTopic()
	rules, err := NewRules(&topic)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().UnixMilli()
	for _, c := range []struct{ n, size int }{{1, 1024}, {1000, 100}, {1000, 1024}} {
		b.Run(fmt.Sprintf("%dx%d", c.n, c.size), func(b *testing.B) {
			data := batchOf(b, record.DefaultSpec(), c.n, c.size, now)
			v := &Validator{}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Validate(data, rules, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
