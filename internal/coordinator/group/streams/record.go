package streams

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/topology"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

type (
	targetIDs  = coordrecord.StreamsGroupTargetAssignmentMemberValueTaskIds
	currentIDs = coordrecord.StreamsGroupCurrentMemberAssignmentValueTaskIds
)

func (g *Group) writeEpoch(env classic.Env) {
	value := &coordrecord.StreamsGroupMetadataValue{
		Epoch: g.epoch, MetadataHash: g.metadataHash, ValidatedTopologyEpoch: g.validatedEpoch,
		LastAssignmentConfigs: []coordrecord.StreamsGroupMetadataValueLastAssignmentConfig{},
	}
	for _, key := range slices.Sorted(maps.Keys(g.configs)) {
		value.LastAssignmentConfigs = append(value.LastAssignmentConfigs, coordrecord.StreamsGroupMetadataValueLastAssignmentConfig{Key: key, Value: g.configs[key]})
	}
	env.Write(&coordrecord.StreamsGroupMetadataKey{GroupId: g.id}, value)
}

func (g *Group) writeAssignmentEpoch(env classic.Env) {
	env.Write(&coordrecord.StreamsGroupTargetAssignmentMetadataKey{GroupId: g.id},
		&coordrecord.StreamsGroupTargetAssignmentMetadataValue{AssignmentEpoch: g.assignmentEpoch, AssignmentTimestamp: g.assignedMs})
}

func (g *Group) writeTopology(env classic.Env) {
	env.Write(&coordrecord.StreamsGroupTopologyKey{GroupId: g.id}, g.topology.Value())
}

func memberValue(m *member) *coordrecord.StreamsGroupMemberMetadataValue {
	return &coordrecord.StreamsGroupMemberMetadataValue{
		InstanceId: m.instanceID, RackId: m.rackID, ClientId: m.clientID, ClientHost: m.clientHost,
		RebalanceTimeoutMs: m.rebalanceTimeoutMs, TopologyEpoch: m.topologyEpoch, ProcessId: m.processID,
		UserEndpoint: m.endpoint, ClientTags: m.tags,
	}
}

func memberBytes(m *member) int { return len(coordrecord.AppendValue(nil, memberValue(m), 0)) }

func (g *Group) writeMember(env classic.Env, m *member) {
	env.Write(&coordrecord.StreamsGroupMemberMetadataKey{GroupId: g.id, MemberId: m.id}, memberValue(m))
}

func targetValue(a assignor.Assignment) *coordrecord.StreamsGroupTargetAssignmentMemberValue {
	ids := func(tasks []assignor.Task) []targetIDs {
		var out []targetIDs
		eachSubtopology(tasks, func(subtopology string, partitions []int32) {
			out = append(out, targetIDs{SubtopologyId: subtopology, Partitions: partitions})
		})
		return out
	}
	return &coordrecord.StreamsGroupTargetAssignmentMemberValue{ActiveTasks: ids(a.Active), StandbyTasks: ids(a.Standby)}
}

func targetBytes(a assignor.Assignment) int {
	return len(coordrecord.AppendValue(nil, targetValue(a), 0))
}

func (g *Group) writeTarget(env classic.Env, memberID string) {
	env.Write(&coordrecord.StreamsGroupTargetAssignmentMemberKey{GroupId: g.id, MemberId: memberID}, targetValue(g.target[memberID]))
}

func (g *Group) writeCurrent(env classic.Env, m *member) {
	env.Write(&coordrecord.StreamsGroupCurrentMemberAssignmentKey{GroupId: g.id, MemberId: m.id},
		&coordrecord.StreamsGroupCurrentMemberAssignmentValue{
			MemberEpoch: m.epoch, PreviousMemberEpoch: m.previousEpoch, State: int8(m.state),
			ActiveTasks: currentTasks(m.assigned, active), StandbyTasks: currentTasks(m.assigned, standby), WarmupTasks: currentTasks(m.assigned, warmup),
			ActiveTasksPendingRevocation:  currentTasks(m.pending, active),
			StandbyTasksPendingRevocation: currentTasks(m.pending, standby),
			WarmupTasksPendingRevocation:  currentTasks(m.pending, warmup),
		})
}

