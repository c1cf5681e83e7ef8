package group

import (
	"fmt"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/topology"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// StreamsGroupHeartbeat answers a StreamsGroupHeartbeat request. missing are the internal
// topics that the caller has to create for the group.
func (c *Coordinator) StreamsGroupHeartbeat(ctx runtime.Context, req *protocol.StreamsGroupHeartbeatRequest,
	done func(res *protocol.StreamsGroupHeartbeatResponse, missing []protocol.CreateTopicsRequestCreatableTopic)) {
	call := &streams.HeartbeatCall{}
	call.Request, call.Context = req, ctx
	call.Done = func(res *protocol.StreamsGroupHeartbeatResponse) { done(res, call.Missing) }
	call.Refuse = func(_ *protocol.StreamsGroupHeartbeatRequest, r *protocol.StreamsGroupHeartbeatResponse, code protocol.ErrorCode) {
		r.SetDefaults()
		r.ErrorCode, call.Missing = code, nil
	}
	call.Response.SetDefaults()
	if len(ctx.ClientID) > classic.MaxNameBytes {
		call.Context.ClientID = ctx.ClientID[:classic.MaxNameBytes]
	}
	wrong, code := checkStreamsHeartbeat(req), protocol.InvalidRequest
	if wrong == "" && req.Topology != nil {
		var err error
		if call.Topology, err = topology.FromRequest(req.Topology); err != nil {
			wrong, code = err.Error(), protocol.StreamsInvalidTopology
		} else if n := call.Topology.Size(); n > c.settings.classic.MaxRecordBytes {
			wrong, code = fmt.Sprintf("The topology takes %d bytes, %d are allowed.", n, c.settings.classic.MaxRecordBytes), protocol.StreamsInvalidTopology
		}
	}
	if wrong != "" {
		call.Response.ErrorCode, call.Response.ErrorMessage = code, &wrong
		call.Reply()
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

// checkStreamsHeartbeat tells what is wrong with the form of a request.
func checkStreamsHeartbeat(req *protocol.StreamsGroupHeartbeatRequest) string {
	if wrong := checkUnsupported(req); wrong != "" {
		return wrong
	}
	joins, tasks := req.MemberEpoch == 0, req.ActiveTasks != nil || req.StandbyTasks != nil || req.WarmupTasks != nil
	processID := orEmpty(req.ProcessId)
	switch {
	case isBlank(&req.MemberId):
		return "MemberId can't be empty."
	case isBlank(&req.GroupId):
		return "GroupId can't be empty."
	case isBlank(req.RackId):
		return "RackId can't be empty."
	case longest(req.GroupId, req.MemberId, orEmpty(req.RackId), processID) > classic.MaxNameBytes:
		return fmt.Sprintf("Names of more than %d bytes are not allowed.", classic.MaxNameBytes)
	case joins && req.RebalanceTimeoutMs == -1:
		return "RebalanceTimeoutMs must be provided in first request."
	case joins && len(req.ActiveTasks) > 0:
		return "ActiveTasks must be empty when (re-)joining."
	case joins && len(req.StandbyTasks) > 0:
		return "StandbyTasks must be empty when (re-)joining."
	case joins && req.Topology == nil:
		return "Topology must be non-null when (re-)joining."
	case req.MemberEpoch == -2:
		return "InstanceId can't be null."
	case req.MemberEpoch < -2:
		return fmt.Sprintf("MemberEpoch is %d, but must be greater than or equal to -2.", req.MemberEpoch)
	case tasks && (req.ActiveTasks == nil || req.StandbyTasks == nil || req.WarmupTasks == nil):
		return "If one task-type is non-null, all must be non-null."
	case !joins && req.Topology != nil:
		return "Topology can only be provided when (re-)joining."
	}
	seen := map[string]struct{}{}
	for _, t := range req.ClientTags {
		if _, twice := seen[t.Key]; twice {
			return fmt.Sprintf("ClientTags has the key %s twice.", t.Key)
		}
		seen[t.Key] = struct{}{}
	}
	return ""
}

// checkUnsupported finds what the protocol has and Kafka 4.3 does not serve yet.
func checkUnsupported(req *protocol.StreamsGroupHeartbeatRequest) string {
	switch {
	case req.InstanceId != nil:
		return "Static membership is not yet supported."
	case req.TaskOffsets != nil:
		return "TaskOffsets are not supported yet."
	case req.TaskEndOffsets != nil:
		return "TaskEndOffsets are not supported yet."
	case len(req.WarmupTasks) > 0:
		return "WarmupTasks are not supported yet."
	case req.Topology == nil:
		return ""
	}
	for i := range req.Topology.Subtopologies {
		if len(req.Topology.Subtopologies[i].SourceTopicRegex) > 0 {
			return "Regular expressions for source topics are not supported yet."
		}
	}
	return ""
}

// StreamsGroupDescribe answers a StreamsGroupDescribe request, in its order.
func (c *Coordinator) StreamsGroupDescribe(ctx runtime.Context, req *protocol.StreamsGroupDescribeRequest, done func(*protocol.StreamsGroupDescribeResponse)) {
	res := &protocol.StreamsGroupDescribeResponse{Groups: make([]protocol.StreamsGroupDescribeResponseDescribedGroup, len(req.GroupIds))}
	parts := c.split(req.GroupIds)
	all := runtime.NewGather(len(parts), func() { done(res) })
	for _, part := range parts {
		call := &streamsDescribeCall{
			Request: &protocol.StreamsGroupDescribeRequest{GroupIds: part.groups}, Context: ctx, Refuse: RefuseStreamsDescribe,
			Done: func(r *protocol.StreamsGroupDescribeResponse) {
				for i, at := range part.at {
					res.Groups[at] = r.Groups[i]
				}
				all.Done()
			},
		}
		c.rt.Submit(part.partition, call)
	}
}

// RefuseStreamsDescribe answers for every group with the same error.
func RefuseStreamsDescribe(q *protocol.StreamsGroupDescribeRequest, r *protocol.StreamsGroupDescribeResponse, code protocol.ErrorCode) {
	r.Groups = make([]protocol.StreamsGroupDescribeResponseDescribedGroup, len(q.GroupIds))
	for i, id := range q.GroupIds {
		r.Groups[i].SetDefaults()
		r.Groups[i].GroupId, r.Groups[i].ErrorCode = id, code
	}
}
