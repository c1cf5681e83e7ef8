package group

import (
	"fmt"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type streamsDescribeCall = runtime.Exchange[protocol.StreamsGroupDescribeRequest, protocol.StreamsGroupDescribeResponse]

// streamsHeartbeat finds the group, or makes it for its first member. A classic group
// without members makes way: its offsets stay.
func (c *core) streamsHeartbeat(env classic.Env, call *streams.HeartbeatCall) {
	req := call.Request
	g, exists := c.groups[req.GroupId]
	group, isStreams := g.(*streams.Group)
	old, isClassic := g.(*classic.Group)
	joins := req.MemberEpoch == 0
	switch {
	case isStreams:
		group.Heartbeat(env, call)
	case !exists && req.MemberEpoch < 0:
		refuseStreams(env, call, protocol.GroupIdNotFound, "Group %s not found.", req.GroupId)
	case !exists && !joins:
		refuseStreams(env, call, protocol.GroupIdNotFound, "Streams group %s not found.", req.GroupId)
	case exists && (!joins || !isClassic || old.State() != classic.Empty):
		refuseStreams(env, call, protocol.GroupIdNotFound, "Group %s is not a streams group.", req.GroupId)
	case !exists && len(c.groups) >= MaxGroupsPerPartition:
		refuseStreams(env, call, protocol.GroupMaxSizeReached, "The coordinator has %d groups, more are not allowed.", len(c.groups))
	default:
		group = streams.New(req.GroupId, &c.streams)
		if exists && group.Accepts(call) {
			old.Delete(env)
		}
		group.Heartbeat(env, call)
		if !group.Empty() {
			c.groups[group.ID()] = group
		}
	}
}

func refuseStreams(env classic.Env, call *streams.HeartbeatCall, code protocol.ErrorCode, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	call.Response.ErrorCode, call.Response.ErrorMessage = code, &message
	env.Out.Answer(call)
}

func (c *core) describeStreams(env classic.Env, call *streamsDescribeCall) {
	ids := call.Request.GroupIds
	call.Response.Groups = make([]protocol.StreamsGroupDescribeResponseDescribedGroup, len(ids))
	for i, id := range ids {
		out := &call.Response.Groups[i]
		out.SetDefaults()
		out.GroupId = id
		if g, ok := c.groups[id].(*streams.Group); ok {
			g.Describe(out)
			continue
		}
		message := "Group " + id + " not found."
		if c.groups[id] != nil {
			message = "Group " + id + " is not a streams group."
		}
		out.ErrorCode, out.ErrorMessage = protocol.GroupIdNotFound, &message
	}
	env.Out.Answer(call)
}
