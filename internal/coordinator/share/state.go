package share

import (
	"errors"
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// key names a share partition.
type key struct {
	group     string
	topic     protocol.UUID
	partition int32
}

// String is the form whose hash decides the partition of __share_group_state.
func (k key) String() string { return fmt.Sprintf("%s:%s:%d", k.group, k.topic, k.partition) }

// owned returns the key with strings of its own.
func (k key) owned() key {
	k.group = strings.Clone(k.group)
	return k
}

// What is not known yet.
const (
	noOffset = -1
	noCount  = -1
	noEpoch  = -1
)

// state is what is remembered of one share partition.
type state struct {
	snapshotEpoch int32
	// stateEpoch and leaderEpoch are the highest there ever were: lower ones are refused.
	stateEpoch, leaderEpoch int32

	startOffset           int64
	deliveryCompleteCount int32
	batches               []Batch
	// createMs is when the content of the last snapshot was decided, writeMs when it
	// was written: they differ if it was written again because nothing had changed.
	createMs, writeMs int64

	// updates counts the updates since the last snapshot.
	updates int32
	// snapshotOffset is an offset that the last snapshot is not below.
	snapshotOffset int64
}

// String prints what a replay must give back.
func (s *state) String() string {
	return fmt.Sprintf("snapshot %d state %d leader %d start %d complete %d created %d written %d updates %d %v",
		s.snapshotEpoch, s.stateEpoch, s.leaderEpoch, s.startOffset, s.deliveryCompleteCount, s.createMs, s.writeMs,
		s.updates, s.batches)
}

// merged returns the batches after a change.
func (s *state) merged(change *coordrecord.ShareUpdateValue) []Batch {
	all := make([]Batch, 0, len(s.batches)+len(change.StateBatches))
	all = append(all, s.batches...)
	for _, b := range change.StateBatches {
		all = append(all, Batch{b.FirstOffset, b.LastOffset, b.DeliveryState, b.DeliveryCount})
	}
	start := s.startOffset
	if change.StartOffset != noOffset {
		start = change.StartOffset
	}
	return combine(all, start)
}

// update takes in a ShareUpdate.
func (s *state) update(v *coordrecord.ShareUpdateValue) {
	s.batches = s.merged(v)
	if v.StartOffset != noOffset {
		s.startOffset = v.StartOffset
	}
	s.leaderEpoch = max(s.leaderEpoch, v.LeaderEpoch)
	s.deliveryCompleteCount = v.DeliveryCompleteCount
	s.updates++
}

// replace takes in a ShareSnapshot.
func (s *state) replace(v *coordrecord.ShareSnapshotValue) {
	s.snapshotEpoch, s.stateEpoch, s.leaderEpoch = v.SnapshotEpoch, v.StateEpoch, v.LeaderEpoch
	s.startOffset, s.deliveryCompleteCount = v.StartOffset, v.DeliveryCompleteCount
	s.createMs, s.writeMs = v.CreateTimestamp, v.WriteTimestamp
	s.batches = nil
	for _, b := range v.StateBatches {
		s.batches = append(s.batches, Batch{b.FirstOffset, b.LastOffset, b.DeliveryState, b.DeliveryCount})
	}
	s.updates = 0
}

// snapshot returns the record that holds everything.
func (s *state) snapshot() *coordrecord.ShareSnapshotValue {
	v := &coordrecord.ShareSnapshotValue{
		SnapshotEpoch: s.snapshotEpoch, StateEpoch: s.stateEpoch, LeaderEpoch: s.leaderEpoch,
		StartOffset: s.startOffset, DeliveryCompleteCount: s.deliveryCompleteCount,
		CreateTimestamp: s.createMs, WriteTimestamp: s.writeMs,
	}
	for _, b := range s.batches {
		v.StateBatches = append(v.StateBatches, coordrecord.ShareSnapshotValueStateBatch{
			FirstOffset: b.FirstOffset, LastOffset: b.LastOffset, DeliveryState: b.State, DeliveryCount: b.DeliveryCount,
		})
	}
	return v
}

// decodeKey reads a record's key. ok is false for a record of a kind that came later.
func decodeKey(b []byte) (k key, snapshot, ok bool, err error) {
	parsed, err := coordrecord.Share.ParseKey(b)
	if errors.Is(err, coordrecord.ErrUnknownType) {
		return key{}, false, false, nil
	}
	if err != nil {
		return key{}, false, false, fmt.Errorf("decoding the key of a share partition: %w", err)
	}
	switch p := parsed.(type) {
	case *coordrecord.ShareSnapshotKey:
		return key{p.GroupId, p.TopicId, p.Partition}, true, true, nil
	case *coordrecord.ShareUpdateKey:
		return key{p.GroupId, p.TopicId, p.Partition}, false, true, nil
	}
	return key{}, false, false, nil
}

func snapshotKey(k key) *coordrecord.ShareSnapshotKey {
	return &coordrecord.ShareSnapshotKey{GroupId: k.group, TopicId: k.topic, Partition: k.partition}
}

func updateKey(k key) *coordrecord.ShareUpdateKey {
	return &coordrecord.ShareUpdateKey{GroupId: k.group, TopicId: k.topic, Partition: k.partition}
}
