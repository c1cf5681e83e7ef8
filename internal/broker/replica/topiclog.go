package replica

import (
	"fmt"

	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// TopicLog gives a coordinator its internal topic: the partitions of one topic that
// this broker leads, read and written by partition number. Its methods may do I/O
// and be called from any goroutine; errors carry Kafka's codes.
type TopicLog struct {
	// Manager holds the partitions.
	Manager *Manager
	// Topic is the topic's name.
	Topic string
}

func (t TopicLog) partition(index int32) (*Partition, error) {
	p := t.Manager.Partition(t.Topic, index)
	if p == nil {
		return nil, fmt.Errorf("%s-%d is not on this broker: %w", t.Topic, index, protocol.NotLeaderOrFollower)
	}
	return p, nil
}

// Range returns the log start offset and the log end offset.
func (t TopicLog) Range(index int32) (start, end int64, err error) {
	p, err := t.partition(index)
	if err != nil {
		return 0, 0, err
	}
	return p.log.LogStartOffset(), p.log.LogEndOffset(), nil
}

// Read returns whole batches from the one that holds offset, committed or not: at
// least one if there is any, and about maxBytes. The bytes are the caller's.
func (t TopicLog) Read(index int32, offset int64, maxBytes int) ([]byte, error) {
	p, err := t.partition(index)
	if err != nil {
		return nil, err
	}
	slice, err := p.log.Read(offset, int32(maxBytes), p.log.LogEndOffset(), true)
	if err != nil || slice.Length == 0 {
		return nil, err
	}
	defer slice.Release()
	out := make([]byte, slice.Length)
	if _, err := slice.ReadAt(out, 0); err != nil {
		return nil, fmt.Errorf("reading %s-%d at offset %d: %w", t.Topic, index, offset, err)
	}
	return out, nil
}

// Append writes batches as leader in leaderEpoch and returns the offset after the
// last record. The log patches offsets and epochs into the bytes and does not keep
// them.
func (t TopicLog) Append(index, leaderEpoch int32, batches []byte) (endOffset int64, err error) {
	p, err := t.partition(index)
	if err != nil {
		return 0, err
	}
	if p.LeaderEpoch() != leaderEpoch {
		return 0, protocol.NotLeaderOrFollower
	}
	written := make(chan struct{})
	a := &Append{
		Log:  storage.Append{Batches: batches, Origin: storage.OriginCoordinator},
		Acks: 0,
		Done: func(*Append) { close(written) },
	}
	p.Append(a)
	<-written
	return a.Log.LastOffset + 1, a.Err
}

// AwaitCommitted calls done once, from any goroutine and perhaps at once: with nil
// when the high watermark has reached endOffset, with an error when leadership
// ended or the log failed before.
func (t TopicLog) AwaitCommitted(index, leaderEpoch int32, endOffset int64, done func(err error)) {
	p, err := t.partition(index)
	if err == nil && p.LeaderEpoch() != leaderEpoch {
		err = protocol.NotLeaderOrFollower
	}
	if err != nil {
		done(err)
		return
	}
	a := &Append{Done: func(a *Append) { done(a.Err) }, partition: p}
	a.await(endOffset)
}

// Committed returns an offset below which everything is committed, 0 if this broker does
// not know.
func (t TopicLog) Committed(index int32) int64 {
	p, err := t.partition(index)
	if err != nil {
		return 0
	}
	return p.HighWatermark()
}

// DeleteBefore moves the log's start to a committed offset.
func (t TopicLog) DeleteBefore(index int32, offset int64) error {
	p, err := t.partition(index)
	if err != nil {
		return err
	}
	return p.DeleteRecordsBefore(offset)
}
