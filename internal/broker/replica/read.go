package replica

import (
	"fmt"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/vfs"
)

// ReadRequest says what to read of a partition.
type ReadRequest struct {
	// Offset is the first offset wanted; the batch that holds it is returned whole.
	Offset int64
	// MaxBytes bounds the bytes returned, except for the first batch if AtLeastOne.
	MaxBytes   int32
	AtLeastOne bool
	// Committed limits the read to the last stable offset (read_committed).
	Committed bool
	// CurrentLeaderEpoch is the epoch in which the reader believes this broker leads,
	// or -1 if it does not say (KIP-320).
	CurrentLeaderEpoch int32
	// LastFetchedEpoch is the epoch of the last record the reader has, or -1 if it
	// does not say (KIP-595).
	LastFetchedEpoch int32
}

// ReadResult is what a read found. It may be reused.
type ReadResult struct {
	// Partition is what was read.
	Partition *Partition
	// HighWatermark, LastStableOffset and LogStartOffset are the partition's as of
	// the read.
	HighWatermark, LastStableOffset, LogStartOffset int64
	// DivergingEpoch and DivergingEndOffset are where the reader's log parts from
	// this one; see Diverging.
	DivergingEpoch     int32
	DivergingEndOffset int64
	// Aborted are the aborted transactions that the records may belong to; only for
	// committed reads.
	Aborted []producerstate.AbortedTxn

	records   vfs.Range
	diverging bool
}

// Size is the length of the records in bytes.
func (r *ReadResult) Size() int64 { return r.records.Length }

// Diverging reports whether the reader has records that this log does not.
func (r *ReadResult) Diverging() bool { return r.diverging }

// Take hands the records over: the caller releases the range.
func (r *ReadResult) Take() vfs.Range {
	records := r.records
	r.records = vfs.Range{}
	return records
}

// Release gives the records back unread.
func (r *ReadResult) Release() {
	if r.records.Length > 0 {
		r.records.Release()
	}
	r.records = vfs.Range{}
}

// Read finds records below the high watermark, or below the last stable offset.
// It copies none: into gets a slice of a segment file, which the caller takes or
// releases. Errors carry OFFSET_OUT_OF_RANGE, FENCED_LEADER_EPOCH,
// UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER or KAFKA_STORAGE_ERROR.
func (p *Partition) Read(r ReadRequest, into *ReadResult) error {
	*into = ReadResult{Partition: p}
	epoch := p.leaderEpoch.Load()
	switch {
	case epoch < 0:
		return protocol.NotLeaderOrFollower
	case r.CurrentLeaderEpoch >= 0 && r.CurrentLeaderEpoch < epoch:
		return protocol.FencedLeaderEpoch
	case r.CurrentLeaderEpoch > epoch:
		return protocol.UnknownLeaderEpoch
	}
	into.HighWatermark = p.HighWatermark()
	var err error
	if into.LastStableOffset, err = p.LastStableOffset(); err != nil {
		return err
	}
	into.LogStartOffset = p.log.LogStartOffset()
	if r.LastFetchedEpoch >= 0 {
		e, end := p.log.EndOffsetForEpoch(r.LastFetchedEpoch)
		if end < 0 {
			return fmt.Errorf("epoch %d is newer than this log: %w", r.LastFetchedEpoch, protocol.OffsetOutOfRange)
		}
		if e < r.LastFetchedEpoch || end < r.Offset {
			into.diverging, into.DivergingEpoch, into.DivergingEndOffset = true, e, end
			return nil
		}
	}
	if r.Offset < into.LogStartOffset || r.Offset > p.log.LogEndOffset() {
		return protocol.OffsetOutOfRange
	}
	limit := into.HighWatermark
	if r.Committed {
		limit = into.LastStableOffset
	}
	if r.Offset >= limit || r.MaxBytes <= 0 && !r.AtLeastOne {
		return nil
	}
	slice, err := p.log.Read(r.Offset, r.MaxBytes, limit, r.AtLeastOne)
	if err != nil {
		return err
	}
	into.records = slice.Range
	if r.Committed && slice.Range.Length > 0 {
		if into.Aborted, err = p.log.AbortedTransactions(r.Offset, limit); err != nil {
			into.Release()
			return err
		}
	}
	return nil
}

// ReadAt reads bytes of the records that were found, counted from their start.
func (r *ReadResult) ReadAt(p []byte, at int64) error {
	if _, err := r.records.ReadAt(p, at); err != nil {
		return fmt.Errorf("reading %s-%d: %w: %w", r.Partition.Topic, r.Partition.Index, err, protocol.KafkaStorageError)
	}
	return nil
}
