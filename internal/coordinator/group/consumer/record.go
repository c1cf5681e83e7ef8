package consumer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

func (g *Group) writeEpoch(env classic.Env) {
	env.Write(&coordrecord.ConsumerGroupMetadataKey{GroupId: g.id}, &coordrecord.ConsumerGroupMetadataValue{Epoch: g.epoch, MetadataHash: g.metadataHash})
}

func (g *Group) writeAssignmentEpoch(env classic.Env) {
	env.Write(&coordrecord.ConsumerGroupTargetAssignmentMetadataKey{GroupId: g.id}, &coordrecord.ConsumerGroupTargetAssignmentMetadataValue{
		AssignmentEpoch: g.assignmentEpoch, AssignmentTimestamp: g.assignedMs,
	})
}

func (g *Group) writeTarget(env classic.Env, memberID string) {
	target := g.target[memberID]
	value := coordrecord.ConsumerGroupTargetAssignmentMemberValue{}
	for _, id := range ids(target) {
		value.TopicPartitions = append(value.TopicPartitions, coordrecord.ConsumerGroupTargetAssignmentMemberValueTopicPartition{
			TopicId: id, Partitions: target[id],
		})
	}
	env.Write(&coordrecord.ConsumerGroupTargetAssignmentMemberKey{GroupId: g.id, MemberId: memberID}, &value)
}

func (g *Group) writeCurrent(env classic.Env, m *member) {
	env.Write(&coordrecord.ConsumerGroupCurrentMemberAssignmentKey{GroupId: g.id, MemberId: m.id}, &coordrecord.ConsumerGroupCurrentMemberAssignmentValue{
		MemberEpoch: m.epoch, PreviousMemberEpoch: m.previousEpoch, State: int8(m.state),
		AssignedPartitions: partitionsOf(m.assigned), PartitionsPendingRevocation: partitionsOf(m.pending),
	})
}

func partitionsOf(o owned) []coordrecord.ConsumerGroupCurrentMemberAssignmentValueTopicPartitions {
	var out []coordrecord.ConsumerGroupCurrentMemberAssignmentValueTopicPartitions
	for _, id := range ids(o) {
		t := coordrecord.ConsumerGroupCurrentMemberAssignmentValueTopicPartitions{TopicId: id}
		t.Partitions = slices.Sorted(maps.Keys(o[id]))
		t.AssignmentEpochs = make([]int32, len(t.Partitions))
		for i, p := range t.Partitions {
			t.AssignmentEpochs[i] = o[id][p]
		}
		out = append(out, t)
	}
	return out
}

func (g *Group) memberValue(m *member) *coordrecord.ConsumerGroupMemberMetadataValue {
	value := &coordrecord.ConsumerGroupMemberMetadataValue{
		InstanceId: m.instanceID, RackId: m.rackID, ClientId: m.clientID, ClientHost: m.clientHost,
		SubscribedTopicNames: m.topics, RebalanceTimeoutMs: m.rebalanceTimeoutMs, ServerAssignor: m.assignor,
		ClassicMemberMetadata: m.classic,
	}
	if m.regex != "" {
		value.SubscribedTopicRegex = &m.regex
	}
	return value
}

func (g *Group) metadataBytes(m *member) int {
	return len(coordrecord.AppendValue(nil, g.memberValue(m), 0))
}

func (g *Group) writeMember(env classic.Env, m *member) {
	env.Write(&coordrecord.ConsumerGroupMemberMetadataKey{GroupId: g.id, MemberId: m.id}, g.memberValue(m))
}

func (g *Group) forgetRecords(env classic.Env, memberID string) {
	env.Forget(
		&coordrecord.ConsumerGroupCurrentMemberAssignmentKey{GroupId: g.id, MemberId: memberID},
		&coordrecord.ConsumerGroupTargetAssignmentMemberKey{GroupId: g.id, MemberId: memberID},
		&coordrecord.ConsumerGroupMemberMetadataKey{GroupId: g.id, MemberId: memberID},
	)
}

// Delete writes the tombstones of the group and cancels its timers.
func (g *Group) Delete(env classic.Env) {
	for _, id := range g.memberIDs() {
		g.forget(env, g.members[id])
		g.drop(g.members[id])
	}
	g.dropRegexes(env)
	env.Forget(&coordrecord.ConsumerGroupTargetAssignmentMetadataKey{GroupId: g.id}, &coordrecord.ConsumerGroupMetadataKey{GroupId: g.id})
}

