package share

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
	env.Write(&coordrecord.ShareGroupMetadataKey{GroupId: g.id}, &coordrecord.ShareGroupMetadataValue{Epoch: g.epoch, MetadataHash: g.metadataHash})
}

func (g *Group) writeAssignmentEpoch(env classic.Env) {
	env.Write(&coordrecord.ShareGroupTargetAssignmentMetadataKey{GroupId: g.id}, &coordrecord.ShareGroupTargetAssignmentMetadataValue{
		AssignmentEpoch: g.assignmentEpoch, AssignmentTimestamp: g.assignedMs,
	})
}

func (g *Group) writeTarget(env classic.Env, memberID string) {
	target := g.target[memberID]
	value := coordrecord.ShareGroupTargetAssignmentMemberValue{}
	for _, id := range ids(target) {
		value.TopicPartitions = append(value.TopicPartitions, coordrecord.ShareGroupTargetAssignmentMemberValueTopicPartition{
			TopicId: id, Partitions: target[id],
		})
	}
	env.Write(&coordrecord.ShareGroupTargetAssignmentMemberKey{GroupId: g.id, MemberId: memberID}, &value)
}

func (g *Group) writeCurrent(env classic.Env, m *member) {
	value := coordrecord.ShareGroupCurrentMemberAssignmentValue{MemberEpoch: m.epoch, PreviousMemberEpoch: m.previousEpoch, State: stable}
	for _, id := range ids(m.assigned) {
		value.AssignedPartitions = append(value.AssignedPartitions, coordrecord.ShareGroupCurrentMemberAssignmentValueTopicPartitions{
			TopicId: id, Partitions: m.assigned[id],
		})
	}
	env.Write(&coordrecord.ShareGroupCurrentMemberAssignmentKey{GroupId: g.id, MemberId: m.id}, &value)
}

func memberValue(m *member) *coordrecord.ShareGroupMemberMetadataValue {
	return &coordrecord.ShareGroupMemberMetadataValue{
		RackId: m.rackID, ClientId: m.clientID, ClientHost: m.clientHost, SubscribedTopicNames: m.topics,
	}
}

func metadataBytes(m *member) int { return len(coordrecord.AppendValue(nil, memberValue(m), 0)) }

func (g *Group) writeMember(env classic.Env, m *member) {
	env.Write(&coordrecord.ShareGroupMemberMetadataKey{GroupId: g.id, MemberId: m.id}, memberValue(m))
}

// writeStates writes which partitions are how far, after a change of that.
func (g *Group) writeStates(env classic.Env) {
	g.state.recorded = true
	g.complete, g.assigned = false, false
	value := coordrecord.ShareGroupStatePartitionMetadataValue{
		InitializingTopics: infos(g.state.initializing), InitializedTopics: infos(g.state.initialized),
	}
	for _, id := range ids(g.state.deleting) {
		value.DeletingTopics = append(value.DeletingTopics, coordrecord.ShareGroupStatePartitionMetadataValueTopicInfo{
			TopicId: id, TopicName: g.state.deleting[id],
		})
	}
	env.Write(&coordrecord.ShareGroupStatePartitionMetadataKey{GroupId: g.id}, &value)
}

func infos(topics map[wire.UUID]partitions) []coordrecord.ShareGroupStatePartitionMetadataValueTopicPartitionsInfo {
	var out []coordrecord.ShareGroupStatePartitionMetadataValueTopicPartitionsInfo
	for _, id := range ids(topics) {
		out = append(out, coordrecord.ShareGroupStatePartitionMetadataValueTopicPartitionsInfo{
			TopicId: id, TopicName: topics[id].name, Partitions: topics[id].partitions,
		})
	}
	return out
}

func (g *Group) forgetRecords(env classic.Env, memberID string) {
	env.Forget(
		&coordrecord.ShareGroupCurrentMemberAssignmentKey{GroupId: g.id, MemberId: memberID},
		&coordrecord.ShareGroupTargetAssignmentMemberKey{GroupId: g.id, MemberId: memberID},
		&coordrecord.ShareGroupMemberMetadataKey{GroupId: g.id, MemberId: memberID},
	)
}

// Delete writes the tombstones of the group and cancels its timers.
func (g *Group) Delete(env classic.Env) {
	for _, id := range g.memberIDs() {
		g.forget(env, g.members[id])
		g.drop(g.members[id])
	}
	env.Forget(
		&coordrecord.ShareGroupTargetAssignmentMetadataKey{GroupId: g.id},
		&coordrecord.ShareGroupStatePartitionMetadataKey{GroupId: g.id},
		&coordrecord.ShareGroupMetadataKey{GroupId: g.id},
	)
}

// GroupOf returns the group that a record tells of; ok is false for records of other
// kinds of groups.
func GroupOf(key coordrecord.Key) (id string, ok bool) {
	switch k := key.(type) {
	case *coordrecord.ShareGroupMetadataKey:
		return k.GroupId, true
	case *coordrecord.ShareGroupMemberMetadataKey:
		return k.GroupId, true
	case *coordrecord.ShareGroupTargetAssignmentMetadataKey:
		return k.GroupId, true
	case *coordrecord.ShareGroupTargetAssignmentMemberKey:
		return k.GroupId, true
	case *coordrecord.ShareGroupCurrentMemberAssignmentKey:
		return k.GroupId, true
	case *coordrecord.ShareGroupStatePartitionMetadataKey:
		return k.GroupId, true
	}
	return "", false
}

