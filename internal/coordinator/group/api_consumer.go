package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// clientIDsVersion is the first version of ConsumerGroupHeartbeat whose members choose
// their ids themselves (KIP-1082).
const clientIDsVersion = 1

// ConsumerGroupHeartbeat answers a ConsumerGroupHeartbeat request.
func (c *Coordinator) ConsumerGroupHeartbeat(ctx runtime.Context, req *protocol.ConsumerGroupHeartbeatRequest, done func(*protocol.ConsumerGroupHeartbeatResponse)) {
	call := &consumer.HeartbeatCall{Request: req, Context: ctx, Done: done, Refuse: refuseConsumerHeartbeat}
	call.Response.SetDefaults()
	if len(ctx.ClientID) > classic.MaxNameBytes {
		call.Context.ClientID = ctx.ClientID[:classic.MaxNameBytes]
	}
	if code, message := c.checkConsumerHeartbeat(ctx.Version, req); code != protocol.None {
		call.Response.ErrorCode, call.Response.ErrorMessage = code, &message
		call.Reply()
		return
	}
	if req.MemberId == "" {
		req.MemberId = c.newUUID()
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

// checkConsumerHeartbeat tells what is wrong with the form of a request.
func (c *Coordinator) checkConsumerHeartbeat(version int16, req *protocol.ConsumerGroupHeartbeatRequest) (protocol.ErrorCode, string) {
	wrong := ""
	switch {
	case req.MemberId == "" && (version >= clientIDsVersion || req.MemberEpoch != 0):
		wrong = "MemberId can't be empty."
	case req.GroupId == "":
		wrong = "GroupId can't be empty."
	case isBlank(req.InstanceId):
		wrong = "InstanceId can't be empty."
	case isBlank(req.RackId):
		wrong = "RackId can't be empty."
	case longest(req.GroupId, req.MemberId, orEmpty(req.InstanceId), orEmpty(req.RackId)) > classic.MaxNameBytes:
		wrong = fmt.Sprintf("Names of more than %d bytes are not allowed.", classic.MaxNameBytes)
	case req.MemberEpoch < -2:
		wrong = fmt.Sprintf("MemberEpoch is %d, but must be greater than or equal to -2.", req.MemberEpoch)
	case req.MemberEpoch == -2 && req.InstanceId == nil:
		wrong = "InstanceId can't be null."
	case req.MemberEpoch == 0 && req.RebalanceTimeoutMs == -1:
		wrong = "RebalanceTimeoutMs must be provided in first request."
	case req.MemberEpoch == 0 && (req.TopicPartitions == nil || len(req.TopicPartitions) > 0):
		wrong = "TopicPartitions must be empty when (re-)joining."
	case req.MemberEpoch == 0 && req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
		wrong = "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
	}
	if wrong != "" {
		return protocol.InvalidRequest, wrong
	}
	if name := req.ServerAssignor; name != nil && !slices.Contains(c.settings.Consumer.Assignors, *name) {
		return protocol.UnsupportedAssignor, fmt.Sprintf("ServerAssignor %s is not supported. Supported assignors: %s.",
			*name, strings.Join(c.settings.Consumer.Assignors, ", "))
	}
	return protocol.None, ""
}

func isBlank(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func longest(names ...string) int {
	n := 0
	for _, name := range names {
		n = max(n, len(name))
	}
	return n
}

func refuseConsumerHeartbeat(_ *protocol.ConsumerGroupHeartbeatRequest, r *protocol.ConsumerGroupHeartbeatResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ErrorCode = code
}

// ConsumerGroupDescribe answers a ConsumerGroupDescribe request, in its order.
func (c *Coordinator) ConsumerGroupDescribe(ctx runtime.Context, req *protocol.ConsumerGroupDescribeRequest, done func(*protocol.ConsumerGroupDescribeResponse)) {
	res := &protocol.ConsumerGroupDescribeResponse{Groups: make([]protocol.ConsumerGroupDescribeResponseDescribedGroup, len(req.GroupIds))}
	parts := c.split(req.GroupIds)
	all := runtime.NewGather(len(parts), func() { done(res) })
	for _, part := range parts {
		call := &consumerDescribeCall{
			Request: &protocol.ConsumerGroupDescribeRequest{GroupIds: part.groups}, Context: ctx, Refuse: refuseConsumerDescribe,
			Done: func(r *protocol.ConsumerGroupDescribeResponse) {
				for i, at := range part.at {
					res.Groups[at] = r.Groups[i]
				}
				all.Done()
			},
		}
		c.rt.Submit(part.partition, call)
	}
}

func refuseConsumerDescribe(q *protocol.ConsumerGroupDescribeRequest, r *protocol.ConsumerGroupDescribeResponse, code protocol.ErrorCode) {
	r.Groups = make([]protocol.ConsumerGroupDescribeResponseDescribedGroup, len(q.GroupIds))
	for i, id := range q.GroupIds {
		r.Groups[i].SetDefaults()
		r.Groups[i].GroupId, r.Groups[i].ErrorCode = id, code
	}
}
