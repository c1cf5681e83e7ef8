package classic

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

const (
	keyType      = 2
	valueVersion = 3
)

// AppendKey appends the key of the record of the group.
func AppendKey(dst []byte, group string) []byte {
	key := coordrecord.GroupMetadataKey{Group: group}
	return key.Append(wire.AppendInt16(dst, keyType), 0)
}

// DecodeKey reads a record's key after its type. The string aliases b.
func DecodeKey(b []byte) (group string, err error) {
	var key coordrecord.GroupMetadataKey
	if err := key.Decode(b, 0); err != nil {
		return "", fmt.Errorf("decoding the key of a group: %w", err)
	}
	return key.Group, nil
}

// Created writes the record of a group that has no members yet.
func (g *Group) Created(env Env) {
	value := coordrecord.GroupMetadataValue{CurrentStateTimestamp: g.stateTimestampMs}
	env.Out.Write(AppendKey(nil, g.id), value.Append(wire.AppendInt16(nil, valueVersion), valueVersion))
}

// Delete writes the tombstone of the group and cancels its timers.
func (g *Group) Delete(env Env) {
	for id := range g.pendingJoin {
		env.Out.Cancel(g.sessionKey(id))
	}
	env.Out.Write(AppendKey(nil, g.id), nil)
}

// record writes the group as it is. The error tells that the record would be too
// large; nothing is written then.
func (g *Group) record(env Env) error {
	value := coordrecord.GroupMetadataValue{
		ProtocolType:          g.protocolType,
		Generation:            g.generation,
		Protocol:              g.protocolName,
		CurrentStateTimestamp: g.stateTimestampMs,
		Members:               make([]coordrecord.GroupMetadataValueMemberMetadata, len(g.order)),
	}
	if g.leader != "" {
		value.Leader = &g.leader
	}
	for i, m := range g.order {
		value.Members[i] = coordrecord.GroupMetadataValueMemberMetadata{
			MemberId:         m.id,
			GroupInstanceId:  m.instanceID,
			ClientId:         m.clientID,
			ClientHost:       m.clientHost,
			RebalanceTimeout: m.rebalanceTimeoutMs,
			SessionTimeout:   m.sessionTimeoutMs,
			Subscription:     m.metadata(g.protocolName),
			Assignment:       m.assignment,
		}
	}
	b := value.Append(wire.AppendInt16(nil, valueVersion), valueVersion)
	if len(b) > env.Config.MaxRecordBytes {
		return fmt.Errorf("group %q needs a record of %d bytes, %d are allowed: %w",
			g.id, len(b), env.Config.MaxRecordBytes, protocol.RecordListTooLarge)
	}
	env.Out.Write(AppendKey(nil, g.id), b)
	return nil
}

// FromRecord makes the group that a record's value tells of: Stable if it has
// members, else Empty. Nothing of b is kept.
func FromRecord(id string, b []byte) (*Group, error) {
	r := wire.NewReader(b)
	version := r.Int16()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("decoding the version of group %q: %w", id, err)
	}
	var value coordrecord.GroupMetadataValue
	if lo, hi := value.Versions(); version < lo || version > hi {
		return nil, fmt.Errorf("decoding group %q: version %d, known are %d to %d", id, version, lo, hi)
	}
	if err := value.Decode(b[2:], version); err != nil {
		return nil, fmt.Errorf("decoding group %q: %w", id, err)
	}
	g := New(id, value.CurrentStateTimestamp)
	g.protocolType = strings.Clone(value.ProtocolType)
	g.protocolName = wire.CloneNullable(value.Protocol)
	g.generation = value.Generation
	if value.Leader != nil {
		g.leader = strings.Clone(*value.Leader)
	}
	name := ""
	if g.protocolName != nil {
		name = *g.protocolName
	}
	for i := range value.Members {
		m := &value.Members[i]
		if g.members[m.MemberId] != nil {
			return nil, fmt.Errorf("decoding group %q: member %q is there twice", id, m.MemberId)
		}
		x := &member{
			id:                 strings.Clone(m.MemberId),
			instanceID:         wire.CloneNullable(m.GroupInstanceId),
			clientID:           strings.Clone(m.ClientId),
			clientHost:         strings.Clone(m.ClientHost),
			rebalanceTimeoutMs: m.RebalanceTimeout,
			sessionTimeoutMs:   m.SessionTimeout,
			protocols:          []offer{{name: name, metadata: append([]byte{}, m.Subscription...)}},
			assignment:         append([]byte{}, m.Assignment...),
		}
		if x.rebalanceTimeoutMs < 0 {
			x.rebalanceTimeoutMs = x.sessionTimeoutMs
		}
		g.add(x)
		g.state = Stable
	}
	g.previous = g.state
	g.subscribed = g.computeSubscribed()
	return g, nil
}

// Loaded starts the sessions of a group that was read from the log.
func (g *Group) Loaded(env Env) {
	for _, m := range g.order {
		g.renewSession(env, m)
	}
	if len(g.members) > env.Config.MaxSize {
		g.prepareRebalance(env) // the limit was lowered; the last to join are refused
	}
}
