package group

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/offsets"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type (
	listCall         = runtime.Exchange[protocol.ListGroupsRequest, protocol.ListGroupsResponse]
	describeCall     = runtime.Exchange[protocol.DescribeGroupsRequest, protocol.DescribeGroupsResponse]
	deleteCall       = runtime.Exchange[protocol.DeleteGroupsRequest, protocol.DeleteGroupsResponse]
	offsetDeleteCall = runtime.Exchange[protocol.OffsetDeleteRequest, protocol.OffsetDeleteResponse]
)

// describeNotFoundVersion is the first version of DescribeGroups that has an error for
// a group that does not exist; before, it is a dead group.
const describeNotFoundVersion = 6

// Types of groups as ListGroups prints them.
const (
	classicType  = "classic"
	consumerType = "consumer"
	shareType    = "share"
	streamsType  = "streams"
)

func typeOf(g memberGroup) string {
	switch g.(type) {
	case *consumer.Group:
		return consumerType
	case *share.Group:
		return shareType
	case *streams.Group:
		return streamsType
	}
	return classicType
}

func (c *core) list(env classic.Env, call *listCall) {
	for _, id := range c.ids() {
		g := c.groups[id]
		state, kind := g.StateName(), typeOf(g)
		if passes(call.Request.StatesFilter, state) && passes(call.Request.TypesFilter, kind) {
			call.Response.Groups = append(call.Response.Groups, protocol.ListGroupsResponseListedGroup{
				GroupId: id, ProtocolType: g.ProtocolType(), GroupState: state, GroupType: kind,
			})
		}
	}
	env.Out.Answer(call)
}

func passes(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
}

func (c *core) describe(env classic.Env, call *describeCall) {
	ids := call.Request.Groups
	call.Response.Groups = make([]protocol.DescribeGroupsResponseDescribedGroup, len(ids))
	for i, id := range ids {
		out := &call.Response.Groups[i]
		out.SetDefaults()
		out.GroupId = id
		if g, ok := c.groups[id].(*classic.Group); ok {
			g.Describe(out)
			continue
		}
		out.GroupState = classic.Dead.String()
		if call.Context.Version >= describeNotFoundVersion {
			message := "Group " + id + " not found."
			if c.groups[id] != nil {
				message = "Group " + id + " is not a classic group."
			}
			out.ErrorCode, out.ErrorMessage = protocol.GroupIdNotFound, &message
		}
	}
	env.Out.Answer(call)
}

func (c *core) deleteGroups(env classic.Env, call *deleteGroupsCall) {
	ids := call.Request.GroupsNames
	call.Response.Results = make([]protocol.DeleteGroupsResponseDeletableGroupResult, len(ids))
	for i, id := range ids {
		out := &call.Response.Results[i]
		out.GroupId = id
		g := c.groups[id]
		if g == nil {
			out.ErrorCode = protocol.GroupIdNotFound
			continue
		}
		if out.ErrorCode = g.ValidateDelete(); out.ErrorCode != protocol.None || c.asksForState(env, call, i, g) {
			continue
		}
		for _, topic := range c.offsets.Topics(id) {
			for _, partition := range c.offsets.Partitions(id, topic) {
				c.forgetOffset(env, id, topic, partition)
			}
		}
		c.forgetGroup(env, id)
	}
	env.Out.Answer(call)
}

func (c *core) forgetGroup(env classic.Env, id string) {
	c.groups[id].Delete(env)
	delete(c.groups, id)
}

func (c *core) deleteOffsets(env classic.Env, call *offsetDeleteCall) {
	defer env.Out.Answer(call)
	req, res := call.Request, &call.Response
	g := c.groups[req.GroupId]
	if g == nil {
		res.ErrorCode = protocol.GroupIdNotFound
		return
	}
	if res.ErrorCode = g.ValidateOffsetDelete(); res.ErrorCode != protocol.None {
		return
	}
	res.Topics = make([]protocol.OffsetDeleteResponseTopic, len(req.Topics))
	for i := range req.Topics {
		topic := &req.Topics[i]
		subscribed := g.Subscribed(topic.Name)
		partitions := make([]protocol.OffsetDeleteResponsePartition, len(topic.Partitions))
		for j := range topic.Partitions {
			partitions[j].PartitionIndex = topic.Partitions[j].PartitionIndex
			if subscribed {
				partitions[j].ErrorCode = protocol.GroupSubscribedToTopic
			} else {
				c.forgetOffset(env, req.GroupId, topic.Name, partitions[j].PartitionIndex)
			}
		}
		res.Topics[i] = protocol.OffsetDeleteResponseTopic{Name: topic.Name, Partitions: partitions}
	}
}

// expireOffsets forgets offsets whose retention is over, and groups that have nothing
// left (KIP-211).
func (c *core) expireOffsets(env classic.Env) {
	for _, id := range c.ids() {
		g := c.groups[id]
		for _, topic := range c.offsets.Topics(id) {
			if g.Subscribed(topic) {
				continue
			}
			for _, partition := range c.offsets.Partitions(id, topic) {
				if c.expired(env.NowMs, g, id, topic, partition) {
					c.forgetOffset(env, id, topic, partition)
				}
			}
		}
		if c.offsets.Count(id) == 0 && c.txns.pending.Count(id) == 0 && g.Disposable() {
			c.forgetGroup(env, id)
		}
	}
}

func (c *core) expired(nowMs int64, g memberGroup, id, topic string, partition int32) bool {
	if c.txns.pending.Has(offsets.Place{Group: id, Topic: topic, Partition: partition}) {
		return false
	}
	o, _ := c.offsets.Get(id, topic, partition)
	startMs, ok := g.RetentionStartMs(o.CommitTimestampMs)
	switch {
	case !ok:
		return false
	case o.ExpireTimestampMs >= 0:
		return nowMs >= o.ExpireTimestampMs
	default:
		return nowMs-startMs >= c.settings.OffsetsRetentionMs
	}
}

// topicDeleted tells a partition that a topic is gone. It answers nobody.
type topicDeleted struct {
	topic string
	id    protocol.UUID
	retry func()
}

// Reply implements runtime.Call.
func (*topicDeleted) Reply() {}

// Fail implements runtime.Call.
func (t *topicDeleted) Fail(code protocol.ErrorCode) {
	if code != protocol.NotCoordinator {
		t.retry()
	}
}

func (c *core) forgetTopic(env classic.Env, call *topicDeleted) {
	for _, group := range c.offsets.GroupsWith(call.topic) {
		for _, partition := range c.offsets.Partitions(group, call.topic) {
			c.forgetOffset(env, group, call.topic, partition)
		}
	}
	c.forgetShared(env, call.id)
	env.Out.Answer(call)
}
