package consumer

import (
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Epochs that a member sends to say something else.
const (
	joinEpoch        = 0
	leaveEpoch       = -1
	leaveStaticEpoch = -2
)

// memberState is where a member is on its way to its target. The numbers are those of
// the record.
type memberState int8

const (
	stable               memberState = 0
	unrevokedPartitions  memberState = 1
	unreleasedPartitions memberState = 2
)

// owned is partitions by topic, each with the epoch in which the member got it. It is
// not changed once a member has it.
type owned map[wire.UUID]map[int32]int32

func (o owned) has(id wire.UUID, partition int32) bool {
	_, ok := o[id][partition]
	return ok
}

func (o owned) put(id wire.UUID, partition, epoch int32) {
	if o[id] == nil {
		o[id] = make(map[int32]int32)
	}
	o[id][partition] = epoch
}

func (o owned) equal(b owned) bool { return maps.EqualFunc(o, b, maps.Equal) }

// assignment returns the partitions without their epochs.
func (o owned) assignment() assignor.Assignment {
	out := make(assignor.Assignment, len(o))
	for id, partitions := range o {
		out[id] = slices.Sorted(maps.Keys(partitions))
	}
	return out
}

// ids returns the topics in the order of their ids.
func ids[V any](m map[wire.UUID]V) []wire.UUID {
	return slices.SortedFunc(maps.Keys(m), wire.UUID.Compare)
}

// member is one member. What a group holds of it is replaced, not changed.
type member struct {
	id                 string
	instanceID         *string
	rackID             *string
	clientID           string
	clientHost         string
	rebalanceTimeoutMs int32
	topics             []string // in order, each once
	regex              string   // empty: none
	assignor           *string
	classic            *classicInfo // nil: it uses the consumer protocol

	epoch         int32
	previousEpoch int32
	state         memberState
	assigned      owned
	pending       owned // what the member has to give up
}

// held returns the partitions that the member has, those that it has been asked to give
// up among them.
func (m *member) held() assignor.Assignment {
	out := m.assigned.assignment()
	for id, partitions := range m.pending.assignment() {
		out[id] = append(out[id], partitions...)
		slices.Sort(out[id])
	}
	return out
}

// reconciled tells whether the member has all of the target of that epoch.
func (m *member) reconciled(epoch int32) bool { return m.state == stable && m.epoch == epoch }

// sameSubscription tells whether both are subscribed to the same.
func (m *member) sameSubscription(b *member) bool {
	return slices.Equal(m.topics, b.topics) && m.regex == b.regex
}

// sameMetadata tells whether both have the same member record.
func (m *member) sameMetadata(b *member) bool {
	return m.sameSubscription(b) && equalNullable(m.instanceID, b.instanceID) && equalNullable(m.rackID, b.rackID) &&
		equalNullable(m.assignor, b.assignor) && m.clientID == b.clientID && m.clientHost == b.clientHost &&
		m.rebalanceTimeoutMs == b.rebalanceTimeoutMs && m.classic == b.classic
}

func equalNullable(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// subset tells whether all of the partitions that a member reports are among those; a
// member that reports nothing at all may have anything.
func subset(reported []protocol.ConsumerGroupHeartbeatRequestTopicPartitions, of owned) bool {
	if reported == nil {
		return false
	}
	for i := range reported {
		for _, p := range reported[i].Partitions {
			if !of.has(reported[i].TopicId, p) {
				return false
			}
		}
	}
	return true
}

// stillOwns tells whether a member has to be taken to own some of the partitions, by
// what it reports.
func stillOwns(reported []protocol.ConsumerGroupHeartbeatRequestTopicPartitions, of owned) bool {
	if reported == nil {
		return true
	}
	for i := range reported {
		for _, p := range reported[i].Partitions {
			if of.has(reported[i].TopicId, p) {
				return true
			}
		}
	}
	return false
}

// sortedSet returns copies of the names in order, each once.
func sortedSet(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.Clone(name)
	}
	slices.Sort(out)
	return slices.Clip(slices.Compact(out))
}
