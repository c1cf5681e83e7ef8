package offsets

import (
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

const (
	keyType = 1

	valueVersion    = 4
	expiringVersion = 1
)

// AppendKey appends the key of the record that holds the offset.
func AppendKey(dst []byte, group, topic string, partition int32) []byte {
	key := coordrecord.OffsetCommitKey{Group: group, Topic: topic, Partition: partition}
	return key.Append(wire.AppendInt16(dst, keyType), 0)
}

// AppendValue appends the value of the record that holds c.
func AppendValue(dst []byte, c *Committed) []byte {
	value := coordrecord.OffsetCommitValue{
		Offset:          c.Offset,
		LeaderEpoch:     c.LeaderEpoch,
		Metadata:        c.Metadata,
		CommitTimestamp: c.CommitTimestampMs,
		ExpireTimestamp: c.ExpireTimestampMs,
		TopicId:         c.TopicID,
	}
	version := int16(valueVersion)
	if c.ExpireTimestampMs >= 0 {
		version = expiringVersion
	}
	return value.Append(wire.AppendInt16(dst, version), version)
}

// DecodeKey reads a record's key after its type. The strings alias b.
func DecodeKey(b []byte) (group, topic string, partition int32, err error) {
	var key coordrecord.OffsetCommitKey
	if err := key.Decode(b, 0); err != nil {
		return "", "", 0, fmt.Errorf("decoding the key of a committed offset: %w", err)
	}
	return key.Group, key.Topic, key.Partition, nil
}

// DecodeValue reads a record's value. The metadata aliases b.
func DecodeValue(b []byte) (Committed, error) {
	r := wire.NewReader(b)
	version := r.Int16()
	if err := r.Err(); err != nil {
		return Committed{}, fmt.Errorf("decoding the version of a committed offset: %w", err)
	}
	var value coordrecord.OffsetCommitValue
	if lo, hi := value.Versions(); version < lo || version > hi {
		return Committed{}, fmt.Errorf("decoding a committed offset: version %d, known are %d to %d", version, lo, hi)
	}
	if err := value.Decode(b[2:], version); err != nil {
		return Committed{}, fmt.Errorf("decoding a committed offset: %w", err)
	}
	return Committed{
		Offset:            value.Offset,
		LeaderEpoch:       value.LeaderEpoch,
		Metadata:          value.Metadata,
		CommitTimestampMs: value.CommitTimestamp,
		ExpireTimestampMs: value.ExpireTimestamp,
		TopicID:           value.TopicId,
	}, nil
}
