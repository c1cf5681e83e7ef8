package record

import (
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/compress"
)

// PrefixSize is how many bytes SizeOf needs: up to and with the magic.
const PrefixSize = atMagic + 1

// SizeOf returns the size in bytes of the batch that starts at b, of which only
// the first PrefixSize bytes need to be there. It refuses lengths that no batch
// can have and other formats; the largest answer is 2^31+11, so callers compare
// it with what they have or allow.
func SizeOf(b []byte) (int, error) {
	if len(b) < PrefixSize {
		return 0, fmt.Errorf("%w: %d bytes do not hold a header", ErrShort, len(b))
	}
	if m := b[atMagic]; m != Magic {
		return 0, fmt.Errorf("%w: magic %d at offset %d, only %d is supported", ErrMagic, m, i64(b, 0), Magic)
	}
	size := int(i32(b, atLength)) + LengthPrefix
	if size < HeaderSize {
		return 0, fmt.Errorf("%w: batch at offset %d has length %d, a header alone needs %d",
			ErrCorrupt, i64(b, 0), size-LengthPrefix, HeaderSize-LengthPrefix)
	}
	return size, nil
}

// Next cuts the first batch off a records field or a piece of a segment. Rest is
// what follows it. When b ends inside a batch the error wraps ErrShort. Only
// lengths and the format are checked: CheckCRC and CheckHeader look further.
func Next(b []byte) (batch Batch, rest []byte, err error) {
	size, err := SizeOf(b)
	if err != nil {
		return nil, b, err
	}
	if size > len(b) {
		return nil, b, fmt.Errorf("%w: batch at offset %d has %d bytes, %d are there", ErrShort, i64(b, 0), size, len(b))
	}
	return Batch(b[:size:size]), b[size:], nil
}

// CheckHeader verifies what every stored batch keeps to, whoever wrote it:
// offsets do not overflow or run backwards, the record count fits the offsets
// and the bytes, the codec is known, and the producer fields belong together.
// The error wraps ErrInvalid or ErrCodec.
func (b Batch) CheckHeader() error {
	base, delta, count := b.BaseOffset(), b.LastOffsetDelta(), b.Count()
	switch {
	case base < 0 || delta < 0 || base+int64(delta) < base:
		return fmt.Errorf("%w: base offset %d with last offset delta %d", ErrInvalid, base, delta)
	case count < 0 || int64(count) > int64(delta)+1:
		return fmt.Errorf("%w: %d records between offsets %d and %d", ErrInvalid, count, base, b.LastOffset())
	case !b.Codec().Valid():
		return fmt.Errorf("%w: codec %d at offset %d", ErrCodec, b.Codec(), base)
	case b.Codec() == compress.None && int(count) > len(b.RawRecords())/minRecordSize:
		return fmt.Errorf("%w: %d records cannot be in %d bytes", ErrInvalid, count, len(b.RawRecords()))
	case b.ProducerID() < NoProducerID || b.ProducerEpoch() < NoProducerEpoch || b.BaseSequence() < NoSequence:
		return fmt.Errorf("%w: producer %d, epoch %d, sequence %d", ErrInvalid,
			b.ProducerID(), b.ProducerEpoch(), b.BaseSequence())
	case b.IsTransactional() && !b.HasProducerID():
		return fmt.Errorf("%w: transactional batch at offset %d has no producer id", ErrInvalid, base)
	case b.HasProducerID() && b.ProducerEpoch() < 0:
		return fmt.Errorf("%w: producer %d has no epoch", ErrInvalid, b.ProducerID())
	}
	return nil
}

// CheckClient verifies what a batch of a producer keeps to beyond CheckHeader:
// it starts at offset 0 and is gapless, holds at least one record, is no control
// batch, has no delete horizon, and numbers its records when it has a producer
// id. The leader epoch is not looked at: clients disagree about it. The error
// wraps ErrInvalid, ErrTimestamp or ErrCodec.
func (b Batch) CheckClient() error {
	if err := b.CheckHeader(); err != nil {
		return err
	}
	_, horizon := b.DeleteHorizonMs()
	switch {
	case b.BaseOffset() != 0:
		return fmt.Errorf("%w: base offset is %d instead of 0", ErrInvalid, b.BaseOffset())
	case b.Count() == 0:
		return fmt.Errorf("%w: no records", ErrInvalid)
	case int64(b.Count()) != int64(b.LastOffsetDelta())+1:
		return fmt.Errorf("%w: %d records with last offset delta %d", ErrInvalid, b.Count(), b.LastOffsetDelta())
	case b.IsControl():
		return fmt.Errorf("%w: control batches are written by brokers only", ErrInvalid)
	case horizon:
		return fmt.Errorf("%w: delete horizons are written by brokers only", ErrInvalid)
	case b.TimestampType() == LogAppendTime:
		return fmt.Errorf("%w: producers must not set the type LogAppendTime", ErrTimestamp)
	case b.HasProducerID() && b.BaseSequence() < 0:
		return fmt.Errorf("%w: producer %d gives no sequence number", ErrInvalid, b.ProducerID())
	}
	return nil
}

