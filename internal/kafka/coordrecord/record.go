package coordrecord

import (
	"errors"
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// ErrUnknownType says that a key has a type of which this program knows nothing:
// it was written by a newer one and can be skipped.
var ErrUnknownType = errors.New("unknown record type")

// Key is the key of a record. RecordType is the same for a key and its value.
type Key interface {
	Decode(b []byte, version int16) error
	Append(b []byte, version int16) []byte
	RecordType() int16
}

// Value is the value of a record.
type Value interface {
	Decode(b []byte, version int16) error
	Append(b []byte, version int16) []byte
	RecordType() int16
	Versions() (lo, hi int16)
}

// Family is a set of record types: those of one topic.
type Family uint8

// The families.
const (
	Group Family = iota
	Transaction
	Share
)

// NewKey returns an empty key of the type, or nil.
func (f Family) NewKey(number int16) Key {
	switch f {
	case Group:
		return newGroupKey(number)
	case Transaction:
		return newTxnKey(number)
	}
	return newShareKey(number)
}

// NewValue returns an empty value of the type, or nil.
func (f Family) NewValue(number int16) Value {
	switch f {
	case Group:
		return newGroupValue(number)
	case Transaction:
		return newTxnValue(number)
	}
	return newShareValue(number)
}

// AppendKey appends a key with the type in front.
func AppendKey(b []byte, k Key) []byte { return k.Append(wire.AppendInt16(b, k.RecordType()), 0) }

// AppendValue appends a value with the version in front.
func AppendValue(b []byte, v Value, version int16) []byte {
	return v.Append(wire.AppendInt16(b, version), version)
}

// ParseKey reads the key of a record. Its strings alias b.
func (f Family) ParseKey(b []byte) (Key, error) {
	r := wire.NewReader(b)
	number := r.Int16()
	if r.Err() != nil {
		return nil, r.Finish("record key", 0)
	}
	k := f.NewKey(number)
	if k == nil {
		return nil, fmt.Errorf("reading a record key: %w %d", ErrUnknownType, number)
	}
	return k, k.Decode(r.Rest(), 0)
}

// ParseValue reads the value that belongs to a key, and tells its version. A nil
// b, which is a tombstone, is a nil Value. Its strings and bytes alias b.
func (f Family) ParseValue(k Key, b []byte) (Value, int16, error) {
	if b == nil {
		return nil, 0, nil
	}
	r := wire.NewReader(b)
	version := r.Int16()
	if r.Err() != nil {
		return nil, 0, r.Finish("record value", 0)
	}
	v := f.NewValue(k.RecordType())
	if v == nil {
		return nil, 0, fmt.Errorf("reading a record value: %w %d", ErrUnknownType, k.RecordType())
	}
	return v, version, v.Decode(r.Rest(), version)
}
