package cleaner

import (
	"bytes"
	"fmt"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// Context is what a Filter knows beside the batches.
type Context struct {
	// NowMs is the time of this cleaning.
	NowMs int64
	// DeleteRetentionMs is delete.retention.ms.
	DeleteRetentionMs int64
	// Aborted are the transactions aborted in the log, at least all that overlap
	// the segments to be cleaned.
	Aborted []producerstate.AbortedTxn
	// Producers are the live producers of the log.
	Producers []producerstate.Producer
	// MaxDecompressedBytes bounds one batch; 0 means the default of package record.
	MaxDecompressedBytes int
}

// Filter decides what stays of the batches of one log, which it gets in order from
// the start of the log on. One goroutine uses it.
type Filter struct {
	// Read and Kept count records, Changed the batches that did not stay as they
	// were.
	Read, Kept, Changed int64

	nowMs, horizonMs int64
	keys             *OffsetMap
	txns             *transactions
	live             map[int64]producerstate.Producer
	builder          record.Builder
	scratch          record.Scratch
	keep             []bool
	records          []candidate
	hashes           []slot
}

// candidate is a record of which it is to be said whether it stays.
type candidate struct {
	offset    int64
	tombstone bool
	key       int // where in Filter.hashes its key is, −1 without a key
}

// NewFilter returns a Filter that keeps of each key in the map the last record.
func NewFilter(keys *OffsetMap, c Context) *Filter {
	f := &Filter{
		nowMs:     c.NowMs,
		horizonMs: c.NowMs + c.DeleteRetentionMs,
		keys:      keys,
		txns:      newTransactions(c.Aborted),
		live:      make(map[int64]producerstate.Producer, len(c.Producers)),
	}
	f.scratch.MaxBytes = c.MaxDecompressedBytes
	for _, p := range c.Producers {
		f.live[p.ID] = p
	}
	return f
}

// Append appends to dst what stays of the batch: all of it, a rewritten batch, an
// empty one, or nothing. The batch has been checked with CheckCRC.
func (f *Filter) Append(dst []byte, b record.Batch) ([]byte, error) {
	start := len(dst)
	f.Read += int64(b.Count())
	var err error
	if b.IsControl() {
		dst, err = f.appendControl(dst, b)
	} else {
		dst, err = f.appendData(dst, b)
	}
	if !bytes.Equal(dst[start:], b) {
		f.Changed++
	}
	return dst, err
}

func (f *Filter) appendData(dst []byte, b record.Batch) ([]byte, error) {
	aborted := f.txns.data(b)
	last := f.isLastOfProducer(b)
	if aborted && !last {
		return dst, nil
	}
	kept, tombstones, it, err := f.choose(b, aborted)
	if err != nil {
		return dst, err
	}
	f.Kept += int64(kept)
	// A batch that reaches behind what was compared gets its horizon next time: an
	// older value of one of its tombstones may still be there, and who reads that
	// must have the whole time to come to the tombstone.
	_, hasHorizon := b.DeleteHorizonMs()
	setHorizon := tombstones && !hasHorizon && b.LastOffset() <= f.keys.LatestOffset
	switch {
	case kept == 0 && last:
		return record.AppendEmpty(dst, emptySpec(b), b.LastOffset(), b.MaxTimestamp())
	case kept == 0:
		return dst, nil
	case kept == int(b.Count()) && !setHorizon:
		return append(dst, b...), nil
	}
	spec := record.SpecOf(b)
	if setHorizon {
		spec.DeleteHorizonMs = f.horizonMs
	}
	return f.rebuild(dst, b, spec, it)
}

// emptySpec is the batch without records: it has no use for a delete horizon.
func emptySpec(b record.Batch) record.Spec {
	spec := record.SpecOf(b)
	spec.DeleteHorizonMs = record.NoTimestamp
	return spec
}

// isLastOfProducer tells whether the batch carries the last sequence number of a
// live producer.
func (f *Filter) isLastOfProducer(b record.Batch) bool {
	if !b.HasProducerID() {
		return false
	}
	p, ok := f.live[b.ProducerID()]
	return ok && p.LastDataOffset == b.LastOffset()
}

// choose marks in f.keep which records stay. The iterator stands before the first
// record, for rebuild.
func (f *Filter) choose(b record.Batch, aborted bool) (kept int, tombstones bool, it record.Iterator, err error) {
	f.keep = f.keep[:0]
	if aborted || b.Count() == 0 {
		return 0, false, it, nil
	}
	if it, err = b.Iterate(&f.scratch); err != nil {
		return 0, false, it, err
	}
	f.records, f.hashes = f.records[:0], f.hashes[:0]
	walk := it
	for walk.Next() { // lookups come in a row afterwards, as in fillBatch
		r := candidate{walk.Record.Offset, walk.Record.Value == nil, -1}
		if walk.Record.Key != nil && r.offset <= f.keys.LatestOffset {
			r.key = len(f.hashes)
			f.hashes = append(f.hashes, hash(walk.Record.Key))
		}
		f.records = append(f.records, r)
	}
	if walk.Err() != nil {
		return 0, false, it, walk.Err()
	}
	horizon, hasHorizon := b.DeleteHorizonMs()
	for _, r := range f.records {
		stays := f.stays(r, !hasHorizon || f.nowMs < horizon)
		f.keep = append(f.keep, stays)
		if stays {
			kept++
			tombstones = tombstones || r.tombstone
		}
	}
	return kept, tombstones, it, nil
}

func (f *Filter) stays(r candidate, tombstones bool) bool {
	switch {
	case r.offset > f.keys.LatestOffset:
		return true // not compared with what follows it
	case r.key < 0, r.tombstone && !tombstones:
		return false
	}
	return r.offset >= f.keys.get(f.hashes[r.key])
}

// rebuild appends the batch with the chosen records.
func (f *Filter) rebuild(dst []byte, b record.Batch, spec record.Spec, it record.Iterator) ([]byte, error) {
	f.builder.Reset(spec)
	for i := 0; it.Next(); i++ {
		if !f.keep[i] {
			continue
		}
		if err := f.builder.AppendRecord(&it.Record); err != nil {
			return dst, fmt.Errorf("rewriting the batch at offset %d: %w", b.BaseOffset(), err)
		}
	}
	return f.builder.BuildTo(dst, b.LastOffset())
}

func (f *Filter) appendControl(dst []byte, b record.Batch) ([]byte, error) {
	_, isMarker, err := b.EndTxn()
	if err != nil {
		return dst, err
	}
	if b.Count() > 0 && !isMarker {
		f.Kept += int64(b.Count())
		return append(dst, b...), nil
	}
	if b.Count() == 0 {
		return dst, nil // a marker that was emptied: its transaction is long gone
	}
	alone := f.txns.marker(b)
	horizon, hasHorizon := b.DeleteHorizonMs()
	p, live := f.live[b.ProducerID()]
	lastMarker := live && p.LastDataOffset == producerstate.NoOffset && p.Epoch == b.ProducerEpoch()
	if alone && hasHorizon && horizon <= f.nowMs && !lastMarker {
		return dst, nil
	}
	f.Kept++
	if !alone || hasHorizon {
		return append(dst, b...), nil
	}
	it, err := b.Iterate(&f.scratch)
	if err != nil {
		return dst, err
	}
	spec := record.SpecOf(b)
	spec.DeleteHorizonMs = f.horizonMs
	f.keep = append(f.keep[:0], true)
	return f.rebuild(dst, b, spec, it)
}
