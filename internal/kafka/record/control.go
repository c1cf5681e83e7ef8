package record

import (
	"encoding/binary"
	"fmt"
)

// ControlType is the kind of a control record, the second int16 of its key.
type ControlType int16

// Kafka's control records. The markers of transactions carry an EndTxnMarker as
// value, the others a message of the metadata log.
const (
	ControlAbort          ControlType = 0
	ControlCommit         ControlType = 1
	ControlLeaderChange   ControlType = 2
	ControlSnapshotHeader ControlType = 3
	ControlSnapshotFooter ControlType = 4
	ControlKRaftVersion   ControlType = 5
	ControlKRaftVoters    ControlType = 6
)

const (
	controlKeySize   = 4
	endTxnMarkerSize = 6
	// maxControlBytes bounds a control batch that somebody compressed.
	maxControlBytes = 64 << 10
)

// String returns the type's name.
func (t ControlType) String() string {
	names := [...]string{"ABORT", "COMMIT", "LEADER_CHANGE", "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION", "KRAFT_VOTERS"}
	if t < 0 || int(t) >= len(names) {
		return fmt.Sprintf("CONTROL_%d", int16(t))
	}
	return names[t]
}

// AppendControlKey appends the key of a control record of type t:
//
//	version int16 = 0 · type int16
func AppendControlKey(dst []byte, t ControlType) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	return binary.BigEndian.AppendUint16(dst, uint16(t))
}

// ParseControlKey returns the type of the control record with this key. Types of
// later versions are returned as they are.
func ParseControlKey(key []byte) (ControlType, error) {
	if len(key) < controlKeySize || i16(key, 0) < 0 {
		return 0, fmt.Errorf("%w: control record key of %d bytes", ErrInvalid, len(key))
	}
	return ControlType(i16(key, 2)), nil
}

// EndTxnMarker ends a producer's transaction in one partition:
//
//	version int16 = 0 · coordinatorEpoch int32
type EndTxnMarker struct {
	Type             ControlType // ControlCommit or ControlAbort
	CoordinatorEpoch int32
}

// AppendEndTxn appends a batch with the marker to dst: one control record in a
// transactional batch of the producer, without a sequence number. The base offset
// and the leader epoch are those of spec.
func AppendEndTxn(dst []byte, spec Spec, m EndTxnMarker, timestampMs int64, bl *Builder) ([]byte, error) {
	spec.Control, spec.Transactional, spec.BaseSequence = true, true, NoSequence
	var key [controlKeySize]byte
	var value [endTxnMarkerSize]byte
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	bl.Reset(spec)
	if err := bl.Append(timestampMs, AppendControlKey(key[:0], m.Type), value[:]); err != nil {
		return dst, err
	}
	return bl.Build(dst)
}

// ParseEndTxn reads the marker from a control record. Ok is false for control
// records of other types.
func ParseEndTxn(r *Record) (m EndTxnMarker, ok bool, err error) {
	t, err := ParseControlKey(r.Key)
	if err != nil || t != ControlAbort && t != ControlCommit {
		return EndTxnMarker{}, false, err
	}
	if len(r.Value) < endTxnMarkerSize || i16(r.Value, 0) < 0 {
		return EndTxnMarker{}, false, fmt.Errorf("%w: %s marker of %d bytes", ErrInvalid, t, len(r.Value))
	}
	return EndTxnMarker{Type: t, CoordinatorEpoch: i32(r.Value, 2)}, true, nil
}

// EndTxn reads the marker of a control batch. Ok is false for control batches of
// other types and for batches emptied by compaction.
func (b Batch) EndTxn() (m EndTxnMarker, ok bool, err error) {
	if !b.IsControl() || b.Count() == 0 {
		return EndTxnMarker{}, false, nil
	}
	it, err := b.Iterate(&Scratch{MaxBytes: maxControlBytes})
	if err != nil {
		return EndTxnMarker{}, false, err
	}
	if !it.Next() {
		return EndTxnMarker{}, false, it.Err()
	}
	return ParseEndTxn(&it.Record)
}
