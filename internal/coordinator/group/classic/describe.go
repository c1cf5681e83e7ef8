package classic

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Describe fills in what DescribeGroups tells of the group.
func (g *Group) Describe(out *protocol.DescribeGroupsResponseDescribedGroup) {
	out.GroupState = g.state.String()
	out.ProtocolType = g.protocolType
	if g.state == Stable && g.protocolName != nil {
		out.ProtocolData = *g.protocolName
	}
	out.Members = make([]protocol.DescribeGroupsResponseDescribedGroupMember, len(g.order))
	for i, m := range g.order {
		d := &out.Members[i]
		d.MemberId = m.id
		d.GroupInstanceId = m.instanceID
		d.ClientId = m.clientID
		d.ClientHost = m.clientHost
		d.MemberAssignment = m.assignment
		d.MemberMetadata = []byte{}
		if g.state == Stable {
			d.MemberMetadata = m.metadata(g.protocolName)
		}
	}
}

// ValidateCommit checks whether offsets may be committed in the name of the member.
// Transactional commits are not held up by a rebalance, and may come without a
// member (before KIP-447).
func (g *Group) ValidateCommit(memberID string, instanceID *string, generation int32, transactional bool) protocol.ErrorCode {
	switch {
	case generation < 0 && g.state == Empty:
		return protocol.None
	case generation >= 0 || memberID != "" || instanceID != nil:
		if code := g.validate(memberID, instanceID); code != protocol.None {
			return code
		}
		if generation != g.generation {
			return protocol.IllegalGeneration
		}
	case !transactional && g.state != Empty:
		return protocol.UnknownMemberId
	}
	if !transactional && g.state == CompletingRebalance {
		return protocol.RebalanceInProgress
	}
	return protocol.None
}

// CommitVersion returns the lowest version of OffsetCommit that a member may use.
func (g *Group) CommitVersion(string) int16 { return 0 }

// MayCommit checks whether a member for which ValidateCommit found nothing may commit an
// offset of the partition: of any.
func (g *Group) MayCommit(string, int32, wire.UUID, int32) protocol.ErrorCode { return protocol.None }

// ValidateFetch checks whether the member may ask for committed offsets: anybody may.
func (g *Group) ValidateFetch(*string, int32) protocol.ErrorCode { return protocol.None }

// StateName returns where the group is, as the tools print it.
func (g *Group) StateName() string { return g.state.String() }

// Committed renews the session of a member that committed offsets.
func (g *Group) Committed(env Env, memberID string) {
	if m := g.members[memberID]; m != nil && (g.state == Stable || g.state == PreparingRebalance) {
		g.renewSession(env, m)
	}
}

// ValidateOffsetDelete checks whether offsets of the group may be deleted at all:
// while it has members only if it is known to what they are subscribed.
func (g *Group) ValidateOffsetDelete() protocol.ErrorCode {
	if g.state != Empty && !g.usesConsumerProtocol() {
		return protocol.NonEmptyGroup
	}
	return protocol.None
}

// ValidateDelete checks whether the group may be deleted.
func (g *Group) ValidateDelete() protocol.ErrorCode {
	if g.state != Empty {
		return protocol.NonEmptyGroup
	}
	return protocol.None
}

// Subscribed tells whether a member is subscribed to the topic, as far as that can be
// known; of consumers whose subscriptions cannot be read it is assumed.
func (g *Group) Subscribed(topic string) bool {
	if g.subscribed == nil {
		return g.usesConsumerProtocol()
	}
	_, ok := g.subscribed[topic]
	return ok
}

// RetentionStartMs returns the time from which the retention of an offset counts that
// was committed at commitMs. Ok is false while no offset of the group may expire
// (KIP-211).
func (g *Group) RetentionStartMs(commitMs int64) (ms int64, ok bool) {
	switch {
	case g.protocolType == "":
		return commitMs, true
	case g.state == Empty:
		if g.stateTimestampMs >= 0 {
			return g.stateTimestampMs, true
		}
		return commitMs, true
	case g.state == Stable && g.usesConsumerProtocol() && g.subscribed != nil:
		return commitMs, true
	default:
		return 0, false
	}
}

// String describes the group as its record does: all that outlives a restart.
func (g *Group) String() string {
	var b strings.Builder
	name := "-"
	if g.protocolName != nil {
		name = *g.protocolName
	}
	fmt.Fprintf(&b, "group %s %s generation %d type %q protocol %s leader %q since %d subscribed %v",
		g.id, g.state, g.generation, g.protocolType, name, g.leader, g.stateTimestampMs, slices.Sorted(maps.Keys(g.subscribed)))
	for _, m := range g.order {
		instance := "-"
		if m.instanceID != nil {
			instance = *m.instanceID
		}
		fmt.Fprintf(&b, "\n  member %s instance %s client %s%s session %d rebalance %d metadata %x assignment %x",
			m.id, instance, m.clientID, m.clientHost, m.sessionTimeoutMs, m.rebalanceTimeoutMs, m.metadata(g.protocolName), m.assignment)
	}
	return b.String()
}
