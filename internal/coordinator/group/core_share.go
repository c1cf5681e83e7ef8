package group

import (
	"fmt"

	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type shareDescribeCall = runtime.Exchange[protocol.ShareGroupDescribeRequest, protocol.ShareGroupDescribeResponse]

// handleShare handles the calls about share groups.
func (c *core) handleShare(env classic.Env, call runtime.Call) {
	switch call := call.(type) {
	case *shareHeartbeatCall:
		c.shareHeartbeat(env, call)
	case *shareDescribeCall:
		c.describeShares(env, call)
	case *shareAlterCall:
		c.alterShareOffsets(env, call)
	case *shareOffsetDeleteCall:
		c.deleteShareOffsets(env, call)
	case *shareStep:
		c.takeStep(env, call)
	default:
		assert.That(false, "the group coordinator has no handler for %T", call)
	}
}

// shareGroup returns the share group of that id, or why there is none.
func (c *core) shareGroup(id, notFound string) (*share.Group, string) {
	g, exists := c.groups[id]
	switch group, ok := g.(*share.Group); {
	case ok:
		return group, ""
	case exists:
		return nil, fmt.Sprintf("Group %s is not a share group.", id)
	default:
		return nil, fmt.Sprintf(notFound, id)
	}
}

const groupNotFound = "Group %s not found."

// shareHeartbeat finds the group, or makes it for its first member. Groups of other kinds
// never make way.
func (c *core) shareHeartbeat(env classic.Env, call *shareHeartbeatCall) {
	req := call.Request
	notFound := "Share group %s not found."
	if req.MemberEpoch < 0 {
		notFound = groupNotFound
	}
	group, message := c.shareGroup(req.GroupId, notFound)
	switch _, exists := c.groups[req.GroupId]; {
	case group != nil:
		call.ask = group.Heartbeat(env, &call.HeartbeatCall)
	case exists || req.MemberEpoch != 0:
		call.Response.ErrorCode, call.Response.ErrorMessage = protocol.GroupIdNotFound, &message
	case len(c.groups) >= MaxGroupsPerPartition:
		message = fmt.Sprintf("The coordinator has %d groups, more are not allowed.", len(c.groups))
		call.Response.ErrorCode, call.Response.ErrorMessage = protocol.GroupMaxSizeReached, &message
	default:
		group = share.New(req.GroupId, &c.aroundShare)
		call.ask = group.Heartbeat(env, &call.HeartbeatCall)
		if !group.Empty() {
			c.groups[group.ID()] = group
		}
	}
	env.Out.Answer(call)
}

func (c *core) describeShares(env classic.Env, call *shareDescribeCall) {
	ids := call.Request.GroupIds
	call.Response.Groups = make([]protocol.ShareGroupDescribeResponseDescribedGroup, len(ids))
	for i, id := range ids {
		out := &call.Response.Groups[i]
		out.SetDefaults()
		out.GroupId = id
		g, message := c.shareGroup(id, groupNotFound)
		if g == nil {
			out.ErrorCode, out.ErrorMessage = protocol.GroupIdNotFound, &message
			continue
		}
		g.Describe(out)
	}
	env.Out.Answer(call)
}

// alterShareOffsets sets where an empty group starts to read. A group that is not there
// is made.
func (c *core) alterShareOffsets(env classic.Env, call *shareAlterCall) {
	id := call.Request.GroupId
	group, message := c.shareGroup(id, groupNotFound)
	switch _, exists := c.groups[id]; {
	case group == nil && exists:
		call.Response.ErrorCode, call.Response.ErrorMessage = protocol.GroupIdNotFound, &message
	case group == nil && len(c.groups) >= MaxGroupsPerPartition:
		call.Response.ErrorCode = protocol.GroupMaxSizeReached
	default:
		if group == nil {
			group = share.New(id, &c.aroundShare)
		}
		if call.ask = group.Alter(env, call.Request, &call.Response); call.ask != nil {
			c.groups[group.ID()] = group
		}
	}
	env.Out.Answer(call)
}

func (c *core) deleteShareOffsets(env classic.Env, call *shareOffsetDeleteCall) {
	if group, message := c.shareGroup(call.Request.GroupId, groupNotFound); group != nil {
		call.ask = group.DeleteOffsets(env, call.Request, &call.Response)
	} else {
		call.Response.ErrorCode, call.Response.ErrorMessage = protocol.GroupIdNotFound, &message
	}
	env.Out.Answer(call)
}

// asksForState tells whether the share coordinator has to be asked before the group, the
// i-th of the call, can be deleted.
func (c *core) asksForState(env classic.Env, call *deleteGroupsCall, i int, g memberGroup) bool {
	group, ok := g.(*share.Group)
	if !ok {
		return false
	}
	ask := group.DeleteAll(env, call.confirmed)
	if ask != nil {
		call.asks = append(call.asks, stateDeletion{at: i, ask: ask})
	}
	return ask != nil
}

// shareStep is a later part of a request: something that is done to a share group after
// the share coordinator was asked, if the group is still there.
type shareStep struct {
	group string
	do    func(env classic.Env, g *share.Group)
	done  func(code protocol.ErrorCode)
}

// Reply implements runtime.Call.
func (s *shareStep) Reply() { s.done(protocol.None) }

// Fail implements runtime.Call.
func (s *shareStep) Fail(code protocol.ErrorCode) { s.done(code) }

func (c *core) takeStep(env classic.Env, call *shareStep) {
	if g, ok := c.groups[call.group].(*share.Group); ok {
		call.do(env, g)
	}
	env.Out.Answer(call)
}

// forgetShared takes in that a topic is gone.
func (c *core) forgetShared(env classic.Env, id protocol.UUID) {
	for _, name := range c.ids() {
		if g, ok := c.groups[name].(*share.Group); ok {
			g.TopicDeleted(env, id)
		}
	}
}
