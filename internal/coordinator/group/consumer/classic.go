package consumer

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// memberIDRequiredVersion is the first version of JoinGroup whose members get an id
// before they join (KIP-394).
const memberIDRequiredVersion = 4

// protocolType is the protocol type of consumers in the classic protocol.
const protocolType = "consumer"

// Members of the classic protocol live in a consumer group while it changes over. Their
// generation is the member epoch. What a heartbeat does for other members, JoinGroup does
// for them, and it is answered at once; they learn by REBALANCE_IN_PROGRESS that they have
// to join again, and SyncGroup gives them what they own.

// Join handles a JoinGroup request. newMemberID is the id for a member that has none.
func (g *Group) Join(env classic.Env, call *classic.JoinCall, newMemberID string) {
	if code := g.join(env, call, newMemberID); code != protocol.None {
		call.Response.ErrorCode = code
		if code == protocol.MemberIdRequired {
			call.Response.MemberId = newMemberID
		}
	}
	env.Out.Answer(call)
}

func (g *Group) join(env classic.Env, call *classic.JoinCall, newMemberID string) protocol.ErrorCode {
	req := call.Request
	if policy := g.around.Config.Migration; !policy.Upgrade && !policy.Downgrade {
		return protocol.InconsistentGroupProtocol
	}
	id := req.MemberId
	if id == "" {
		id = newMemberID
	}
	known, code := g.findClassic(req, id)
	switch {
	case code != protocol.None:
		return code
	case known == nil && len(g.members) >= g.around.Config.MaxSize:
		return protocol.GroupMaxSizeReached
	case !g.supportsClassic(req.ProtocolType, req.Protocols):
		return protocol.InconsistentGroupProtocol
	case req.MemberId == "" && req.GroupInstanceId == nil && call.Context.Version >= memberIDRequiredVersion:
		return protocol.MemberIdRequired
	}
	subscription, _, err := coordrecord.ParseSubscription(req.Protocols[0].Metadata)
	if err != nil {
		return protocol.InconsistentGroupProtocol
	}
	next := g.classicMember(call, known, id, &subscription)
	if g.metadataBytes(next) > env.Config.MaxRecordBytes {
		return protocol.GroupMaxSizeReached
	}
	replaces := known != nil && known.id != id
	if replaces {
		g.replace(env, known, next)
	}
	g.put(next)
	g.writeMember(env, next)
	if known == nil || !next.sameSubscription(known) {
		g.dropRegexes(env)
		g.bump(env)
	} else if g.refresh(env) {
		g.bump(env)
	}
	if no := g.assign(env); no != nil {
		return no.code
	}
	next = g.reconcile(env, next, g.ownedBefore(&subscription), known == nil || !next.sameSubscription(known))
	g.joined(env, call, next)
	return protocol.None
}

// findClassic returns the member that joins, or whose place it takes; nil for a new one.
func (g *Group) findClassic(req *protocol.JoinGroupRequest, id string) (*member, protocol.ErrorCode) {
	if req.GroupInstanceId == nil {
		return g.members[id], protocol.None
	}
	owner, ok := g.static[*req.GroupInstanceId]
	switch {
	case !ok:
		return g.members[id], protocol.None
	case req.MemberId != "" && owner != req.MemberId:
		return nil, protocol.FencedInstanceId
	default:
		return g.members[owner], protocol.None
	}
}

// classicMember makes what known becomes by the request, or a new member.
func (g *Group) classicMember(call *classic.JoinCall, known *member, id string, subscription *coordrecord.ConsumerProtocolSubscription) *member {
	req := call.Request
	next := &member{id: strings.Clone(id), assigned: owned{}, pending: owned{}}
	if known != nil {
		*next = *known
		if known.id != id || known.epoch == leaveStaticEpoch {
			next.id, next.epoch, next.previousEpoch = strings.Clone(id), joinEpoch, joinEpoch
		}
	}
	if req.GroupInstanceId != nil {
		next.instanceID = wire.CloneNullable(req.GroupInstanceId)
	}
	if subscription.RackId != nil {
		next.rackID = wire.CloneNullable(subscription.RackId)
	}
	next.rebalanceTimeoutMs = req.RebalanceTimeoutMs
	next.topics, next.regex = sortedSet(subscription.Topics), ""
	next.clientID, next.clientHost = strings.Clone(call.Context.ClientID), strings.Clone(call.Context.ClientHost)
	next.classic = &classicInfo{SessionTimeoutMs: req.SessionTimeoutMs}
	for _, p := range req.Protocols {
		next.classic.SupportedProtocols = append(next.classic.SupportedProtocols, coordrecord.ConsumerGroupMemberMetadataValueClassicProtocol{
			Name: strings.Clone(p.Name), Metadata: slices.Clone(p.Metadata),
		})
	}
	return next
}

// ownedBefore is what the member says that it still owns: nothing, if it is an eager one.
func (g *Group) ownedBefore(s *coordrecord.ConsumerProtocolSubscription) reported {
	out := reported{}
	for i := range s.OwnedPartitions {
		if t, ok := g.around.Metadata.Topic(s.OwnedPartitions[i].Topic); ok {
			out = append(out, protocol.ConsumerGroupHeartbeatRequestTopicPartitions{TopicId: t.ID, Partitions: s.OwnedPartitions[i].Partitions})
		}
	}
	return out
}