// Rules say what CheckRecords demands of each record of a producer's batch.
type Rules struct {
	// RequireKey refuses records without a key, as compacted topics do.
	RequireKey bool
	// CheckTimestamps refuses timestamps outside MinTimestamp…MaxTimestamp (ms,
	// both included), as message.timestamp.before.max.ms and .after.max.ms do.
	CheckTimestamps            bool
	MinTimestamp, MaxTimestamp int64
}

// maxRecordErrors is how many bad records of a batch RecordErrors names.
const maxRecordErrors = 100

// RecordErrors lists the records for which a batch is refused; all of them have
// the same reason. It unwraps to that reason.
type RecordErrors struct {
	// Indexes are positions within the batch, in order, at most 100.
	Indexes []int32
	// Reason wraps ErrInvalid or ErrTimestamp.
	Reason error
}

// Error names the reason and the first record.
func (e *RecordErrors) Error() string {
	return fmt.Sprintf("record %d (%d records in all): %v", e.Indexes[0], len(e.Indexes), e.Reason)
}

// Unwrap returns the reason.
func (e *RecordErrors) Unwrap() error { return e.Reason }

// CheckRecords walks every record of a producer's batch, decompressing it into
// scratch when needed: as many records as the header says, gapless offsets,
// well-formed headers, and the rules. A broken rule gives a *RecordErrors, a
// malformed batch an error that wraps ErrInvalid, ErrCorrupt or ErrTooLarge.
// Without compression it does not allocate. It returns the largest timestamp of
// the records, which the header should say.
func (b Batch) CheckRecords(rules Rules, scratch *Scratch) (maxTimestampMs int64, err error) {
	maxTimestampMs = NoTimestamp
	it, err := b.Iterate(scratch)
	if err != nil {
		return maxTimestampMs, err
	}
	var bad *RecordErrors
	for i := int32(0); it.Next(); i++ {
		r := &it.Record
		if r.OffsetDelta != i {
			return maxTimestampMs, fmt.Errorf("%w: record %d has offset delta %d", ErrInvalid, i, r.OffsetDelta)
		}
		if err := r.CheckHeaders(); err != nil {
			return maxTimestampMs, fmt.Errorf("record %d: %w", i, err)
		}
		bad = rules.check(bad, i, r)
		maxTimestampMs = max(maxTimestampMs, r.Timestamp)
	}
	if err := it.Err(); err != nil {
		return maxTimestampMs, err
	}
	if bad != nil {
		return maxTimestampMs, bad
	}
	return maxTimestampMs, nil
}

// check adds the record to the batch's errors if it breaks a rule. One answer
// has one code, so the first reason found wins.
func (rules *Rules) check(bad *RecordErrors, i int32, r *Record) *RecordErrors {
	var reason error
	switch {
	case rules.RequireKey && r.Key == nil:
		reason = errNoKey
	case rules.CheckTimestamps && r.Timestamp != NoTimestamp &&
		(r.Timestamp < rules.MinTimestamp || r.Timestamp > rules.MaxTimestamp):
		reason = errTimestampRange
	default:
		return bad
	}
	if bad == nil {
		bad = &RecordErrors{Reason: reason}
	}
	//nolint:errorlint // the same sentinel, not one that wraps it
	if bad.Reason == reason && len(bad.Indexes) < maxRecordErrors {
		bad.Indexes = append(bad.Indexes, i)
	}
	return bad
}

var (
	errNoKey          = fmt.Errorf("%w: compacted topics need a key in every record", ErrInvalid)
	errTimestampRange = fmt.Errorf("%w: outside message.timestamp.before.max.ms and message.timestamp.after.max.ms", ErrTimestamp)
)
