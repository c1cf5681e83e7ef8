package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/naru-stream/naru/internal/kafka/compress"
)

const (
	// HeaderSize is the size of a batch's header in bytes, and so of the smallest
	// batch.
	HeaderSize = 61
	// LengthPrefix is how many bytes of a batch, its offset and its length field,
	// do not count into that length.
	LengthPrefix = 12
	// Magic is the only batch format this package reads and writes.
	Magic = 2
	// NoTimestamp marks a timestamp that is not set.
	NoTimestamp = -1
	// NoProducerID, NoProducerEpoch and NoSequence mark a batch without producer.
	NoProducerID    = -1
	NoProducerEpoch = -1 // see NoProducerID
	NoSequence      = -1 // see NoProducerID
	// NoLeaderEpoch marks a batch whose leader epoch is not known.
	NoLeaderEpoch = -1
)

// Positions of the header's fields; see the package comment.
const (
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57
)

// Bits of the attributes.
const (
	codecMask        = 0x07
	bitLogAppendTime = 1 << 3
	bitTransactional = 1 << 4
	bitControl       = 1 << 5
	bitDeleteHorizon = 1 << 6
)

// Errors that the checks of this package wrap; compare with errors.Is. The
// server maps them to Kafka's codes, named behind each.
var (
	// ErrShort says that the bytes end before the batch does. At the end of a
	// segment or of a fetch that is a partial batch, in a request CORRUPT_MESSAGE.
	ErrShort = errors.New("incomplete record batch")
	// ErrMagic says that the batch has another format than 2: INVALID_RECORD.
	ErrMagic = errors.New("unsupported record batch format")
	// ErrCorrupt says that a length or the CRC is wrong: CORRUPT_MESSAGE.
	ErrCorrupt = errors.New("corrupt record batch")
	// ErrInvalid says that a batch breaks a rule of its format: INVALID_RECORD.
	ErrInvalid = errors.New("invalid record batch")
	// ErrTimestamp says that a timestamp is not acceptable: INVALID_TIMESTAMP.
	ErrTimestamp = errors.New("invalid record timestamp")
	// ErrCodec says that the compression is not one of the four:
	// UNSUPPORTED_COMPRESSION_TYPE.
	ErrCodec = errors.New("unsupported compression codec")
	// ErrTooLarge says that the records exceed a limit when decompressed or the
	// batch what an int32 can count: MESSAGE_TOO_LARGE.
	ErrTooLarge = errors.New("record batch too large")
)

// TimestampType says who set the records' timestamps.
type TimestampType int8

// The two timestamp types, as bit 3 of the attributes has them.
const (
	CreateTime    TimestampType = 0
	LogAppendTime TimestampType = 1
)

