package share

import (
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// StateName returns where the group is, as the tools print it.
func (g *Group) StateName() string {
	if g.Empty() {
		return "Empty"
	}
	return "Stable"
}

// Describe fills in what ShareGroupDescribe tells of the group. Topics that are gone have
// no name and are left out.
func (g *Group) Describe(out *protocol.ShareGroupDescribeResponseDescribedGroup) {
	out.GroupState, out.AssignorName = g.StateName(), AssignorName
	out.GroupEpoch, out.AssignmentEpoch = g.epoch, g.assignmentEpoch
	for _, memberID := range g.memberIDs() {
		m := g.members[memberID]
		d := protocol.ShareGroupDescribeResponseMember{
			MemberId: m.id, RackId: m.rackID, MemberEpoch: m.epoch, ClientId: m.clientID, ClientHost: m.clientHost, SubscribedTopicNames: m.topics,
		}
		for _, id := range ids(m.assigned) {
			if t, ok := g.around.Metadata.TopicByID(id); ok {
				d.Assignment.TopicPartitions = append(d.Assignment.TopicPartitions, protocol.ShareGroupDescribeResponseTopicPartitions{
					TopicId: id, TopicName: t.Name, Partitions: m.assigned[id],
				})
			}
		}
		out.Members = append(out.Members, d)
	}
}

// ProtocolType returns what ListGroups tells of every share group.
func (g *Group) ProtocolType() string { return "share" }

// ValidateCommit refuses committed offsets: a share group has none.
func (g *Group) ValidateCommit(string, *string, int32, bool) protocol.ErrorCode {
	return protocol.GroupIdNotFound
}

// CommitVersion returns the lowest version of OffsetCommit that is refused otherwise.
func (g *Group) CommitVersion(string) int16 { return 0 }

// MayCommit is never reached: ValidateCommit refuses all.
func (g *Group) MayCommit(string, int32, wire.UUID, int32) protocol.ErrorCode {
	return protocol.GroupIdNotFound
}

// ValidateFetch lets everybody ask for committed offsets and find none, as Kafka does.
func (g *Group) ValidateFetch(*string, int32) protocol.ErrorCode { return protocol.None }

// ValidateOffsetDelete refuses to delete committed offsets.
func (g *Group) ValidateOffsetDelete() protocol.ErrorCode { return protocol.GroupIdNotFound }

// ValidateDelete checks whether the group may be deleted.
func (g *Group) ValidateDelete() protocol.ErrorCode {
	if !g.Empty() {
		return protocol.NonEmptyGroup
	}
	return protocol.None
}

// Subscribed tells whether a member is subscribed to the topic.
func (g *Group) Subscribed(topic string) bool { return g.topics[topic] > 0 }

// RetentionStartMs tells that the group has no offsets that could expire.
func (g *Group) RetentionStartMs(int64) (ms int64, ok bool) { return 0, false }

// Committed is never reached: ValidateCommit refuses all.
func (g *Group) Committed(classic.Env, string) {}

// Disposable tells that the group stays until it is deleted, as its state does.
func (g *Group) Disposable() bool { return false }
