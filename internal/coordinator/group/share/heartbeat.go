package share

import (
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// refusal is why a request is not served.
type refusal struct {
	code    protocol.ErrorCode
	message string
}

func refuse(code protocol.ErrorCode, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// Heartbeat handles a ShareGroupHeartbeat request and writes its response; the owner
// answers the call. It returns what to ask the share coordinator for afterwards, nil:
// nothing. A group that had no member before has one afterwards, or nothing has changed.
func (g *Group) Heartbeat(env classic.Env, call *HeartbeatCall) (ask *protocol.InitializeShareGroupStateRequest) {
	var no *refusal
	if call.Request.MemberEpoch == leaveEpoch {
		no = g.leave(env, call)
	} else {
		ask, no = g.beat(env, call)
	}
	if no != nil {
		call.Response.SetDefaults()
		call.Response.ErrorCode, call.Response.ErrorMessage = no.code, &no.message
	}
	return ask
}

// beat is the heartbeat of a member that joins or stays.
func (g *Group) beat(env classic.Env, call *HeartbeatCall) (*protocol.InitializeShareGroupStateRequest, *refusal) {
	req := call.Request
	known, no := g.find(req)
	if no != nil {
		return nil, no
	}
	m, no := g.subscribe(env, call, known)
	if no != nil {
		return nil, no
	}
	changed := known == nil || !slices.Equal(m.topics, known.topics) || g.assignmentEpoch >= g.epoch && g.unassigned()
	if stale := g.refresh(); stale || changed {
		changed = true
		g.bump(env)
	}
	if no := g.assign(env); no != nil {
		return nil, no
	}
	before := m
	m = g.reconcile(env, m, changed)
	g.renewSession(env, m)
	ask, no := g.initialize(env)
	if no != nil {
		return nil, no
	}
	res := &call.Response
	res.MemberId, res.MemberEpoch, res.HeartbeatIntervalMs = &m.id, m.epoch, g.heartbeatIntervalMs()
	if req.MemberEpoch == joinEpoch || req.SubscribedTopicNames != nil || !m.assigned.Equal(before.assigned) {
		res.Assignment = assignmentOf(m)
	}
	return ask, nil
}

func assignmentOf(m *member) *protocol.ShareGroupHeartbeatResponseAssignment {
	out := &protocol.ShareGroupHeartbeatResponseAssignment{
		TopicPartitions: make([]protocol.ShareGroupHeartbeatResponseTopicPartitions, 0, len(m.assigned)),
	}
	for _, id := range ids(m.assigned) {
		out.TopicPartitions = append(out.TopicPartitions, protocol.ShareGroupHeartbeatResponseTopicPartitions{
			TopicId: id, Partitions: m.assigned[id],
		})
	}
	return out
}

// find returns the member that the request comes from; nil for one that is new.
func (g *Group) find(req *protocol.ShareGroupHeartbeatRequest) (*member, *refusal) {
	m := g.members[req.MemberId]
	switch {
	case m != nil:
		return m, checkEpoch(m, req.MemberEpoch)
	case len(g.members) >= g.around.Config.MaxSize:
		return nil, refuse(protocol.GroupMaxSizeReached, "The share group has reached its maximum capacity of %d members.", g.around.Config.MaxSize)
	case req.MemberEpoch != joinEpoch:
		return nil, g.unknown(req.MemberId)
	}
	return nil, nil
}

func (g *Group) unknown(memberID string) *refusal {
	return refuse(protocol.UnknownMemberId, "Member %s is not a member of group %s.", memberID, g.id)
}

// checkEpoch checks that the member is as far as the group believes. The answer to its
// last heartbeat may have been lost: then it is one epoch behind.
func checkEpoch(m *member, epoch int32) *refusal {
	switch {
	case epoch == joinEpoch || epoch == m.epoch || epoch == m.previousEpoch:
		return nil
	case epoch > m.epoch:
		return refuse(protocol.FencedMemberEpoch, "The share group member has a greater member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	default:
		return refuse(protocol.FencedMemberEpoch, "The share group member has a smaller member epoch (%d) than the one known by the group coordinator (%d), "+
			"and it does not match the previous member epoch (%d). The member must abandon all its partitions and rejoin.", epoch, m.epoch, m.previousEpoch)
	}
}

// subscribe takes in what the request says of the member: known, or one that is new, if
// known is nil.
func (g *Group) subscribe(env classic.Env, call *HeartbeatCall, known *member) (*member, *refusal) {
	req := call.Request
	if known != nil && req.SubscribedTopicNames == nil && req.RackId == nil &&
		known.clientID == call.Context.ClientID && known.clientHost == call.Context.ClientHost {
		return known, nil
	}
	next := &member{id: strings.Clone(req.MemberId), assigned: assignor.Assignment{}}
	if known != nil {
		*next = *known
	}
	if req.RackId != nil {
		next.rackID = wire.CloneNullable(req.RackId)
	}
	if req.SubscribedTopicNames != nil {
		next.topics = sortedSet(req.SubscribedTopicNames)
	}
	next.clientID, next.clientHost = strings.Clone(call.Context.ClientID), strings.Clone(call.Context.ClientHost)
	if known != nil && next.sameMetadata(known) {
		return known, nil
	}
	next.bytes = metadataBytes(next)
	all := g.bytes + next.bytes
	if known != nil {
		all -= known.bytes
	}
	switch {
	case next.bytes > env.Config.MaxRecordBytes:
		return nil, refuse(protocol.InvalidRequest, "The subscription takes %d bytes, %d are allowed.", next.bytes, env.Config.MaxRecordBytes)
	case all > classic.MaxGroupBytes:
		return nil, refuse(protocol.GroupMaxSizeReached, "The subscriptions of all members take %d bytes, %d are allowed.", all, classic.MaxGroupBytes)
	}
	g.writeMember(env, next)
	g.put(next)
	return next, nil
}

// leave is the last heartbeat of a member.
func (g *Group) leave(env classic.Env, call *HeartbeatCall) *refusal {
	m := g.members[call.Request.MemberId]
	if m == nil {
		return g.unknown(call.Request.MemberId)
	}
	call.Response.MemberId, call.Response.MemberEpoch = &m.id, leaveEpoch
	g.fence(env, m)
	return nil
}
