package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// joinCall is a JoinGroup request and the id its member gets if it has none.
type joinCall struct {
	classic.JoinCall
	newMemberID string
}

func (c *core) join(env classic.Env, call *joinCall) {
	req := call.Request
	g, exists := c.groups[req.GroupId]
	if !exists {
		c.joinNewGroup(env, call)
		return
	}
	switch group := g.(type) {
	case *classic.Group:
		group.Join(env, &call.JoinCall, call.newMemberID)
	case *consumer.Group:
		if group.Empty() {
			c.joinNewGroup(env, call)
			return
		}
		group.Join(env, &call.JoinCall, call.newMemberID)
		c.downgrade(env, group)
	default:
		if group, ok := g.(*streams.Group); ok && group.Empty() {
			c.joinNewGroup(env, call)
			return
		}
		answerJoin(env, call, "", protocol.InconsistentGroupProtocol)
	}
}

func (c *core) joinNewGroup(env classic.Env, call *joinCall) {
	req := call.Request
	switch {
	case req.MemberId != "":
		answerJoin(env, call, req.MemberId, protocol.UnknownMemberId)
	case req.ProtocolType == "" || len(req.Protocols) == 0:
		answerJoin(env, call, "", protocol.InconsistentGroupProtocol)
	case len(c.groups) >= MaxGroupsPerPartition:
		answerJoin(env, call, "", protocol.GroupMaxSizeReached)
	default:
		if old := c.groups[req.GroupId]; old != nil {
			old.Delete(env) // a consumer or streams group without members makes way
		}
		group := classic.New(req.GroupId, env.NowMs)
		c.groups[group.ID()] = group
		group.Created(env)
		group.Join(env, &call.JoinCall, call.newMemberID)
	}
}

func answerJoin(env classic.Env, call *joinCall, memberID string, code protocol.ErrorCode) {
	call.Response.MemberId, call.Response.ErrorCode = memberID, code
	env.Out.Answer(&call.JoinCall)
}

func (c *core) sync(env classic.Env, call *classic.SyncCall) {
	switch group := c.groups[call.Request.GroupId].(type) {
	case *classic.Group:
		group.Sync(env, call)
	case *consumer.Group:
		group.Sync(env, call)
	default:
		call.Response.ErrorCode = protocol.UnknownMemberId
		env.Out.Answer(call)
	}
}

func (c *core) heartbeat(env classic.Env, call *classic.HeartbeatCall) {
	switch group := c.groups[call.Request.GroupId].(type) {
	case *classic.Group:
		group.Heartbeat(env, call)
	case *consumer.Group:
		group.ClassicHeartbeat(env, call)
	default:
		call.Response.ErrorCode = protocol.UnknownMemberId
		env.Out.Answer(call)
	}
}

func (c *core) leave(env classic.Env, call *classic.LeaveCall) {
	switch group := c.groups[call.Request.GroupId].(type) {
	case *classic.Group:
		group.Leave(env, call)
	case *consumer.Group:
		group.Leave(env, call)
		c.downgrade(env, group)
	default:
		refuseLeave(call.Request, &call.Response, protocol.UnknownMemberId)
		env.Out.Answer(call)
	}
}
