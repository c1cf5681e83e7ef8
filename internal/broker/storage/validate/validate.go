// Package validate checks what producers send before it touches a log: checksum,
// lengths, counts, timestamps, keys, and the compression that the topic wants.
//
// It needs no lock and no file, and it does not decompress unless a rule asks for
// it: Kafka decompresses every batch, which costs many times the checksum.
//
// Neighbours: package record knows batches; replica and server hand the validated
// bytes to storage.Log.Append, which only patches offsets into them.
package validate

import (
	"errors"
	"fmt"
	"math"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// Rules say what a producer's batch must keep to in a topic. They are made once
// for a topic's settings and shared.
type Rules struct {
	// MaxMessageBytes is the topic's max.message.bytes.
	MaxMessageBytes int32
	// RequireKeys refuses records without key, as compacted topics do.
	RequireKeys bool
	// LogAppendTime tells that the broker stamps the records: their own timestamps
	// do not matter.
	LogAppendTime bool
	// TimestampBeforeMaxMs and TimestampAfterMaxMs bound how far a record's
	// timestamp may be from now.
	TimestampBeforeMaxMs, TimestampAfterMaxMs int64
	// Recompress, if set, is the codec every batch gets that has another.
	Recompress bool
	// Codec is that of Recompress.
	Codec compress.Codec
	// Level is the codec's level.
	Level int
	// Strict decompresses every batch and checks each record.
	Strict bool
	// RefuseZstd refuses the codec, for requests below Produce version 7.
	RefuseZstd bool
}

// NewRules returns the rules of a topic.
func NewRules(t *config.Topic) (*Rules, error) {
	r := &Rules{
		MaxMessageBytes:      t.MaxMessageBytes,
		RequireKeys:          t.Compacts(),
		LogAppendTime:        t.LogAppendTime(),
		TimestampBeforeMaxMs: t.MessageTimestampBeforeMaxMs,
		TimestampAfterMaxMs:  t.MessageTimestampAfterMaxMs,
	}
	if t.CompressionType == "" || t.CompressionType == "producer" {
		return r, nil
	}
	codec, err := compress.ParseCodec(t.CompressionType)
	if err != nil {
		return nil, fmt.Errorf("compression.type: %w", err)
	}
	r.Recompress, r.Codec, r.Level = true, codec, codec.DefaultLevel()
	switch codec {
	case compress.Gzip:
		r.Level = int(t.CompressionGzipLevel)
	case compress.Lz4:
		r.Level = int(t.CompressionLz4Level)
	case compress.Zstd:
		r.Level = int(t.CompressionZstdLevel)
	}
	return r, nil
}

// Validator checks what producers send. It keeps memory to decompress into, so
// that one goroutine uses it at a time; a pool of them serves many.
type Validator struct {
	scratch record.Scratch
	builder record.Builder
}

// maxKeptScratch is how much memory a Validator keeps between batches.
const maxKeptScratch = 4 << 20

// Validate checks the records field of a produce request for one partition and
// returns the batch to append: the same bytes, or new ones if the topic wants
// another compression. It needs no lock and does not decompress unless a rule asks
// for it.
//
// Errors wrap Kafka's code (protocol.CodeOf). If single records are at fault they
// also wrap a *record.RecordErrors, for the RecordErrors of Produce version 8.
func (v *Validator) Validate(records []byte, rules *Rules, nowMs int64) ([]byte, error) {
	b, rest, err := record.Next(records)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes behind the one batch that is allowed", record.ErrInvalid, len(rest))
	}
	if err == nil {
		err = b.CheckCRC()
	}
	if err == nil {
		err = b.CheckClient()
	}
	if err == nil && rules.RefuseZstd && b.Codec() == compress.Zstd {
		err = fmt.Errorf("%w: zstd needs version 7 of Produce", record.ErrCodec)
	}
	if err == nil {
		err = v.checkRecords(b, rules, nowMs)
	}
	if err != nil {
		return nil, withCode(err)
	}
	if err := checkSize(b, rules); err != nil {
		return nil, err
	}
	if !rules.Recompress || b.Codec() == rules.Codec {
		return b, nil
	}
	return v.recompress(b, rules)
}

func checkSize(b record.Batch, rules *Rules) error {
	if int64(b.Size()) > int64(rules.MaxMessageBytes) {
		return fmt.Errorf("a batch of %d bytes, max.message.bytes is %d: %w", b.Size(), rules.MaxMessageBytes, protocol.MessageTooLarge)
	}
	return nil
}

// checkRecords walks over the records if something about them must be known that
// the header does not tell.
func (v *Validator) checkRecords(b record.Batch, rules *Rules, nowMs int64) error {
	rr := record.Rules{RequireKey: rules.RequireKeys}
	walk := rules.Strict || rules.RequireKeys || b.Codec() == compress.None
	if !rules.LogAppendTime {
		rr.MinTimestamp, rr.MaxTimestamp = math.MinInt64, math.MaxInt64
		if rules.TimestampBeforeMaxMs < nowMs {
			rr.MinTimestamp, walk = nowMs-max(0, rules.TimestampBeforeMaxMs), true
		}
		if rules.TimestampAfterMaxMs < math.MaxInt64-nowMs {
			rr.MaxTimestamp = nowMs + rules.TimestampAfterMaxMs
			walk = walk || b.MaxTimestamp() > rr.MaxTimestamp
		}
		rr.CheckTimestamps = true
	}
	if !walk {
		return nil
	}
	defer v.scratch.Shrink(maxKeptScratch)
	latest, err := b.CheckRecords(rr, &v.scratch)
	if err == nil && b.MaxTimestamp() != latest {
		// Lookups by time and retention rely on the header, clients err.
		b.SetMaxTimestamp(latest)
	}
	return err
}

func (v *Validator) recompress(b record.Batch, rules *Rules) ([]byte, error) {
	defer v.scratch.Shrink(maxKeptScratch)
	out, err := record.Recode(nil, b, rules.Codec, rules.Level, &v.builder, &v.scratch)
	if err != nil {
		return nil, withCode(fmt.Errorf("compressing the batch with %s: %w", rules.Codec, err))
	}
	if err := checkSize(out, rules); err != nil {
		return nil, err
	}
	return out, nil
}

// withCode adds Kafka's code to an error of package record. A batch that is cut off
// is INVALID_RECORD, not CORRUPT_MESSAGE: the client need not send it again.
func withCode(err error) error {
	code := protocol.InvalidRecord
	switch {
	case errors.Is(err, record.ErrCorrupt):
		code = protocol.CorruptMessage
	case errors.Is(err, record.ErrTimestamp):
		code = protocol.InvalidTimestamp
	case errors.Is(err, record.ErrCodec):
		code = protocol.UnsupportedCompressionType
	case errors.Is(err, record.ErrTooLarge):
		code = protocol.MessageTooLarge
	}
	return fmt.Errorf("%w: %w", code, err)
}
