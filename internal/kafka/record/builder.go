package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/naru-stream/naru/internal/kafka/compress"
)

// Spec is what a new batch is to be, apart from its records.
type Spec struct {
	BaseOffset           int64
	PartitionLeaderEpoch int32
	Codec                compress.Codec
	Level                int // one that Codec.CheckLevel accepts
	TimestampType        TimestampType
	// LogAppendTimeMs is the batch's timestamp if TimestampType is LogAppendTime.
	LogAppendTimeMs int64
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Transactional   bool
	Control         bool
	// DeleteHorizonMs, unless it is NoTimestamp, becomes the base timestamp with
	// bit 6 of the attributes set (KIP-534).
	DeleteHorizonMs int64
}

// DefaultSpec returns the Spec of an uncompressed batch without producer, as a
// broker writes for itself.
func DefaultSpec() Spec {
	return Spec{
		PartitionLeaderEpoch: NoLeaderEpoch,
		ProducerID:           NoProducerID,
		ProducerEpoch:        NoProducerEpoch,
		BaseSequence:         NoSequence,
		DeleteHorizonMs:      NoTimestamp,
	}
}

// SpecOf returns the Spec that rebuilds b: everything its header says except the
// level, which is the codec's default.
func SpecOf(b Batch) Spec {
	horizon, _ := b.DeleteHorizonMs()
	return Spec{
		BaseOffset:           b.BaseOffset(),
		PartitionLeaderEpoch: b.PartitionLeaderEpoch(),
		Codec:                b.Codec(),
		Level:                b.Codec().DefaultLevel(),
		TimestampType:        b.TimestampType(),
		LogAppendTimeMs:      b.MaxTimestamp(),
		ProducerID:           b.ProducerID(),
		ProducerEpoch:        b.ProducerEpoch(),
		BaseSequence:         b.BaseSequence(),
		Transactional:        b.IsTransactional(),
		Control:              b.IsControl(),
		DeleteHorizonMs:      horizon,
	}
}

// Builder makes batches. Reset starts one, Append adds records, Build appends the
// finished batch to the caller's buffer. It keeps its memory from batch to batch.
// One goroutine uses it at a time.
type Builder struct {
	spec          Spec
	records       []byte
	baseTimestamp int64
	maxTimestamp  int64
	count         int32
	lastDelta     int32
}

// Reset starts a new batch and forgets the records of the one before.
func (bl *Builder) Reset(spec Spec) {
	bl.spec = spec
	bl.records = bl.records[:0]
	bl.baseTimestamp = spec.DeleteHorizonMs
	bl.maxTimestamp = NoTimestamp
	bl.count = 0
	bl.lastDelta = -1
}

// Count returns how many records have been appended since Reset.
func (bl *Builder) Count() int32 { return bl.count }

// UncompressedSize returns the size in bytes that the batch has now without
// compression.
func (bl *Builder) UncompressedSize() int { return HeaderSize + len(bl.records) }

// Append adds a record with the next offset. Nil key or value are null. The bytes
// are copied. The error wraps ErrTooLarge or ErrInvalid and leaves the batch as
// it was.
func (bl *Builder) Append(timestampMs int64, key, value []byte, headers ...Header) error {
	size := 0
	for i := range headers {
		if headers[i].Key == nil {
			return fmt.Errorf("%w: header %d has a null key", ErrInvalid, i)
		}
		size += bytesSize(headers[i].Key) + bytesSize(headers[i].Value)
	}
	size += varintSize(int64(len(headers)))
	if err := bl.begin(bl.spec.BaseOffset+int64(bl.lastDelta)+1, timestampMs, 0, key, value, size); err != nil {
		return err
	}
	bl.records = appendVarint(bl.records, int64(len(headers)))
	for i := range headers {
		bl.records = appendBytes(bl.records, headers[i].Key)
		bl.records = appendBytes(bl.records, headers[i].Value)
	}
	return nil
}

// AppendRecord adds a record of another batch with its own offset, timestamp and
// headers, as compaction does. Offsets must rise and not lie below the base
// offset.
func (bl *Builder) AppendRecord(r *Record) error {
	if err := bl.begin(r.Offset, r.Timestamp, r.Attributes, r.Key, r.Value, len(r.RawHeaders)); err != nil {
		return err
	}
	bl.records = append(bl.records, r.RawHeaders...)
	return nil
}

// begin writes everything of a record up to its headers, which take headersSize
// bytes.
func (bl *Builder) begin(offset, timestampMs int64, attributes int8, key, value []byte, headersSize int) error {
	delta := offset - bl.spec.BaseOffset
	if delta <= int64(bl.lastDelta) || delta > math.MaxInt32 {
		return fmt.Errorf("%w: offset %d behind offset delta %d of base offset %d",
			ErrInvalid, offset, bl.lastDelta, bl.spec.BaseOffset)
	}
	base := bl.baseTimestamp
	if bl.count == 0 && bl.spec.DeleteHorizonMs == NoTimestamp {
		base = timestampMs
	}
	tsDelta := timestampMs - base
	body := 1 + varintSize(tsDelta) + varintSize(delta) + bytesSize(key) + bytesSize(value) + headersSize
	if len(bl.records)+body+maxVarint32 > math.MaxInt32-HeaderSize {
		return fmt.Errorf("%w: a batch cannot have more than %d bytes", ErrTooLarge, math.MaxInt32)
	}
	bl.baseTimestamp = base
	bl.maxTimestamp = max(bl.maxTimestamp, timestampMs)
	bl.lastDelta = int32(delta)
	bl.count++
	bl.records = appendVarint(bl.records, int64(body))
	bl.records = append(bl.records, byte(attributes))
	bl.records = appendVarint(bl.records, tsDelta)
	bl.records = appendVarint(bl.records, delta)
	bl.records = appendBytes(bl.records, key)
	bl.records = appendBytes(bl.records, value)
	return nil
}