// GroupOf returns the group that a record tells of; ok is false for records of other
// kinds of groups, and of those that consumer groups no longer have.
func GroupOf(key coordrecord.Key) (id string, ok bool) {
	switch k := key.(type) {
	case *coordrecord.ConsumerGroupMetadataKey:
		return k.GroupId, true
	case *coordrecord.ConsumerGroupMemberMetadataKey:
		return k.GroupId, true
	case *coordrecord.ConsumerGroupTargetAssignmentMetadataKey:
		return k.GroupId, true
	case *coordrecord.ConsumerGroupTargetAssignmentMemberKey:
		return k.GroupId, true
	case *coordrecord.ConsumerGroupCurrentMemberAssignmentKey:
		return k.GroupId, true
	case *coordrecord.ConsumerGroupRegularExpressionKey:
		return k.GroupId, true
	}
	return "", false
}

// Apply takes in one record of the group; value is nil for a tombstone. It tells whether
// the group is gone with it.
func (g *Group) Apply(key coordrecord.Key, value coordrecord.Value) (gone bool, err error) {
	switch k := key.(type) {
	case *coordrecord.ConsumerGroupMetadataKey:
		if value == nil {
			return true, nil
		}
		v := value.(*coordrecord.ConsumerGroupMetadataValue)
		g.epoch, g.metadataHash = v.Epoch, v.MetadataHash
	case *coordrecord.ConsumerGroupTargetAssignmentMetadataKey:
		g.assignmentEpoch, g.assignedMs = firstEpoch, 0
		if value != nil {
			v := value.(*coordrecord.ConsumerGroupTargetAssignmentMetadataValue)
			g.assignmentEpoch, g.assignedMs = v.AssignmentEpoch, v.AssignmentTimestamp
		}
	case *coordrecord.ConsumerGroupTargetAssignmentMemberKey:
		g.applyTarget(k.MemberId, value)
	case *coordrecord.ConsumerGroupMemberMetadataKey:
		g.applyMember(k.MemberId, value)
	case *coordrecord.ConsumerGroupCurrentMemberAssignmentKey:
		return false, g.applyCurrent(k.MemberId, value)
	case *coordrecord.ConsumerGroupRegularExpressionKey:
		g.applyRegex(k.RegularExpression, value)
	}
	return false, nil
}

func (g *Group) applyTarget(memberID string, value coordrecord.Value) {
	if value == nil {
		delete(g.target, memberID)
		return
	}
	target := make(assignor.Assignment)
	for _, t := range value.(*coordrecord.ConsumerGroupTargetAssignmentMemberValue).TopicPartitions {
		target[t.TopicId] = slices.Sorted(slices.Values(t.Partitions))
	}
	g.target[strings.Clone(memberID)] = target
}

// ensure returns a copy of the member, to be put, for records of a member may come in
// any order once the log is compacted.
func (g *Group) ensure(memberID string) *member {
	if m := g.members[memberID]; m != nil {
		c := *m
		return &c
	}
	return &member{id: strings.Clone(memberID), assigned: owned{}, pending: owned{}}
}

func (g *Group) applyMember(memberID string, value coordrecord.Value) {
	if value == nil {
		if m := g.members[memberID]; m != nil {
			target := g.target[memberID]
			g.drop(m)
			if target != nil {
				g.target[m.id] = target // its own tombstone is to come
			}
		}
		return
	}
	v := value.(*coordrecord.ConsumerGroupMemberMetadataValue)
	m := g.ensure(memberID)
	m.instanceID, m.rackID, m.assignor = wire.CloneNullable(v.InstanceId), wire.CloneNullable(v.RackId), wire.CloneNullable(v.ServerAssignor)
	m.clientID, m.clientHost = strings.Clone(v.ClientId), strings.Clone(v.ClientHost)
	m.topics, m.rebalanceTimeoutMs = sortedSet(v.SubscribedTopicNames), v.RebalanceTimeoutMs
	m.regex = ""
	if v.SubscribedTopicRegex != nil {
		m.regex = strings.Clone(*v.SubscribedTopicRegex)
	}
	m.classic = cloneClassic(v.ClassicMemberMetadata)
	g.put(m)
}

func cloneClassic(v *classicInfo) *classicInfo {
	if v == nil || len(v.SupportedProtocols) == 0 {
		return nil
	}
	out := &classicInfo{SessionTimeoutMs: v.SessionTimeoutMs}
	for _, p := range v.SupportedProtocols {
		out.SupportedProtocols = append(out.SupportedProtocols, coordrecord.ConsumerGroupMemberMetadataValueClassicProtocol{
			Name: strings.Clone(p.Name), Metadata: slices.Clone(p.Metadata),
		})
	}
	return out
}

