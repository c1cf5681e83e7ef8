package consumer

import (
	"fmt"
	"strings"

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

// Heartbeat handles a ConsumerGroupHeartbeat request. A group that had no member before
// has one afterwards, or nothing has changed.
func (g *Group) Heartbeat(env classic.Env, call *HeartbeatCall) {
	var no *refusal
	switch call.Request.MemberEpoch {
	case leaveEpoch, leaveStaticEpoch:
		no = g.leave(env, call)
	default:
		no = g.beat(env, call)
	}
	if no != nil {
		call.Response.SetDefaults()
		call.Response.ErrorCode, call.Response.ErrorMessage = no.code, &no.message
	}
	env.Out.Answer(call)
}

// beat is the heartbeat of a member that joins or stays.
func (g *Group) beat(env classic.Env, call *HeartbeatCall) *refusal {
	req := call.Request
	known, no := g.find(req)
	if no != nil {
		return no
	}
	m, no := g.subscribe(env, call, known)
	if no != nil {
		return no
	}
	changed := known == nil || !m.sameSubscription(known)
	if changed {
		g.dropRegexes(env)
	}
	if stale := g.refresh(env); stale || changed {
		g.bump(env)
	}
	if no := g.assign(env); no != nil {
		return no
	}
	before := m
	m = g.reconcile(env, m, reportedBy(req), changed)
	g.renewSession(env, m)
	res := &call.Response
	res.MemberId, res.MemberEpoch, res.HeartbeatIntervalMs = &m.id, m.epoch, g.heartbeatIntervalMs()
	if isFull(req) || !m.assigned.equal(before.assigned) {
		res.Assignment = assignmentOf(m)
	}
	return nil
}

// reportedBy returns what the member reports to own: a member that joins owns nothing.
func reportedBy(req *protocol.ConsumerGroupHeartbeatRequest) reported {
	if req.MemberEpoch == joinEpoch {
		return reported{}
	}
	return req.TopicPartitions
}

// isFull tells whether the member has sent all that there is to say: it does not know
// what its last heartbeat has achieved, and has to be told everything.
func isFull(req *protocol.ConsumerGroupHeartbeatRequest) bool {
	return req.MemberEpoch == joinEpoch || req.RebalanceTimeoutMs != -1 && req.TopicPartitions != nil &&
		(req.SubscribedTopicNames != nil || req.SubscribedTopicRegex != nil)
}

func assignmentOf(m *member) *protocol.ConsumerGroupHeartbeatResponseAssignment {
	out := &protocol.ConsumerGroupHeartbeatResponseAssignment{
		TopicPartitions: make([]protocol.ConsumerGroupHeartbeatResponseTopicPartitions, 0, len(m.assigned)),
	}
	assigned := m.assigned.assignment()
	for _, id := range ids(assigned) {
		out.TopicPartitions = append(out.TopicPartitions, protocol.ConsumerGroupHeartbeatResponseTopicPartitions{
			TopicId: id, Partitions: assigned[id],
		})
	}
	return out
}

// find returns the member that the request comes from, or whose place it takes; nil for
// one that is new.
func (g *Group) find(req *protocol.ConsumerGroupHeartbeatRequest) (*member, *refusal) {
	joins := req.MemberEpoch == joinEpoch
	m := g.members[req.MemberId]
	if req.InstanceId != nil {
		owner, ok := g.static[*req.InstanceId]
		switch {
		case ok && owner != req.MemberId && joins:
			if g.members[owner].epoch != leaveStaticEpoch && g.members[owner].classic == nil {
				return nil, refuse(protocol.UnreleasedInstanceId, "Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.",
					req.MemberId, *req.InstanceId, owner)
			}
			return g.members[owner], nil
		case ok && owner != req.MemberId:
			return nil, refuse(protocol.FencedInstanceId, "Static member %s with instance id %s was fenced by member %s.",
				req.MemberId, *req.InstanceId, owner)
		case !ok && !joins:
			return nil, refuse(protocol.UnknownMemberId, "Instance id %s is unknown.", *req.InstanceId)
		}
	}
	switch {
	case m == nil && !joins:
		return nil, refuse(protocol.UnknownMemberId, "Member %s is not a member of group %s.", req.MemberId, g.id)
	case m == nil:
		if len(g.members) >= g.around.Config.MaxSize {
			return nil, refuse(protocol.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", g.around.Config.MaxSize)
		}
		return nil, nil
	default:
		return m, checkEpoch(m, req)
	}
}

// checkEpoch checks that the member is as far as the group believes. The answer to its
// last heartbeat may have been lost: then it is one epoch behind. A member may join
// again at any time (KAFKA-19233).
func checkEpoch(m *member, req *protocol.ConsumerGroupHeartbeatRequest) *refusal {
	switch epoch := req.MemberEpoch; {
	case epoch == joinEpoch || epoch == m.epoch:
		return nil
	case epoch > m.epoch:
		return refuse(protocol.FencedMemberEpoch, "The consumer group member has a greater member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	case epoch == m.previousEpoch && subset(req.TopicPartitions, m.assigned):
		return nil
	default:
		return refuse(protocol.FencedMemberEpoch, "The consumer group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	}
}

// subscribe takes in what the request says of the member: known, its successor, or one
// that is new, if known is nil.
func (g *Group) subscribe(env classic.Env, call *HeartbeatCall, known *member) (*member, *refusal) {
	req := call.Request
	next := &member{assigned: owned{}, pending: owned{}}
	replaces := known != nil && known.id != req.MemberId
	if known != nil {
		if !replaces && says(req, known, call.Context.ClientID, call.Context.ClientHost) {
			return known, nil
		}
		*next = *known
	}
	isNew := known == nil || replaces
	if isNew {
		next.id, next.epoch, next.previousEpoch = strings.Clone(req.MemberId), joinEpoch, joinEpoch
	}
	update(next, call)
	if next.epoch == leaveStaticEpoch {
		next.epoch, next.previousEpoch = joinEpoch, joinEpoch // it is back under the same id
	}
	if n := g.metadataBytes(next); n > env.Config.MaxRecordBytes {
		return nil, refuse(protocol.InvalidRequest, "The subscription takes %d bytes, %d are allowed.", n, env.Config.MaxRecordBytes)
	}
	if no := g.addRegex(env, next.regex); no != nil {
		return nil, no
	}
	if replaces {
		g.replace(env, known, next)
	}
	if isNew || !next.sameMetadata(known) {
		g.writeMember(env, next)
	}
	g.put(next)
	return next, nil
}

// Accepts tells whether a group that is not there yet will take in the one that the
// request comes from.
func (g *Group) Accepts(env classic.Env, call *HeartbeatCall) bool {
	if _, no := g.find(call.Request); no != nil {
		return false
	}
	m := &member{}
	update(m, call)
	if m.regex != "" {
		matcher, err := CompileRegex(m.regex)
		if err != nil {
			return false
		}
		if _, err := g.resolve(env, m.regex, matcher); err != nil {
			return false
		}
	}
	return g.metadataBytes(m) <= env.Config.MaxRecordBytes
}

// says tells whether the request says nothing new of the member.
func says(req *protocol.ConsumerGroupHeartbeatRequest, m *member, clientID, clientHost string) bool {
	return req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil && req.RebalanceTimeoutMs == -1 &&
		req.InstanceId == nil == (m.instanceID == nil) && req.RackId == nil && req.ServerAssignor == nil && m.epoch != leaveStaticEpoch &&
		m.classic == nil && m.clientID == clientID && m.clientHost == clientHost
}

// update writes what the request says into m. What it does not mention stays.
func update(m *member, call *HeartbeatCall) {
	req := call.Request
	if req.InstanceId != nil {
		m.instanceID = wire.CloneNullable(req.InstanceId)
	}
	if req.RackId != nil {
		m.rackID = wire.CloneNullable(req.RackId)
	}
	if req.ServerAssignor != nil {
		m.assignor = wire.CloneNullable(req.ServerAssignor)
	}
	if req.RebalanceTimeoutMs != -1 {
		m.rebalanceTimeoutMs = req.RebalanceTimeoutMs
	}
	if req.SubscribedTopicNames != nil {
		m.topics = sortedSet(req.SubscribedTopicNames)
	}
	if req.SubscribedTopicRegex != nil {
		m.regex = strings.Clone(*req.SubscribedTopicRegex)
	}
	m.clientID, m.clientHost = strings.Clone(call.Context.ClientID), strings.Clone(call.Context.ClientHost)
	m.classic = nil
}

// replace gives what a static member had to the one that comes in its place (KIP-345).
func (g *Group) replace(env classic.Env, old, next *member) {
	g.forget(env, old)
	target := g.target[old.id]
	g.drop(old)
	g.own(next)
	if target != nil {
		g.target[next.id] = target
		g.writeTarget(env, next.id)
	}
	g.writeCurrent(env, next)
}

// leave is the last heartbeat of a member. A static member may come back within its
// session: nobody else gets its partitions meanwhile.
func (g *Group) leave(env classic.Env, call *HeartbeatCall) *refusal {
	req := call.Request
	m := g.members[req.MemberId]
	if req.InstanceId != nil {
		owner, ok := g.static[*req.InstanceId]
		switch {
		case !ok:
			return refuse(protocol.UnknownMemberId, "Instance id %s is unknown.", *req.InstanceId)
		case owner != req.MemberId:
			return refuse(protocol.FencedInstanceId, "Static member %s with instance id %s was fenced by member %s.", req.MemberId, *req.InstanceId, owner)
		}
	}
	if m == nil {
		return refuse(protocol.UnknownMemberId, "Member %s is not a member of group %s.", req.MemberId, g.id)
	}
	id := m.id
	call.Response.MemberId, call.Response.MemberEpoch = &id, req.MemberEpoch
	if req.InstanceId == nil || req.MemberEpoch == leaveEpoch {
		g.fence(env, m)
		return nil
	}
	next := *m
	next.epoch, next.pending = leaveStaticEpoch, owned{}
	env.Out.Cancel(g.timerKey(TimerRebalance, m.id))
	g.release(m)
	g.own(&next)
	g.put(&next)
	g.writeCurrent(env, &next)
	return nil
}
