package metarecord

import (
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// ControlType is the type of a control record of the quorum.
type ControlType int16

// Types of control records; 0 and 1 are the transaction markers, which do not
// occur in __cluster_metadata.
const (
	LeaderChange   ControlType = 2
	SnapshotHeader ControlType = 3
	SnapshotFooter ControlType = 4
	KRaftVersion   ControlType = 5
	KRaftVoters    ControlType = 6
)

// Control is the value of a control record.
type Control interface {
	Decode(b []byte, version int16) error
	Append(b []byte, version int16) []byte
}

// NewControl returns an empty value of the type, or nil if there is none.
func NewControl(t ControlType) Control {
	switch t {
	case LeaderChange:
		return new(LeaderChangeMessage)
	case SnapshotHeader:
		return new(SnapshotHeaderRecord)
	case SnapshotFooter:
		return new(SnapshotFooterRecord)
	case KRaftVersion:
		return new(KRaftVersionRecord)
	case KRaftVoters:
		return new(VotersRecord)
	}
	return nil
}

// AppendControlKey appends the key of a control record.
func AppendControlKey(b []byte, t ControlType) []byte {
	return wire.AppendInt16(wire.AppendInt16(b, 0), int16(t))
}

// ParseControlKey reads the key of a control record. Newer versions may append
// to it, which is ignored.
func ParseControlKey(b []byte) (ControlType, error) {
	r := wire.NewReader(b)
	version, t := r.Int16(), ControlType(r.Int16())
	if r.Err() == nil && version < 0 {
		r.Fail(wire.ErrVersion)
	}
	return t, r.Finish("control record key", version)
}

// ParseControl reads a control record, whose value begins with its version.
func ParseControl(key, value []byte) (ControlType, Control, error) {
	t, err := ParseControlKey(key)
	if err != nil {
		return 0, nil, err
	}
	c := NewControl(t)
	if c == nil {
		return t, nil, fmt.Errorf("reading a control record: %w %d", ErrUnknownType, t)
	}
	r := wire.NewReader(value)
	version := r.Int16()
	if r.Err() != nil {
		return t, nil, r.Finish("control record", 0)
	}
	return t, c, c.Decode(value, version)
}
