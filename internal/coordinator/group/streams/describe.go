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
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// epochCommitVersion is the first version of OffsetCommit that members of this
// protocol may use: the earlier ones cannot tell them that their epoch is stale.
const epochCommitVersion = 9

// StateName returns where the group is, as the tools print it.
func (g *Group) StateName() string {
	switch {
	case len(g.members) == 0:
		return "Empty"
	case g.topology == nil || g.topology.Epoch() != g.validatedEpoch:
		return "NotReady"
	case g.epoch > g.assignmentEpoch:
		return "Assigning"
	}
	for _, m := range g.members {
		if !m.reconciled(g.assignmentEpoch) {
			return "Reconciling"
		}
	}
	return "Stable"
}

type (
	describedIDs   = protocol.StreamsGroupDescribeResponseTaskIds
	describedTopic = protocol.StreamsGroupDescribeResponseTopicInfo
)

// Describe fills in what StreamsGroupDescribe tells of the group.
func (g *Group) Describe(out *protocol.StreamsGroupDescribeResponseDescribedGroup) {
	out.GroupState, out.GroupEpoch, out.AssignmentEpoch = g.StateName(), g.epoch, g.assignmentEpoch
	out.Topology = g.describeTopology()
	for _, id := range g.memberIDs() {
		out.Members = append(out.Members, g.describeMember(g.members[id]))
	}
}

func (g *Group) describeMember(m *member) protocol.StreamsGroupDescribeResponseMember {
	out := protocol.StreamsGroupDescribeResponseMember{
		MemberId: m.id, MemberEpoch: m.epoch, InstanceId: m.instanceID, RackId: m.rackID, ClientId: m.clientID, ClientHost: m.clientHost,
		TopologyEpoch: m.topologyEpoch, ProcessId: m.processID,
		Assignment: protocol.StreamsGroupDescribeResponseAssignment{
			ActiveTasks: describedTasks(sortedTasks(m.assigned[active])), StandbyTasks: describedTasks(sortedTasks(m.assigned[standby])),
			WarmupTasks: describedTasks(sortedTasks(m.assigned[warmup])),
		},
		TargetAssignment: protocol.StreamsGroupDescribeResponseAssignment{
			ActiveTasks: describedTasks(g.target[m.id].Active), StandbyTasks: describedTasks(g.target[m.id].Standby),
		},
	}
	if m.endpoint != nil {
		out.UserEndpoint = &protocol.StreamsGroupDescribeResponseEndpoint{Host: m.endpoint.Host, Port: m.endpoint.Port}
	}
	for _, t := range m.tags {
		out.ClientTags = append(out.ClientTags, protocol.StreamsGroupDescribeResponseKeyValue(t))
	}
	return out
}

func describedTasks(tasks []assignor.Task) []describedIDs {
	var out []describedIDs
	eachSubtopology(tasks, func(subtopology string, partitions []int32) {
		out = append(out, describedIDs{SubtopologyId: subtopology, Partitions: partitions})
	})
	return out
}

// describeTopology tells the topology with the partitions of its internal topics, as far
// as they are known.
func (g *Group) describeTopology() *protocol.StreamsGroupDescribeResponseTopology {
	if g.topology == nil {
		return nil
	}
	out := &protocol.StreamsGroupDescribeResponseTopology{Epoch: g.topology.Epoch(), Subtopologies: []protocol.StreamsGroupDescribeResponseSubtopology{}}
	subtopologies := g.topology.Plain()
	if g.configured != nil && g.configured.Problem == nil {
		subtopologies = g.configured.Subtopologies
	}
	for i := range subtopologies {
		s := &subtopologies[i]
		out.Subtopologies = append(out.Subtopologies, protocol.StreamsGroupDescribeResponseSubtopology{
			SubtopologyId: s.ID, SourceTopics: s.SourceTopics, RepartitionSinkTopics: s.RepartitionSinkTopics,
			StateChangelogTopics: describedTopics(s.StateChangelogTopics), RepartitionSourceTopics: describedTopics(s.RepartitionSourceTopics),
		})
	}
	return out
}

func describedTopics(topics []topology.Internal) []describedTopic {
	out := make([]describedTopic, len(topics))
	for i, t := range topics {
		out[i] = describedTopic{Name: t.Name, Partitions: t.Partitions, ReplicationFactor: t.ReplicationFactor}
		for _, c := range t.Configs {
			out[i].TopicConfigs = append(out[i].TopicConfigs, protocol.StreamsGroupDescribeResponseKeyValue(c))
		}
	}
	return out
}

// ProtocolType returns what ListGroups tells of every streams group.
func (g *Group) ProtocolType() string { return "streams" }

// ValidateCommit checks whether offsets may be committed in the name of the member, as
// far as that does not depend on the partition.
func (g *Group) ValidateCommit(memberID string, instanceID *string, epoch int32, transactional bool) protocol.ErrorCode {
	if epoch < 0 && len(g.members) == 0 ||
		transactional && epoch == -1 && memberID == "" && instanceID == nil {
		return protocol.None
	}
	switch m := g.members[memberID]; {
	case m == nil:
		return protocol.UnknownMemberId
	case epoch > m.epoch:
		return protocol.StaleMemberEpoch
	}
	return protocol.None
}