// currentTasks writes down the tasks of one kind, active ones with their epochs.
func currentTasks(h holding, kind int) []currentIDs {
	var out []currentIDs
	eachSubtopology(sortedTasks(h[kind]), func(subtopology string, partitions []int32) {
		ids := currentIDs{SubtopologyId: subtopology, Partitions: partitions}
		if kind == active {
			ids.AssignmentEpochs = make([]int32, len(partitions))
			for i, p := range partitions {
				ids.AssignmentEpochs[i] = h[kind][assignor.Task{Subtopology: subtopology, Partition: p}]
			}
		}
		out = append(out, ids)
	})
	return out
}

func (g *Group) forgetRecords(env classic.Env, memberID string) {
	env.Forget(
		&coordrecord.StreamsGroupCurrentMemberAssignmentKey{GroupId: g.id, MemberId: memberID},
		&coordrecord.StreamsGroupTargetAssignmentMemberKey{GroupId: g.id, MemberId: memberID},
		&coordrecord.StreamsGroupMemberMetadataKey{GroupId: g.id, MemberId: memberID},
	)
}

// Delete writes the tombstones of the group and cancels its timers.
func (g *Group) Delete(env classic.Env) {
	env.Out.Cancel(g.timerKey(TimerDelay, ""))
	for _, id := range g.memberIDs() {
		env.Out.Cancel(g.timerKey(TimerSession, id))
		env.Out.Cancel(g.timerKey(TimerRebalance, id))
		g.forgetRecords(env, id)
	}
	env.Forget(
		&coordrecord.StreamsGroupTargetAssignmentMetadataKey{GroupId: g.id},
		&coordrecord.StreamsGroupMetadataKey{GroupId: g.id},
		&coordrecord.StreamsGroupTopologyKey{GroupId: g.id},
	)
}

// GroupOf returns the group that a record tells of; ok is false for records of other
// kinds of groups.
func GroupOf(key coordrecord.Key) (id string, ok bool) {
	switch k := key.(type) {
	case *coordrecord.StreamsGroupMetadataKey:
		return k.GroupId, true
	case *coordrecord.StreamsGroupMemberMetadataKey:
		return k.GroupId, true
	case *coordrecord.StreamsGroupTargetAssignmentMetadataKey:
		return k.GroupId, true
	case *coordrecord.StreamsGroupTargetAssignmentMemberKey:
		return k.GroupId, true
	case *coordrecord.StreamsGroupCurrentMemberAssignmentKey:
		return k.GroupId, true
	case *coordrecord.StreamsGroupTopologyKey:
		return k.GroupId, true
	}
	return "", false
}

// Apply takes in one record of the group; value is nil for a tombstone. It tells whether
// the group is gone with it.
func (g *Group) Apply(key coordrecord.Key, value coordrecord.Value) (gone bool, err error) {
	switch k := key.(type) {
	case *coordrecord.StreamsGroupMetadataKey:
		if value == nil {
			return true, nil
		}
		g.applyEpoch(value.(*coordrecord.StreamsGroupMetadataValue))
	case *coordrecord.StreamsGroupTargetAssignmentMetadataKey:
		g.assignmentEpoch, g.assignedMs = firstEpoch, 0
		if value != nil {
			v := value.(*coordrecord.StreamsGroupTargetAssignmentMetadataValue)
			g.assignmentEpoch, g.assignedMs = v.AssignmentEpoch, v.AssignmentTimestamp
		}
	case *coordrecord.StreamsGroupTargetAssignmentMemberKey:
		g.applyTarget(k.MemberId, value)
	case *coordrecord.StreamsGroupMemberMetadataKey:
		g.applyMember(k.MemberId, value)
	case *coordrecord.StreamsGroupCurrentMemberAssignmentKey:
		return false, g.applyCurrent(k.MemberId, value)
	case *coordrecord.StreamsGroupTopologyKey:
		return false, g.applyTopology(value)
	}
	return false, nil
}

func (g *Group) applyEpoch(v *coordrecord.StreamsGroupMetadataValue) {
	g.epoch, g.metadataHash, g.validatedEpoch = v.Epoch, v.MetadataHash, v.ValidatedTopologyEpoch
	g.configs = map[string]string{}
	for _, c := range v.LastAssignmentConfigs {
		g.configs[strings.Clone(c.Key)] = strings.Clone(c.Value)
	}
}