// Build appends the batch with all records since Reset to dst. Its last offset is
// that of the last record. A batch needs at least one record; AppendEmpty makes
// the other kind.
func (bl *Builder) Build(dst []byte) ([]byte, error) {
	return bl.BuildTo(dst, bl.spec.BaseOffset+int64(bl.lastDelta))
}

// BuildTo is Build for a batch whose last offset lies at or behind its last
// record, as compaction leaves it.
func (bl *Builder) BuildTo(dst []byte, lastOffset int64) ([]byte, error) {
	delta := lastOffset - bl.spec.BaseOffset
	if bl.count == 0 {
		return dst, fmt.Errorf("%w: no records", ErrInvalid)
	}
	if delta < int64(bl.lastDelta) || delta > math.MaxInt32 {
		return dst, fmt.Errorf("%w: last offset %d, last record at delta %d of base offset %d",
			ErrInvalid, lastOffset, bl.lastDelta, bl.spec.BaseOffset)
	}
	start := len(dst)
	dst = slices.Grow(dst, HeaderSize+min(len(bl.records), 1<<20))
	dst = append(dst, make([]byte, HeaderSize)...)
	dst, err := compress.Compress(dst, bl.records, bl.spec.Codec, bl.spec.Level)
	if err != nil {
		return dst[:start], fmt.Errorf("compressing a batch: %w", err)
	}
	if len(dst)-start > math.MaxInt32 {
		return dst[:start], fmt.Errorf("%w: %d bytes", ErrTooLarge, len(dst)-start)
	}
	maxTimestamp := bl.maxTimestamp
	if bl.spec.TimestampType == LogAppendTime {
		maxTimestamp = bl.spec.LogAppendTimeMs
	}
	bl.spec.putHeader(dst[start:], int32(delta), bl.baseTimestamp, maxTimestamp, bl.count)
	return dst, nil
}

// AppendEmpty appends a batch without records that covers the offsets from the
// base offset to lastOffset. Compaction leaves one to keep a producer's last
// sequence number.
func AppendEmpty(dst []byte, spec Spec, lastOffset, maxTimestampMs int64) ([]byte, error) {
	delta := lastOffset - spec.BaseOffset
	if delta < 0 || delta > math.MaxInt32 {
		return dst, fmt.Errorf("%w: last offset %d with base offset %d", ErrInvalid, lastOffset, spec.BaseOffset)
	}
	spec.Codec = compress.None
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	spec.putHeader(dst[start:], int32(delta), spec.DeleteHorizonMs, maxTimestampMs, 0)
	return dst, nil
}

// putHeader fills the header of the batch b and its CRC.
func (s *Spec) putHeader(b []byte, lastOffsetDelta int32, baseTimestamp, maxTimestamp int64, count int32) {
	attributes := uint16(s.Codec)
	if s.TimestampType == LogAppendTime {
		attributes |= bitLogAppendTime
	}
	if s.Transactional {
		attributes |= bitTransactional
	}
	if s.Control {
		attributes |= bitControl
	}
	if s.DeleteHorizonMs != NoTimestamp {
		attributes |= bitDeleteHorizon
	}
	be := binary.BigEndian
	be.PutUint64(b, uint64(s.BaseOffset))
	be.PutUint32(b[atLength:], uint32(len(b)-LengthPrefix))
	be.PutUint32(b[atLeaderEpoch:], uint32(s.PartitionLeaderEpoch))
	b[atMagic] = Magic
	be.PutUint16(b[atAttributes:], attributes)
	be.PutUint32(b[atLastOffsetDelta:], uint32(lastOffsetDelta))
	be.PutUint64(b[atBaseTimestamp:], uint64(baseTimestamp))
	be.PutUint64(b[atMaxTimestamp:], uint64(maxTimestamp))
	be.PutUint64(b[atProducerID:], uint64(s.ProducerID))
	be.PutUint16(b[atProducerEpoch:], uint16(s.ProducerEpoch))
	be.PutUint32(b[atBaseSequence:], uint32(s.BaseSequence))
	be.PutUint32(b[atCount:], uint32(count))
	Batch(b).putCRC()
}

// Recode appends a copy of b to dst whose records are compressed with another
// codec and level, for topics whose compression.type is not "producer". Offsets
// become gapless, as Kafka's leader makes them.
func Recode(dst []byte, b Batch, codec compress.Codec, level int, bl *Builder, scratch *Scratch) ([]byte, error) {
	spec := SpecOf(b)
	spec.Codec, spec.Level = codec, level
	bl.Reset(spec)
	it, err := b.Iterate(scratch)
	if err != nil {
		return dst, err
	}
	for i := int64(0); it.Next(); i++ {
		it.Record.Offset = spec.BaseOffset + i
		if err := bl.AppendRecord(&it.Record); err != nil {
			return dst, err
		}
	}
	if err := it.Err(); err != nil {
		return dst, err
	}
	return bl.Build(dst)
}

// bytesSize returns the encoded size of a nullable byte string.
func bytesSize(v []byte) int {
	if v == nil {
		return 1
	}
	return varintSize(int64(len(v))) + len(v)
}

func appendBytes(dst, v []byte) []byte {
	if v == nil {
		return appendVarint(dst, -1)
	}
	dst = appendVarint(dst, int64(len(v)))
	return append(dst, v...)
}