// joined answers a member of the classic protocol, which now has to ask for its
// assignment in time.
func (g *Group) joined(env classic.Env, call *classic.JoinCall, m *member) {
	kind, name := protocolType, m.classic.SupportedProtocols[0].Name
	res := &call.Response
	res.MemberId, res.GenerationId, res.ProtocolType, res.ProtocolName = m.id, m.epoch, &kind, &name
	g.cancelJoin(env, m.id)
	g.renewSession(env, m)
	env.Out.Schedule(g.timerKey(TimerSync, m.id), env.NowMs+int64(m.rebalanceTimeoutMs))
}

// Sync handles a SyncGroup request.
func (g *Group) Sync(env classic.Env, call *classic.SyncCall) {
	defer env.Out.Answer(call)
	req, res := call.Request, &call.Response
	m, code := g.validateClassic(req.MemberId, req.GroupInstanceId, req.GenerationId)
	if code != protocol.None {
		res.ErrorCode = code
		return
	}
	if req.ProtocolType != nil && *req.ProtocolType != protocolType ||
		req.ProtocolName != nil && *req.ProtocolName != m.classic.SupportedProtocols[0].Name {
		res.ErrorCode = protocol.InconsistentGroupProtocol
		return
	}
	if g.assignmentEpoch > m.epoch && m.state != unrevokedPartitions {
		g.awaitJoin(env, m)
		res.ErrorCode = protocol.RebalanceInProgress
		return
	}
	env.Out.Cancel(g.timerKey(TimerSync, m.id))
	g.renewSession(env, m)
	kind, name := protocolType, m.classic.SupportedProtocols[0].Name
	res.ProtocolType, res.ProtocolName = &kind, &name
	res.Assignment = g.embedded(m, m.assigned.assignment())
}

// ClassicHeartbeat handles a Heartbeat request.
func (g *Group) ClassicHeartbeat(env classic.Env, call *classic.HeartbeatCall) {
	req := call.Request
	m, code := g.validateClassic(req.MemberId, req.GroupInstanceId, req.GenerationId)
	if code == protocol.None {
		g.renewSession(env, m)
		// It may be that nobody else's heartbeat would see to the next target.
		if g.refresh(env) {
			g.bump(env)
		}
		if no := g.assign(env); no != nil {
			code = no.code
		} else if m.epoch < g.assignmentEpoch || m.state == unrevokedPartitions || m.state == unreleasedPartitions && !g.waits(m) {
			g.awaitJoin(env, m)
			code = protocol.RebalanceInProgress
		}
	}
	call.Response.ErrorCode = code
	env.Out.Answer(call)
}

// waits tells whether something of the member's target is still with another.
func (g *Group) waits(m *member) bool {
	for id, partitions := range g.target[m.id] {
		for _, p := range partitions {
			if g.takenByOther(m.id, id, p) {
				return true
			}
		}
	}
	return false
}

// validateClassic checks that the request comes from the member of the classic protocol
// that the group knows, in its generation.
func (g *Group) validateClassic(memberID string, instanceID *string, generation int32) (*member, protocol.ErrorCode) {
	m, code := g.identify(memberID, instanceID)
	switch {
	case code != protocol.None:
		return nil, code
	case m.classic == nil:
		return nil, protocol.UnknownMemberId
	case m.epoch != generation:
		return nil, protocol.IllegalGeneration
	}
	return m, protocol.None
}

// identify finds a member by its id and, if it is given, its instance id.
func (g *Group) identify(memberID string, instanceID *string) (*member, protocol.ErrorCode) {
	if instanceID != nil {
		switch owner, ok := g.static[*instanceID]; {
		case !ok:
			return nil, protocol.UnknownMemberId
		case owner != memberID:
			return nil, protocol.FencedInstanceId
		}
	}
	if m := g.members[memberID]; m != nil {
		return m, protocol.None
	}
	return nil, protocol.UnknownMemberId
}

// Leave handles a LeaveGroup request: of members of the classic protocol, and of an
// administrator for any.
func (g *Group) Leave(env classic.Env, call *classic.LeaveCall) {
	left := false
	for i := range call.Request.Members {
		who := &call.Request.Members[i]
		id := who.MemberId
		if id == "" && who.GroupInstanceId != nil {
			id = g.static[*who.GroupInstanceId]
		}
		m, code := g.identify(id, who.GroupInstanceId)
		if code == protocol.None {
			g.remove(env, m)
			left = true
		}
		call.Response.Members = append(call.Response.Members, protocol.LeaveGroupResponseMemberResponse{
			MemberId: who.MemberId, GroupInstanceId: who.GroupInstanceId, ErrorCode: code,
		})
	}
	if left {
		g.bump(env)
	}
	env.Out.Answer(call)
}

// awaitJoin gives a member of the classic protocol its rebalance timeout to join again.
func (g *Group) awaitJoin(env classic.Env, m *member) {
	if _, set := g.awaited[m.id]; set {
		return
	}
	if g.awaited == nil {
		g.awaited = make(map[string]struct{})
	}
	g.awaited[m.id] = struct{}{}
	env.Out.Schedule(g.timerKey(TimerJoin, m.id), env.NowMs+int64(m.rebalanceTimeoutMs))
}

func (g *Group) cancelJoin(env classic.Env, memberID string) {
	if _, set := g.awaited[memberID]; set {
		delete(g.awaited, memberID)
		env.Out.Cancel(g.timerKey(TimerJoin, memberID))
	}
}
