package metarecord

import (
	"errors"
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// frameVersion is the only version of the frame.
const frameVersion = 1

// ErrUnknownType says that a record has a type of which this program knows
// nothing: it was written by a newer one.
var ErrUnknownType = errors.New("unknown record type")

// Record is a metadata record. Decode and Append are those of protocol.Message and
// concern the payload; RecordType is the number of the type, Versions the range
// of its versions.
type Record interface {
	Decode(b []byte, version int16) error
	Append(b []byte, version int16) []byte
	SetDefaults()
	RecordType() int16
	Versions() (lo, hi int16)
	decode(r *wire.Reader, v int16)
}

// New returns a metadata record of the type with its defaults, or nil if there
// is no such type.
func New(key int16) Record {
	r := newMetadataRecord(key)
	if r != nil {
		r.SetDefaults()
	}
	return r
}

// Append appends the frame and the payload of a record.
func Append(b []byte, r Record, version int16) []byte {
	b = wire.AppendUVarint(b, frameVersion)
	b = wire.AppendUVarint(b, uint32(r.RecordType()))
	b = wire.AppendUVarint(b, uint32(version))
	return r.Append(b, version)
}

// Parse reads the value of a metadata record. Its strings and bytes alias b.
func Parse(b []byte) (Record, int16, error) {
	r := wire.NewReader(b)
	frame, key, version := r.UVarint(), r.UVarint(), r.UVarint()
	if err := r.Err(); err != nil {
		return nil, 0, fmt.Errorf("reading the frame of a metadata record: %w", r.Finish("frame", frameVersion))
	}
	if frame != frameVersion {
		return nil, 0, fmt.Errorf("reading the frame of a metadata record: frame version %d: %w", frame, wire.ErrVersion)
	}
	if key > 1<<15-1 || version > 1<<15-1 {
		return nil, 0, fmt.Errorf("reading the frame of a metadata record: type %d version %d: %w", key, version, wire.ErrVarint)
	}
	record := newMetadataRecord(int16(key))
	if record == nil {
		return nil, 0, fmt.Errorf("reading a metadata record: %w %d", ErrUnknownType, key)
	}
	if lo, hi := record.Versions(); int16(version) < lo || int16(version) > hi {
		return nil, 0, wire.UnsupportedVersion(fmt.Sprintf("metadata record %d", key), int16(version), lo, hi)
	}
	record.decode(&r, int16(version))
	if r.OK() && r.Remaining() > 0 {
		r.Fail(wire.ErrTrailing)
	}
	if r.Err() != nil {
		return nil, 0, r.Finish(fmt.Sprintf("metadata record %d", key), int16(version))
	}
	return record, int16(version), nil
}