func (g *Group) applyCurrent(memberID string, value coordrecord.Value) error {
	if value == nil {
		if g.members[memberID] == nil {
			return nil
		}
		m := g.ensure(memberID)
		m.epoch, m.previousEpoch, m.state, m.assigned, m.pending = 0, 0, stable, owned{}, owned{}
		g.put(m)
		return nil
	}
	v := value.(*coordrecord.ConsumerGroupCurrentMemberAssignmentValue)
	m := g.ensure(memberID)
	m.epoch, m.previousEpoch, m.state = v.MemberEpoch, v.PreviousMemberEpoch, memberState(v.State)
	var err error
	if m.assigned, err = ownedOf(v.AssignedPartitions, v.MemberEpoch); err == nil {
		m.pending, err = ownedOf(v.PartitionsPendingRevocation, v.MemberEpoch)
	}
	if err != nil {
		return fmt.Errorf("decoding what member %q of group %q owns: %w", memberID, g.id, err)
	}
	g.put(m)
	return nil
}

// ownedOf reads partitions and their epochs. Records of brokers before 4.3 have no
// epochs: the member's own is the most careful guess.
func ownedOf(topics []coordrecord.ConsumerGroupCurrentMemberAssignmentValueTopicPartitions, memberEpoch int32) (owned, error) {
	out := owned{}
	for i := range topics {
		t := &topics[i]
		if len(t.AssignmentEpochs) != 0 && len(t.AssignmentEpochs) != len(t.Partitions) {
			return nil, fmt.Errorf("topic %s has %d partitions and %d epochs", t.TopicId, len(t.Partitions), len(t.AssignmentEpochs))
		}
		for j, p := range t.Partitions {
			epoch := memberEpoch
			if len(t.AssignmentEpochs) > 0 {
				epoch = t.AssignmentEpochs[j]
			}
			out.put(t.TopicId, p, epoch)
		}
	}
	return out, nil
}

func (g *Group) applyRegex(expression string, value coordrecord.Value) {
	r := g.regexes[expression]
	if value == nil {
		if r != nil {
			r.recorded, r.topics = false, nil
			if r.members == 0 {
				delete(g.regexes, expression)
			}
		}
		return
	}
	if r == nil {
		r = &regex{}
		g.regexes[strings.Clone(expression)] = r
	}
	v := value.(*coordrecord.ConsumerGroupRegularExpressionValue)
	r.recorded, r.topics, r.version, r.timestampMs = true, sortedSet(v.Topics), v.Version, v.Timestamp
}

// String describes the group as its records do.
func (g *Group) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "consumer group %s epoch %d hash %x assignment epoch %d at %d", g.id, g.epoch, uint64(g.metadataHash), g.assignmentEpoch, g.assignedMs)
	for _, expression := range slices.Sorted(maps.Keys(g.regexes)) {
		r := g.regexes[expression]
		fmt.Fprintf(&b, "\n  regex %q of %d members at version %d and %d: %v", expression, r.members, r.version, r.timestampMs, r.topics)
	}
	for _, id := range g.memberIDs() {
		m := g.members[id]
		fmt.Fprintf(&b, "\n  member %s%s client %s%s epoch %d after %d %s topics %v", m.id, orNothing("@", m.instanceID), m.clientID, m.clientHost,
			m.epoch, m.previousEpoch, m.state, m.topics)
		if m.regex != "" {
			fmt.Fprintf(&b, " regex %q", m.regex)
		}
		fmt.Fprintf(&b, " rebalance %d%s%s owns %s gives up %s target %s", m.rebalanceTimeoutMs, orNothing(" rack ", m.rackID),
			orNothing(" assignor ", m.assignor), m.assigned, m.pending, describeAssignment(g.target[id]))
		if m.classic != nil {
			fmt.Fprintf(&b, " classic %+v", *m.classic)
		}
	}
	return b.String()
}

func orNothing(prefix string, s *string) string {
	if s == nil {
		return ""
	}
	return prefix + *s
}

// String returns the state as Kafka's logs name it.
func (s memberState) String() string {
	switch s {
	case stable:
		return "STABLE"
	case unrevokedPartitions:
		return "UNREVOKED_PARTITIONS"
	case unreleasedPartitions:
		return "UNRELEASED_PARTITIONS"
	}
	return "UNKNOWN"
}

// String lists the partitions with their epochs.
func (o owned) String() string {
	var parts []string
	for _, id := range ids(o) {
		for _, p := range slices.Sorted(maps.Keys(o[id])) {
			parts = append(parts, fmt.Sprintf("%s-%d@%d", shortID(id), p, o[id][p]))
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func describeAssignment(a assignor.Assignment) string {
	var parts []string
	for _, id := range ids(a) {
		for _, p := range a[id] {
			parts = append(parts, fmt.Sprintf("%s-%d", shortID(id), p))
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func shortID(id wire.UUID) string { return strings.TrimLeft(id.String(), "A") }
