package consumer

import (
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// epochCommitVersion is the first version of OffsetCommit that members of this
// protocol may use: the earlier ones cannot tell them that their epoch is stale.
const epochCommitVersion = 9

// Types of members in ConsumerGroupDescribe.
const (
	memberTypeClassic  = 0
	memberTypeConsumer = 1
)

// StateName returns where the group is, as the tools print it.
func (g *Group) StateName() string {
	switch {
	case len(g.members) == 0:
		return "Empty"
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

// Describe fills in what ConsumerGroupDescribe tells of the group.
func (g *Group) Describe(out *protocol.ConsumerGroupDescribeResponseDescribedGroup) {
	out.GroupState, out.AssignorName = g.StateName(), g.Assignor()
	out.GroupEpoch, out.AssignmentEpoch = g.epoch, g.assignmentEpoch
	for _, id := range g.memberIDs() {
		m := g.members[id]
		d := protocol.ConsumerGroupDescribeResponseMember{
			MemberId: m.id, InstanceId: m.instanceID, RackId: m.rackID, MemberEpoch: m.epoch,
			ClientId: m.clientID, ClientHost: m.clientHost, SubscribedTopicNames: m.topics,
			SubscribedTopicRegex: &m.regex,
			Assignment:           g.describe(m.held()), TargetAssignment: g.describe(g.target[id]),
			MemberType: memberTypeConsumer,
		}
		if m.classic != nil {
			d.MemberType = memberTypeClassic
		}
		out.Members = append(out.Members, d)
	}
}

// describe names the topics of an assignment. Those that are gone have no name.
func (g *Group) describe(a assignor.Assignment) protocol.ConsumerGroupDescribeResponseAssignment {
	var out protocol.ConsumerGroupDescribeResponseAssignment
	for _, id := range ids(a) {
		if t, ok := g.around.Metadata.TopicByID(id); ok {
			out.TopicPartitions = append(out.TopicPartitions, protocol.ConsumerGroupDescribeResponseTopicPartitions{
				TopicId: id, TopicName: t.Name, Partitions: a[id],
			})
		}
	}
	return out
}

// ProtocolType returns what ListGroups tells of every group of consumers.
func (g *Group) ProtocolType() string { return "consumer" }

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
		return m.stale()
	}
	return protocol.None
}

// CommitVersion returns the lowest version of OffsetCommit that the member may use.
func (g *Group) CommitVersion(memberID string) int16 {
	if m := g.members[memberID]; m == nil || m.classic != nil {
		return 0
	}
	return epochCommitVersion
}

// MayCommit checks whether a member for which ValidateCommit found nothing may commit an
// offset of the partition. One that has not heard of its latest epoch may, if it has had
// the partition since (KIP-1251).
func (g *Group) MayCommit(memberID string, epoch int32, topicID wire.UUID, partition int32) protocol.ErrorCode {
	m := g.members[memberID]
	if m == nil || epoch >= m.epoch {
		return protocol.None
	}
	since, ok := m.assigned[topicID][partition]
	if !ok {
		since, ok = m.pending[topicID][partition]
	}
	if !ok || epoch < since {
		return m.stale()
	}
	return protocol.None
}

// stale is what the member is told if it is not in the epoch that it believes.
func (m *member) stale() protocol.ErrorCode {
	if m.classic != nil {
		return protocol.IllegalGeneration
	}
	return protocol.StaleMemberEpoch
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
	case m.epoch == epoch:
		return protocol.None
	default:
		return m.stale()
	}
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

// Subscribed tells whether a member is subscribed to the topic.
func (g *Group) Subscribed(topic string) bool {
	if g.topics[topic] > 0 {
		return true
	}
	for _, r := range g.regexes {
		if _, ok := slices.BinarySearch(r.topics, topic); ok {
			return true
		}
	}
	return false
}

// RetentionStartMs returns the time from which the retention of an offset counts that
// was committed at commitMs.
func (g *Group) RetentionStartMs(commitMs int64) (ms int64, ok bool) { return commitMs, true }

// Committed takes in that a member committed offsets. That does not renew its session.
func (g *Group) Committed(classic.Env, string) {}

// Disposable tells whether the group may be forgotten when it has no offsets.
func (g *Group) Disposable() bool { return len(g.members) == 0 }