func (g *Group) applyTopology(value coordrecord.Value) error {
	g.topology, g.configured = nil, nil
	if value == nil {
		return nil
	}
	t, err := topology.New(value.(*coordrecord.StreamsGroupTopologyValue))
	if err != nil {
		return fmt.Errorf("reading the topology of group %q: %w", g.id, err)
	}
	g.topology = t
	return nil
}

func (g *Group) applyTarget(memberID string, value coordrecord.Value) {
	if value == nil {
		delete(g.target, memberID)
		return
	}
	v := value.(*coordrecord.StreamsGroupTargetAssignmentMemberValue)
	tasks := func(ids []targetIDs) []assignor.Task {
		var out []assignor.Task
		for i := range ids {
			subtopology := strings.Clone(ids[i].SubtopologyId)
			for _, p := range ids[i].Partitions {
				out = append(out, assignor.Task{Subtopology: subtopology, Partition: p})
			}
		}
		slices.SortFunc(out, assignor.Compare)
		return out
	}
	g.target[strings.Clone(memberID)] = assignor.Assignment{Active: tasks(v.ActiveTasks), Standby: tasks(v.StandbyTasks)}
}

// ensure returns a copy of the member, to be put, for records of a member may come in
// any order once the log is compacted.
func (g *Group) ensure(memberID string) *member {
	if m := g.members[memberID]; m != nil {
		c := *m
		return &c
	}
	return newMember(memberID)
}

func (g *Group) applyMember(memberID string, value coordrecord.Value) {
	if value == nil {
		if m := g.members[memberID]; m != nil {
			g.drop(m)
		}
		return
	}
	v, m := value.(*coordrecord.StreamsGroupMemberMetadataValue), g.ensure(memberID)
	m.instanceID, m.rackID = wire.CloneNullable(v.InstanceId), wire.CloneNullable(v.RackId)
	m.clientID, m.clientHost, m.processID = strings.Clone(v.ClientId), strings.Clone(v.ClientHost), strings.Clone(v.ProcessId)
	m.rebalanceTimeoutMs, m.topologyEpoch = v.RebalanceTimeoutMs, v.TopologyEpoch
	m.endpoint, m.tags = nil, nil
	if v.UserEndpoint != nil {
		m.endpoint = &endpoint{Host: strings.Clone(v.UserEndpoint.Host), Port: v.UserEndpoint.Port}
	}
	for _, t := range v.ClientTags {
		m.tags = append(m.tags, tag{Key: strings.Clone(t.Key), Value: strings.Clone(t.Value)})
	}
	g.put(m)
}

func (g *Group) applyCurrent(memberID string, value coordrecord.Value) error {
	if value == nil {
		if g.members[memberID] == nil {
			return nil
		}
		m := g.ensure(memberID)
		m.epoch, m.previousEpoch, m.state, m.assigned, m.pending = 0, 0, stable, nothing(), nothing()
		g.put(m)
		return nil
	}
	v, m := value.(*coordrecord.StreamsGroupCurrentMemberAssignmentValue), g.ensure(memberID)
	m.epoch, m.previousEpoch, m.state = v.MemberEpoch, v.PreviousMemberEpoch, memberState(v.State)
	m.assigned = holdingOf(v.MemberEpoch, v.ActiveTasks, v.StandbyTasks, v.WarmupTasks)
	m.pending = holdingOf(v.MemberEpoch, v.ActiveTasksPendingRevocation, v.StandbyTasksPendingRevocation, v.WarmupTasksPendingRevocation)
	g.put(m)
	return nil
}

// holdingOf reads tasks. Active ones of brokers before 4.3 have no epochs: the member's
// own is the most careful guess.
func holdingOf(memberEpoch int32, byKind ...[]currentIDs) holding {
	out := nothing()
	for kind, ids := range byKind {
		for i := range ids {
			subtopology := strings.Clone(ids[i].SubtopologyId)
			for j, p := range ids[i].Partitions {
				epoch := int32(0)
				if kind == active {
					epoch = memberEpoch
					if len(ids[i].AssignmentEpochs) == len(ids[i].Partitions) {
						epoch = ids[i].AssignmentEpochs[j]
					}
				}
				out[kind][assignor.Task{Subtopology: subtopology, Partition: p}] = epoch
			}
		}
	}
	return out
}