// String returns the type's name as message.timestamp.type spells it.
func (t TimestampType) String() string {
	if t == LogAppendTime {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// Batch is one record batch, a view of the caller's bytes. Next makes sure that
// it is complete. The header accessors need only the first HeaderSize bytes, so
// that a scan may read headers alone; Records, the CRC and the setters that
// recompute it need all. Reading a Batch is safe from any number of goroutines,
// the setters need the bytes to themselves.
type Batch []byte

// BaseOffset returns the offset of the first record the batch was written with.
func (b Batch) BaseOffset() int64 { return i64(b, 0) }

// Size returns the size of the whole batch in bytes, as its length field says.
func (b Batch) Size() int { return int(i32(b, atLength)) + LengthPrefix }

// PartitionLeaderEpoch returns the epoch of the leader that appended the batch.
func (b Batch) PartitionLeaderEpoch() int32 { return i32(b, atLeaderEpoch) }

// Magic returns the number of the batch's format.
func (b Batch) Magic() int8 { return int8(b[atMagic]) }

// CRC returns the stored checksum; CheckCRC compares it.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[atCRC:]) }

// Attributes returns the attribute bits.
func (b Batch) Attributes() int16 { return i16(b, atAttributes) }

// LastOffsetDelta returns the distance of the last offset from the base offset.
// Compaction keeps it when it removes records.
func (b Batch) LastOffsetDelta() int32 { return i32(b, atLastOffsetDelta) }

// LastOffset returns the offset of the last record the batch was written with.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset returns the offset behind the batch.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// BaseTimestamp returns the ms from which the records' deltas count. In a batch
// with a delete horizon it is that horizon and no record's time.
func (b Batch) BaseTimestamp() int64 { return i64(b, atBaseTimestamp) }

// MaxTimestamp returns the largest timestamp of the records in ms, or the time
// of the append for LogAppendTime.
func (b Batch) MaxTimestamp() int64 { return i64(b, atMaxTimestamp) }

// ProducerID returns the producer's id or NoProducerID.
func (b Batch) ProducerID() int64 { return i64(b, atProducerID) }

// HasProducerID tells whether an idempotent or transactional producer, or the
// transaction coordinator on its behalf, wrote the batch.
func (b Batch) HasProducerID() bool { return b.ProducerID() >= 0 }

// ProducerEpoch returns the producer's epoch or NoProducerEpoch.
func (b Batch) ProducerEpoch() int16 { return i16(b, atProducerEpoch) }

// BaseSequence returns the sequence number of the first record or NoSequence.
func (b Batch) BaseSequence() int32 { return i32(b, atBaseSequence) }

// LastSequence returns the sequence number of the last record or NoSequence.
func (b Batch) LastSequence() int32 {
	first := b.BaseSequence()
	if first == NoSequence {
		return NoSequence
	}
	return AddSequence(first, b.LastOffsetDelta())
}

// Count returns how many records the batch holds. Compaction lowers it.
func (b Batch) Count() int32 { return i32(b, atCount) }

// Codec returns the compression of the records.
func (b Batch) Codec() compress.Codec { return compress.Codec(b.Attributes() & codecMask) }

// TimestampType returns who set the records' timestamps.
func (b Batch) TimestampType() TimestampType {
	if b.Attributes()&bitLogAppendTime != 0 {
		return LogAppendTime
	}
	return CreateTime
}

// IsTransactional tells whether the batch belongs to a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes()&bitTransactional != 0 }

// IsControl tells whether the batch holds a control record, which no consumer
// sees.
func (b Batch) IsControl() bool { return b.Attributes()&bitControl != 0 }

// DeleteHorizonMs returns the time from which the cleaner may remove the batch's
// tombstones or marker (KIP-534), if it has been set.
func (b Batch) DeleteHorizonMs() (ms int64, ok bool) {
	if b.Attributes()&bitDeleteHorizon == 0 {
		return NoTimestamp, false
	}
	return b.BaseTimestamp(), true
}

// RawRecords returns the records part as it lies in the batch, compressed or not.
func (b Batch) RawRecords() []byte { return b[HeaderSize:] }

// String describes the batch's header for logs and tests.
func (b Batch) String() string {
	if len(b) < HeaderSize {
		return fmt.Sprintf("batch of only %d bytes", len(b))
	}
	return fmt.Sprintf("batch offsets %d–%d, %d records, %d bytes, epoch %d, %s, producer %d/%d seq %d, attributes %#x",
		b.BaseOffset(), b.LastOffset(), b.Count(), b.Size(), b.PartitionLeaderEpoch(), b.Codec(),
		b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.Attributes())
}

// ComputeCRC returns the CRC-32C of what the batch's checksum covers.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[atAttributes:], castagnoli) }

// CheckCRC returns an error that wraps ErrCorrupt unless the stored checksum is
// the computed one.
func (b Batch) CheckCRC() error {
	if got, want := b.ComputeCRC(), b.CRC(); got != want {
		return fmt.Errorf("%w: CRC of the batch at offset %d is %#08x, stored is %#08x",
			ErrCorrupt, b.BaseOffset(), got, want)
	}
	return nil
}

// SetBaseOffset moves the batch to another offset. The CRC does not cover it.
func (b Batch) SetBaseOffset(offset int64) { binary.BigEndian.PutUint64(b, uint64(offset)) }

// SetPartitionLeaderEpoch marks which leader appended the batch. The CRC does
// not cover it.
func (b Batch) SetPartitionLeaderEpoch(epoch int32) {
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], uint32(epoch))
}

// SetLogAppendTime makes ms the timestamp of every record, whatever the records
// say, and recomputes the CRC. No record has to be decoded for it.
func (b Batch) SetLogAppendTime(ms int64) {
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(b.Attributes()|bitLogAppendTime))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ms))
	b.putCRC()
}

// SetMaxTimestamp corrects the largest timestamp and recomputes the CRC.
func (b Batch) SetMaxTimestamp(ms int64) {
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ms))
	b.putCRC()
}

// SetProducer gives the batch a producer and its first sequence number, as a
// client does when it seals the batch, and recomputes the CRC.
func (b Batch) SetProducer(id int64, epoch int16, baseSequence int32) {
	binary.BigEndian.PutUint64(b[atProducerID:], uint64(id))
	binary.BigEndian.PutUint16(b[atProducerEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(b[atBaseSequence:], uint32(baseSequence))
	b.putCRC()
}

func (b Batch) putCRC() { binary.BigEndian.PutUint32(b[atCRC:], b.ComputeCRC()) }

// AddSequence returns the sequence number n after s; 2^31−1 is followed by 0.
func AddSequence(s, n int32) int32 {
	if s > math.MaxInt32-n {
		return n - (math.MaxInt32 - s) - 1
	}
	return s + n
}

// castagnoli is the polynomial's table; it is never written.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func i64(b []byte, at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }

func i32(b []byte, at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }

func i16(b []byte, at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }
