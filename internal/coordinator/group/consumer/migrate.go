package consumer

import (
	"maps"
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// classicInfo is what a member that uses the classic protocol says beside the rest.
type classicInfo = coordrecord.ConsumerGroupMemberMetadataValueClassicMemberMetadata

// MigrationPolicy is which way groups with members may change their protocol
// (group.consumer.migration.policy).
type MigrationPolicy struct {
	// Upgrade lets a classic group become a consumer group.
	Upgrade bool
	// Downgrade lets a consumer group become a classic group.
	Downgrade bool
}

// FromClassic makes the consumer group in which the members of a classic group go on. It
// changes nothing: Start does. The message tells the client why it cannot be.
func FromClassic(old *classic.Group, around *Surroundings) (g *Group, message string) {
	cannot := "Cannot upgrade classic group " + old.ID() + " to consumer group because "
	members := old.Members()
	switch {
	case !around.Config.Migration.Upgrade:
		return nil, cannot + "online upgrade is disabled."
	case old.ProtocolType() != protocolType:
		return nil, cannot + "the group does not use the consumer embedded protocol."
	case len(members) > around.Config.MaxSize:
		return nil, cannot + "the group size exceeds the consumer group maximum size."
	}
	g = New(old.ID(), around)
	g.epoch, g.assignmentEpoch = old.Generation(), old.Generation()
	taken := owned{}
	for i := range members {
		m, why := g.adopt(&members[i], taken)
		if why != "" {
			return nil, cannot + why
		}
		g.put(m)
		g.target[m.id] = m.assigned.assignment()
	}
	g.metadataHash = g.hash()
	return g, ""
}

// adopt makes a member of one of a classic group. taken is what others have already: the
// leader, a client, may have given a partition away twice, or one that is not there.
func (g *Group) adopt(from *classic.Member, taken owned) (m *member, why string) {
	m = &member{
		id: from.ID, instanceID: from.InstanceID, clientID: from.ClientID, clientHost: from.ClientHost,
		rebalanceTimeoutMs: from.RebalanceTimeoutMs, epoch: g.epoch, previousEpoch: g.epoch,
		assigned: owned{}, pending: owned{}, classic: &classicInfo{SessionTimeoutMs: from.SessionTimeoutMs},
	}
	for _, p := range from.Protocols {
		m.classic.SupportedProtocols = append(m.classic.SupportedProtocols, coordrecord.ConsumerGroupMemberMetadataValueClassicProtocol{
			Name: p.Name, Metadata: p.Metadata,
		})
	}
	subscription, _, err := coordrecord.ParseSubscription(m.classic.SupportedProtocols[0].Metadata)
	if err != nil {
		return nil, "the embedded consumer protocol is malformed."
	}
	m.topics, m.rackID = sortedSet(subscription.Topics), wire.CloneNullable(subscription.RackId)
	if len(from.Assignment) == 0 {
		return m, ""
	}
	assignment, _, err := coordrecord.ParseAssignment(from.Assignment)
	if err != nil {
		return nil, "the embedded consumer protocol is malformed."
	}
	if len(assignment.UserData) > 0 {
		return nil, "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor before re-attempting the upgrade."
	}
	for i := range assignment.AssignedPartitions {
		topic, ok := g.around.Metadata.Topic(assignment.AssignedPartitions[i].Topic)
		if !ok {
			continue
		}
		for _, p := range assignment.AssignedPartitions[i].Partitions {
			if p >= 0 && p < topic.Partitions && !taken.has(topic.ID, p) {
				taken.put(topic.ID, p, 0)
				m.assigned.put(topic.ID, p, g.epoch)
			}
		}
	}
	return m, ""
}

// Start writes a group of FromClassic and starts its sessions.
func (g *Group) Start(env classic.Env) {
	g.assignedMs = 0
	for _, id := range g.memberIDs() {
		g.writeMember(env, g.members[id])
	}
	g.writeEpoch(env)
	for _, id := range g.memberIDs() {
		g.writeTarget(env, id)
	}
	g.writeAssignmentEpoch(env)
	for _, id := range g.memberIDs() {
		m := g.members[id]
		g.own(m)
		g.writeCurrent(env, m)
		g.renewSession(env, m)
	}
}

// Downgraded returns the classic group in which the members go on when none of them uses
// the consumer protocol any more, or nil while that is not so or must not be.
func (g *Group) Downgraded(env classic.Env) *classic.Group {
	if len(g.members) == 0 || g.classics < len(g.members) || !g.around.Config.Migration.Downgrade || len(g.members) > env.Config.MaxSize {
		return nil
	}
	members := make([]classic.Member, 0, len(g.members))
	for _, id := range g.memberIDs() {
		m := g.members[id]
		out := classic.Member{
			ID: m.id, InstanceID: m.instanceID, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeoutMs: m.rebalanceTimeoutMs, SessionTimeoutMs: m.classic.SessionTimeoutMs,
			Assignment: g.embedded(m, g.target[id]),
		}
		for _, p := range m.classic.SupportedProtocols {
			out.Protocols = append(out.Protocols, classic.Protocol{Name: p.Name, Metadata: p.Metadata})
		}
		members = append(members, out)
	}
	return classic.FromMembers(g.id, env.NowMs, g.epoch, members)
}

// embedded is an assignment in the form in which members of the classic protocol get it.
func (g *Group) embedded(m *member, a assignor.Assignment) []byte {
	var out coordrecord.ConsumerProtocolAssignment
	for _, id := range ids(a) {
		if t, ok := g.around.Metadata.TopicByID(id); ok {
			out.AssignedPartitions = append(out.AssignedPartitions, coordrecord.ConsumerProtocolAssignmentTopicPartition{
				Topic: t.Name, Partitions: a[id],
			})
		}
	}
	version := int16(0)
	if r := wire.NewReader(m.classic.SupportedProtocols[0].Metadata); r.OK() {
		version = max(min(r.Int16(), coordrecord.MaxConsumerProtocolVersion), 0)
	}
	return coordrecord.AppendAssignment(nil, &out, version)
}

// supportsClassic tells whether a member with these protocols could be in the group: one
// of them has to be common to all members of the classic protocol.
func (g *Group) supportsClassic(kind string, protocols []protocol.JoinGroupRequestProtocol) bool {
	if kind != protocolType || len(protocols) == 0 {
		return false
	}
	return slices.ContainsFunc(protocols, func(p protocol.JoinGroupRequestProtocol) bool {
		for m := range maps.Values(g.members) {
			if m.classic != nil && !slices.ContainsFunc(m.classic.SupportedProtocols,
				func(has coordrecord.ConsumerGroupMemberMetadataValueClassicProtocol) bool { return has.Name == p.Name }) {
				return false
			}
		}
		return true
	})
}