// Apply takes in one record of the group; value is nil for a tombstone. It tells whether
// the group is gone with it.
func (g *Group) Apply(key coordrecord.Key, value coordrecord.Value) (gone bool, err error) {
	switch k := key.(type) {
	case *coordrecord.ShareGroupMetadataKey:
		if value == nil {
			return true, nil
		}
		v := value.(*coordrecord.ShareGroupMetadataValue)
		g.epoch, g.metadataHash = v.Epoch, v.MetadataHash
	case *coordrecord.ShareGroupTargetAssignmentMetadataKey:
		g.assignmentEpoch, g.assignedMs = firstEpoch, 0
		if value != nil {
			v := value.(*coordrecord.ShareGroupTargetAssignmentMetadataValue)
			g.assignmentEpoch, g.assignedMs = v.AssignmentEpoch, v.AssignmentTimestamp
		}
	case *coordrecord.ShareGroupTargetAssignmentMemberKey:
		g.applyTarget(k.MemberId, value)
	case *coordrecord.ShareGroupMemberMetadataKey:
		g.applyMember(k.MemberId, value)
	case *coordrecord.ShareGroupCurrentMemberAssignmentKey:
		g.applyCurrent(k.MemberId, value)
	case *coordrecord.ShareGroupStatePartitionMetadataKey:
		g.applyStates(value)
	}
	return false, nil
}

func (g *Group) applyTarget(memberID string, value coordrecord.Value) {
	if value == nil {
		delete(g.target, memberID)
		return
	}
	target := make(assignor.Assignment)
	for _, t := range value.(*coordrecord.ShareGroupTargetAssignmentMemberValue).TopicPartitions {
		target[t.TopicId] = union(nil, t.Partitions)
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
	return &member{id: strings.Clone(memberID), assigned: assignor.Assignment{}}
}

func (g *Group) applyMember(memberID string, value coordrecord.Value) {
	if value == nil {
		if m := g.members[memberID]; m != nil {
			target, ok := g.target[memberID]
			g.drop(m)
			if ok {
				g.target[m.id] = target // its own tombstone is to come
			}
		}
		return
	}
	v := value.(*coordrecord.ShareGroupMemberMetadataValue)
	m := g.ensure(memberID)
	m.rackID, m.clientID, m.clientHost = wire.CloneNullable(v.RackId), strings.Clone(v.ClientId), strings.Clone(v.ClientHost)
	m.topics = sortedSet(v.SubscribedTopicNames)
	m.bytes = metadataBytes(m)
	g.put(m)
}

func (g *Group) applyCurrent(memberID string, value coordrecord.Value) {
	if value == nil && g.members[memberID] == nil {
		return
	}
	m := g.ensure(memberID)
	m.epoch, m.previousEpoch, m.assigned = 0, 0, assignor.Assignment{}
	if value != nil {
		v := value.(*coordrecord.ShareGroupCurrentMemberAssignmentValue)
		m.epoch, m.previousEpoch = v.MemberEpoch, v.PreviousMemberEpoch
		for _, t := range v.AssignedPartitions {
			m.assigned[t.TopicId] = union(nil, t.Partitions)
		}
	}
	g.put(m)
}

func (g *Group) applyStates(value coordrecord.Value) {
	g.state = newStates()
	if value == nil {
		return
	}
	v := value.(*coordrecord.ShareGroupStatePartitionMetadataValue)
	g.state.recorded = true
	for _, t := range v.InitializingTopics {
		g.state.initializing[t.TopicId] = partitions{name: strings.Clone(t.TopicName), partitions: union(nil, t.Partitions)}
	}
	for _, t := range v.InitializedTopics {
		g.state.initialized[t.TopicId] = partitions{name: strings.Clone(t.TopicName), partitions: union(nil, t.Partitions)}
	}
	for _, t := range v.DeletingTopics {
		g.state.deleting[t.TopicId] = strings.Clone(t.TopicName)
	}
}

// String describes the group as its records do.
func (g *Group) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "share group %s epoch %d hash %x assignment epoch %d at %d", g.id, g.epoch, uint64(g.metadataHash), g.assignmentEpoch, g.assignedMs)
	if g.state.recorded {
		fmt.Fprintf(&b, "\n  initializing %s initialized %s deleting %v", describe(g.state.initializing), describe(g.state.initialized), slices.Sorted(maps.Values(g.state.deleting)))
	}
	for _, id := range g.memberIDs() {
		m := g.members[id]
		fmt.Fprintf(&b, "\n  member %s client %s%s epoch %d after %d topics %v", m.id, m.clientID, m.clientHost, m.epoch, m.previousEpoch, m.topics)
		if m.rackID != nil {
			fmt.Fprintf(&b, " rack %s", *m.rackID)
		}
		fmt.Fprintf(&b, " has %v target %v", m.assigned, g.target[id])
	}
	return b.String()
}

func describe(topics map[wire.UUID]partitions) string {
	var parts []string
	for _, id := range ids(topics) {
		parts = append(parts, fmt.Sprintf("%s %s %v", topics[id].name, id, topics[id].partitions))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