// CommitVersion returns the lowest version of OffsetCommit that the member may use.
func (g *Group) CommitVersion(memberID string) int16 {
	if g.members[memberID] == nil {
		return 0
	}
	return epochCommitVersion
}

// MayCommit checks whether a member for which ValidateCommit found nothing may commit an
// offset of the partition. One that has not heard of its latest epoch may, if it has had
// the task that reads the partition since (KIP-1251).
func (g *Group) MayCommit(memberID string, epoch int32, topicID wire.UUID, partition int32) protocol.ErrorCode {
	m := g.members[memberID]
	if m == nil || epoch >= m.epoch {
		return protocol.None
	}
	topic, _ := g.around.Metadata.TopicByID(topicID)
	if g.topology == nil {
		return protocol.StaleMemberEpoch
	}
	id, ok := g.topology.Source(topic.Name)
	task := assignor.Task{Subtopology: id, Partition: partition}
	since, has := m.assigned[active][task]
	if !has {
		since, has = m.pending[active][task]
	}
	if !ok || !has || epoch < since {
		return protocol.StaleMemberEpoch
	}
	return protocol.None
}

// ValidateFetch checks whether the member may ask for committed offsets. Whoever does
// not say who it is may.
func (g *Group) ValidateFetch(memberID *string, epoch int32) protocol.ErrorCode {
	if memberID == nil && epoch < 0 {
		return protocol.None
	}
	id := ""
	if memberID != nil {
		id = *memberID
	}
	switch m := g.members[id]; {
	case m == nil:
		return protocol.UnknownMemberId
	case m.epoch != epoch:
		return protocol.StaleMemberEpoch
	}
	return protocol.None
}

// ValidateOffsetDelete checks whether offsets of the group may be deleted at all.
func (g *Group) ValidateOffsetDelete() protocol.ErrorCode { return protocol.None }

// ValidateDelete checks whether the group may be deleted.
func (g *Group) ValidateDelete() protocol.ErrorCode {
	if len(g.members) > 0 {
		return protocol.NonEmptyGroup
	}
	return protocol.None
}

// Subscribed tells whether the application reads the topic.
func (g *Group) Subscribed(topic string) bool {
	if len(g.members) == 0 || g.topology == nil {
		return false
	}
	_, ok := g.topology.Source(topic)
	return ok
}

// RetentionStartMs returns the time from which the retention of an offset counts that
// was committed at commitMs.
func (g *Group) RetentionStartMs(commitMs int64) (ms int64, ok bool) { return commitMs, true }

// Committed takes in that a member committed offsets. That does not renew its session.
func (g *Group) Committed(classic.Env, string) {}

// Disposable tells whether the group may be forgotten when it has no offsets.
func (g *Group) Disposable() bool { return len(g.members) == 0 }

// String describes the group as its records do.
func (g *Group) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "streams group %s epoch %d hash %x validated %d configs %v assignment epoch %d at %d", g.id, g.epoch, uint64(g.metadataHash),
		g.validatedEpoch, g.configs, g.assignmentEpoch, g.assignedMs)
	if g.topology != nil {
		fmt.Fprintf(&b, "\n  topology %x", g.topology.Value().Append(nil, 0))
	}
	for _, id := range slices.Sorted(maps.Keys(g.target)) {
		fmt.Fprintf(&b, "\n  target of %s %v", id, g.target[id])
	}
	for _, id := range g.memberIDs() {
		m := g.members[id]
		fmt.Fprintf(&b, "\n  member %s of %q client %s%s epoch %d after %d %s has %s gives up %s rebalance %d", m.id, m.processID, m.clientID, m.clientHost,
			m.epoch, m.previousEpoch, m.state, m.assigned, m.pending, m.rebalanceTimeoutMs)
		fmt.Fprintf(&b, " metadata %x", coordrecord.AppendValue(nil, memberValue(m), 0))
	}
	for kind, tasks := range g.processes {
		for _, t := range slices.SortedFunc(maps.Keys(tasks), assignor.Compare) {
			fmt.Fprintf(&b, "\n  %s %d of %s at %v", kindNames[kind], t.Partition, t.Subtopology, slices.Sorted(slices.Values(tasks[t])))
		}
	}
	return b.String()
}

var kindNames = [kinds]string{"active", "standby", "warmup"}

// String returns the state as Kafka's logs name it.
func (s memberState) String() string {
	switch s {
	case stable:
		return "STABLE"
	case unrevokedTasks:
		return "UNREVOKED_TASKS"
	case unreleasedTasks:
		return "UNRELEASED_TASKS"
	}
	return "UNKNOWN"
}

// String lists the tasks with their epochs.
func (h holding) String() string {
	var parts []string
	for kind, tasks := range h {
		for _, t := range sortedTasks(tasks) {
			parts = append(parts, fmt.Sprintf("%s %s_%d@%d", kindNames[kind], t.Subtopology, t.Partition, tasks[t]))
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
