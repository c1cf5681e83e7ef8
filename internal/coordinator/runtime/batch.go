package runtime

import (
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// recordOverhead bounds what the batch format adds to a record's key and value.
const recordOverhead = 32

// batchBuilder turns the records of Effects into batches.
type batchBuilder struct {
	builder record.Builder
	buf     []byte
}

// build makes the batch that starts with out.records[first] and returns it and how
// many records it holds. The batch is valid until the next call.
func (b *batchBuilder) build(out *Effects, first int, cfg *Config, nowMs int64) (batch []byte, n int, err error) {
	n = fit(out, first, cfg.MaxBatchBytes)
	if n == 0 {
		s := out.records[first]
		return nil, 0, fmt.Errorf("a record of %d bytes, a batch may have %d: %w",
			s.keyLen+s.valueLen, cfg.MaxBatchBytes, protocol.RecordListTooLarge)
	}
	spec := record.DefaultSpec()
	if s := out.records[first]; s.txn != nil {
		spec.ProducerID, spec.ProducerEpoch, spec.Transactional = s.txn.ID, s.txn.Epoch, true
		if s.marker != nil {
			if b.buf, err = record.AppendEndTxn(b.buf[:0], spec, *s.marker, nowMs, &b.builder); err != nil {
				return nil, 0, fmt.Errorf("building a marker: %w", err)
			}
			return b.buf, n, nil
		}
	}
	spec.Codec, spec.Level = cfg.Codec, cfg.Codec.DefaultLevel()
	b.builder.Reset(spec)
	for _, s := range out.records[first : first+n] {
		key, value := out.keyValue(s)
		if err := b.builder.Append(nowMs, key, value); err != nil {
			return nil, 0, fmt.Errorf("building a batch: %w", err)
		}
	}
	b.buf, err = b.builder.Build(b.buf[:0])
	if err != nil {
		return nil, 0, fmt.Errorf("building a batch: %w", err)
	}
	return b.buf, n, nil
}

// fit returns how many records from first on fit into maxBytes: whole events, or
// as much as possible of one event that does not fit. A batch belongs to one producer
// or none, and a marker is a batch of its own.
func fit(out *Effects, first, maxBytes int) int {
	size, n, whole := record.HeaderSize, 0, 0
	mark := 0
	for mark < len(out.marks) && out.marks[mark] <= first {
		mark++
	}
	for i := first; i < len(out.records); i++ {
		if i > first && !out.records[i].together(&out.records[first]) {
			return n
		}
		size += out.records[i].keyLen + max(out.records[i].valueLen, 0) + recordOverhead
		if size > maxBytes {
			break
		}
		n++
		for mark < len(out.marks) && out.marks[mark] <= i+1 {
			whole = out.marks[mark] - first
			mark++
		}
	}
	if first+n < len(out.records) && whole > 0 {
		return whole
	}
	return n
}

// together tells whether two records may be in one batch.
func (s *span) together(o *span) bool {
	if s.marker != nil || o.marker != nil || (s.txn == nil) != (o.txn == nil) {
		return false
	}
	return s.txn == nil || *s.txn == *o.txn
}

// applyBatch gives the records of one batch from offset on to the core.
func applyBatch(core Core, batch record.Batch, offset int64, scratch *record.Scratch) (n int, err error) {
	if batch.NextOffset() <= offset || batch.Count() == 0 {
		return 0, nil
	}
	origin := Origin{
		Offset:        batch.BaseOffset(),
		TimestampMs:   batch.MaxTimestamp(),
		ProducerID:    batch.ProducerID(),
		ProducerEpoch: batch.ProducerEpoch(),
		Transactional: batch.IsTransactional(),
	}
	if batch.IsControl() {
		marker, ok, err := batch.EndTxn()
		if err != nil || !ok {
			return 0, err
		}
		origin.CoordinatorEpoch = marker.CoordinatorEpoch
		return 1, core.ApplyMarker(origin, marker.Type == record.ControlCommit)
	}
	it, err := batch.Iterate(scratch)
	if err != nil {
		return 0, err
	}
	for it.Next() {
		if it.Record.Offset < offset {
			continue
		}
		origin.Offset, origin.TimestampMs = it.Record.Offset, it.Record.Timestamp
		if err := core.Apply(it.Record.Key, it.Record.Value, origin); err != nil {
			return n, fmt.Errorf("record at offset %d: %w", origin.Offset, err)
		}
		n++
	}
	return n, it.Err()
}
