package group

import (
	"fmt"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type consumerDescribeCall = runtime.Exchange[protocol.ConsumerGroupDescribeRequest, protocol.ConsumerGroupDescribeResponse]

// consumerHeartbeat finds the group, or makes it for its first member. A classic group
// without members makes way: its offsets stay. One with members is changed over.
func (c *core) consumerHeartbeat(env classic.Env, call *consumer.HeartbeatCall) {
	req := call.Request
	g, exists := c.groups[req.GroupId]
	old, isClassic := g.(*classic.Group)
	group, isConsumer := g.(*consumer.Group)
	joins := req.MemberEpoch == 0
	switch {
	case isConsumer:
		group.Heartbeat(env, call)
		c.downgrade(env, group)
	case !exists && !joins:
		refuseHeartbeatOf(env, call, protocol.GroupIdNotFound, "Consumer group %s not found.", req.GroupId)
	case exists && (!joins || !isClassic):
		refuseHeartbeatOf(env, call, protocol.GroupIdNotFound, "Group %s is not a consumer group.", req.GroupId)
	case !exists && len(c.groups) >= MaxGroupsPerPartition:
		refuseHeartbeatOf(env, call, protocol.GroupMaxSizeReached, "The coordinator has %d groups, more are not allowed.", len(c.groups))
	case exists && old.State() != classic.Empty:
		c.upgrade(env, call, old)
	default:
		group = consumer.New(req.GroupId, &c.around)
		if exists && group.Accepts(env, call) {
			old.Delete(env)
		}
		group.Heartbeat(env, call)
		if !group.Empty() {
			c.groups[group.ID()] = group
		}
	}
}

// upgrade makes a consumer group of a classic group with members, for one that joins with
// the consumer protocol.
func (c *core) upgrade(env classic.Env, call *consumer.HeartbeatCall, old *classic.Group) {
	group, message := consumer.FromClassic(old, &c.around)
	if group == nil {
		refuseHeartbeatOf(env, call, protocol.GroupIdNotFound, "%s", message)
		return
	}
	if group.Accepts(env, call) {
		old.Retire(env)
		group.Start(env)
		c.groups[group.ID()] = group
	}
	group.Heartbeat(env, call)
}

// downgrade makes a classic group of a consumer group whose last member that used the
// consumer protocol is gone.
func (c *core) downgrade(env classic.Env, g *consumer.Group) {
	if group := g.Downgraded(env); group != nil {
		g.Delete(env)
		c.groups[group.ID()] = group
		group.Start(env)
	}
}

func refuseHeartbeatOf(env classic.Env, call *consumer.HeartbeatCall, code protocol.ErrorCode, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	call.Response.ErrorCode, call.Response.ErrorMessage = code, &message
	env.Out.Answer(call)
}

func (c *core) describeConsumers(env classic.Env, call *consumerDescribeCall) {
	ids := call.Request.GroupIds
	call.Response.Groups = make([]protocol.ConsumerGroupDescribeResponseDescribedGroup, len(ids))
	for i, id := range ids {
		out := &call.Response.Groups[i]
		out.SetDefaults()
		out.GroupId = id
		if g, ok := c.groups[id].(*consumer.Group); ok {
			g.Describe(out)
			continue
		}
		message := "Group " + id + " not found."
		if c.groups[id] != nil {
			message = "Group " + id + " is not a consumer group."
		}
		out.ErrorCode, out.ErrorMessage = protocol.GroupIdNotFound, &message
	}
	env.Out.Answer(call)
}
