package group

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

type consumerDescribeCall = runtime.Exchange[protocol.ConsumerGroupDescribeRequest, protocol.ConsumerGroupDescribeResponse]

// consumerHeartbeat finds the group, or makes it for its first member. A classic group
// without members makes way: its offsets stay.
func (c *core) consumerHeartbeat(env classic.Env, call *consumer.HeartbeatCall) {
	req := call.Request
	g, exists := c.groups[req.GroupId]
	if group, ok := g.(*consumer.Group); ok {
		group.Heartbeat(env, call)
		return
	}
	old, _ := g.(*classic.Group)
	switch {
	case req.MemberEpoch != 0 && !exists:
		refuseHeartbeatOf(env, call, protocol.GroupIdNotFound, "Consumer group %s not found.", req.GroupId)
		return
	case exists && (req.MemberEpoch != 0 || old.State() != classic.Empty):
		refuseHeartbeatOf(env, call, protocol.GroupIdNotFound, "Group %s is not a consumer group.", req.GroupId)
		return
	case !exists && len(c.groups) >= MaxGroupsPerPartition:
		refuseHeartbeatOf(env, call, protocol.GroupMaxSizeReached, "The coordinator has %d groups, more are not allowed.", len(c.groups))
		return
	}
	group := consumer.New(req.GroupId, &c.around)
	if exists && group.Accepts(env, call) {
		old.Delete(env)
	}
	group.Heartbeat(env, call)
	if !group.Empty() {
		c.groups[group.ID()] = group
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

// applyConsumer takes in a record of a consumer group. Records of kinds of groups that
// came later than this code are skipped, as Kafka does, so that a downgrade stays
// possible.
func (c *core) applyConsumer(key, value []byte) error {
	r := wire.NewReader(key)
	if coordrecord.Group.NewKey(r.Int16()) == nil {
		return nil
	}
	k, err := coordrecord.Group.ParseKey(key)
	if err != nil {
		return fmt.Errorf("decoding the key of a group's record: %w", err)
	}
	id, ok := consumer.GroupOf(k)
	if !ok {
		return nil
	}
	v, _, err := coordrecord.Group.ParseValue(k, value)
	if err != nil {
		return fmt.Errorf("decoding a record of group %q: %w", id, err)
	}
	g, ok := c.groups[id].(*consumer.Group)
	if !ok {
		if value == nil {
			return nil
		}
		g = consumer.New(id, &c.around)
		c.groups[strings.Clone(id)] = g
	}
	gone, err := g.Apply(k, v)
	if gone {
		delete(c.groups, id)
	}
	return err
}
