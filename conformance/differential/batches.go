package differential

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// epochMs is the time of the first record of every batch that scenarios make: far from now, so that the
// answers' times can be compared.
const epochMs = 1_700_000_000_000

// rec is a record of a scenario; nil is null.
type rec struct {
	key, value []byte
	timestamp  int64
}

// records makes n small records a millisecond apart from a time on.
func records(n int, from int64) []rec {
	var out []rec
	for i := range n {
		out = append(out, rec{[]byte(fmt.Sprint("k", i)), []byte(fmt.Sprint("v", i)), from + int64(i)})
	}
	return out
}

// build makes a batch as a client does; change may alter its specification.
func build(rs []rec, change func(*record.Spec)) []byte {
	spec := record.DefaultSpec()
	if change != nil {
		change(&spec)
	}
	spec.Level = spec.Codec.DefaultLevel()
	var b record.Builder
	b.Reset(spec)
	for _, r := range rs {
		if err := b.Append(r.timestamp, r.key, r.value); err != nil {
			panic(err)
		}
	}
	out, err := b.Build(nil)
	if err != nil {
		panic(err)
	}
	return out
}

// plain makes a batch of n small records.
func plain(n int) []byte { return build(records(n, epochMs), nil) }

func coded(n int, c compress.Codec) []byte {
	return build(records(n, epochMs), func(s *record.Spec) { s.Codec = c })
}

// produced makes a batch of an idempotent producer.
func produced(n int, id int64, epoch int16, sequence int32) []byte {
	return build(records(n, epochMs), func(s *record.Spec) { s.ProducerID, s.ProducerEpoch, s.BaseSequence = id, epoch, sequence })
}

// altered changes bytes of a batch and makes its checksum right again.
func altered(b []byte, change func([]byte)) []byte {
	change(b)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// codecs are the four compressions by name.
var codecs = map[string]compress.Codec{"gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd}
