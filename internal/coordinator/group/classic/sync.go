package classic

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Sync handles a SyncGroup request.
func (g *Group) Sync(env Env, call *SyncCall) {
	req := call.Request
	code := g.validate(req.MemberId, req.GroupInstanceId)
	switch {
	case code != protocol.None:
	case req.GenerationId != g.generation:
		code = protocol.IllegalGeneration
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType,
		req.ProtocolName != nil && g.protocolName != nil && *req.ProtocolName != *g.protocolName:
		code = protocol.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		code = protocol.RebalanceInProgress
	}
	if code != protocol.None {
		call.Response.ErrorCode = code
		env.Out.Answer(call)
		return
	}
	m := g.members[req.MemberId]
	delete(g.pendingSync, m.id)
	if len(g.pendingSync) == 0 {
		env.Out.Cancel(g.syncKey())
	}
	if g.state == Stable {
		g.describeAssignment(&call.Response, m)
		env.Out.Answer(call)
		return
	}
	if m.sync != nil {
		// The member asked twice. The first question was lost, or its answer is.
		g.answerSync(env, m, protocol.RebalanceInProgress)
	}
	m.sync = call
	if g.isLeader(m.id) {
		g.takeAssignments(env, req.Assignments)
	}
}

// takeAssignments makes the group Stable with the leader's assignments. Members that
// the leader forgot get an empty one.
func (g *Group) takeAssignments(env Env, assignments []protocol.SyncGroupRequestAssignment) {
	byMember := make(map[string][]byte, len(assignments))
	total := 0
	for i := range assignments {
		byMember[assignments[i].MemberId] = assignments[i].Assignment
		total += len(assignments[i].Assignment)
	}
	fits := g.bytes+total <= MaxGroupBytes
	if fits {
		for _, m := range g.order {
			g.assign(m, append([]byte{}, byMember[m.id]...))
		}
		g.transition(Stable, env.NowMs)
		fits = g.record(env) == nil
	}
	if !fits {
		// As in Kafka when the log refuses a record of this size.
		g.state = CompletingRebalance
		g.answerSyncs(env, protocol.UnknownServerError)
		g.prepareRebalance(env)
		return
	}
	g.answerSyncs(env, protocol.None)
}

// Heartbeat handles a Heartbeat request.
func (g *Group) Heartbeat(env Env, call *HeartbeatCall) {
	req := call.Request
	code := g.validate(req.MemberId, req.GroupInstanceId)
	switch {
	case code != protocol.None:
	case req.GenerationId != g.generation:
		code = protocol.IllegalGeneration
	default:
		if g.state == PreparingRebalance {
			code = protocol.RebalanceInProgress
		}
		g.renewSession(env, g.members[req.MemberId])
	}
	call.Response.ErrorCode = code
	env.Out.Answer(call)
}

// Leave handles a LeaveGroup request: members that leave, or that an administrator
// removes, by their instance id alone.
func (g *Group) Leave(env Env, call *LeaveCall) {
	req, res := call.Request, &call.Response
	res.Members = slices.Grow(res.Members[:0], len(req.Members))
	left, members := false, false
	for i := range req.Members {
		who := &req.Members[i]
		id, code := g.whoLeaves(who)
		if code == protocol.None {
			left = true
			members = members || g.members[id] != nil
			g.remove(env, id)
		}
		res.Members = append(res.Members, protocol.LeaveGroupResponseMemberResponse{
			MemberId: who.MemberId, GroupInstanceId: who.GroupInstanceId, ErrorCode: code,
		})
	}
	env.Out.Answer(call)
	if left {
		g.membersLeft(env, members)
	}
}

func (g *Group) whoLeaves(who *protocol.LeaveGroupRequestMemberIdentity) (id string, code protocol.ErrorCode) {
	if who.MemberId == "" {
		if who.GroupInstanceId == nil {
			return "", protocol.UnknownMemberId
		}
		id, ok := g.static[*who.GroupInstanceId]
		if !ok {
			return "", protocol.UnknownMemberId
		}
		return id, protocol.None
	}
	if _, ok := g.pendingJoin[who.MemberId]; ok {
		return who.MemberId, protocol.None
	}
	return who.MemberId, g.validate(who.MemberId, who.GroupInstanceId)
}
