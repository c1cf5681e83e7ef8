package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// JoinGroup answers a JoinGroup request when the rebalance it starts, or joins, is over.
func (c *Coordinator) JoinGroup(ctx runtime.Context, req *protocol.JoinGroupRequest, done func(*protocol.JoinGroupResponse)) {
	call := &joinCall{JoinCall: classic.JoinCall{
		Request: req, Context: ctx, Refuse: refuseJoin,
		Done: func(r *protocol.JoinGroupResponse) {
			if r.ProtocolName == nil && ctx.Version < 7 {
				empty := ""
				r.ProtocolName = &empty
			}
			done(r)
		},
	}}
	call.Response.SetDefaults()
	call.Response.ProtocolName = nil // while there is no generation
	if len(ctx.ClientID) > classic.MaxNameBytes {
		call.Context.ClientID = ctx.ClientID[:classic.MaxNameBytes]
	}
	if ctx.Version == 0 {
		req.RebalanceTimeoutMs = req.SessionTimeoutMs
	}
	req.RebalanceTimeoutMs = max(req.RebalanceTimeoutMs, 0)
	if code := c.checkJoin(req); code != protocol.None {
		call.Response.MemberId, call.Response.ErrorCode = req.MemberId, code
		call.Reply()
		return
	}
	if req.MemberId == "" {
		prefix := call.Context.ClientID
		if req.GroupInstanceId != nil {
			prefix = *req.GroupInstanceId
		}
		call.newMemberID = prefix + "-" + c.newUUID()
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func (c *Coordinator) checkJoin(req *protocol.JoinGroupRequest) protocol.ErrorCode {
	if code := checkID(req.GroupId); code != protocol.None {
		return code
	}
	if req.SessionTimeoutMs < c.settings.MinSessionTimeoutMs || req.SessionTimeoutMs > c.settings.MaxSessionTimeoutMs {
		return protocol.InvalidSessionTimeout
	}
	if len(req.ProtocolType) > classic.MaxNameBytes || len(req.Protocols) > classic.MaxProtocols ||
		req.GroupInstanceId != nil && len(*req.GroupInstanceId) > classic.MaxNameBytes {
		return protocol.InvalidRequest
	}
	for i := range req.Protocols {
		if len(req.Protocols[i].Name) > classic.MaxNameBytes {
			return protocol.InvalidRequest
		}
	}
	return protocol.None
}

func refuseJoin(_ *protocol.JoinGroupRequest, r *protocol.JoinGroupResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ErrorCode, r.ProtocolName = code, nil
}

// SyncGroup answers a SyncGroup request when the leader has assigned the partitions.
func (c *Coordinator) SyncGroup(ctx runtime.Context, req *protocol.SyncGroupRequest, done func(*protocol.SyncGroupResponse)) {
	call := &classic.SyncCall{Request: req, Context: ctx, Done: done, Refuse: refuseSync}
	call.Response.SetDefaults()
	if ctx.Version >= 5 && (req.ProtocolType == nil || req.ProtocolName == nil) {
		call.Fail(protocol.InconsistentGroupProtocol) // both are mandatory since KIP-559
		return
	}
	if code := checkID(req.GroupId); code != protocol.None {
		call.Fail(code)
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func refuseSync(_ *protocol.SyncGroupRequest, r *protocol.SyncGroupResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ErrorCode = code
}

// Heartbeat answers a Heartbeat request.
func (c *Coordinator) Heartbeat(ctx runtime.Context, req *protocol.HeartbeatRequest, done func(*protocol.HeartbeatResponse)) {
	call := &classic.HeartbeatCall{Request: req, Context: ctx, Done: done, Refuse: refuseHeartbeat}
	if code := checkID(req.GroupId); code != protocol.None {
		call.Fail(code)
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func refuseHeartbeat(_ *protocol.HeartbeatRequest, r *protocol.HeartbeatResponse, code protocol.ErrorCode) {
	if code == protocol.CoordinatorLoadInProgress {
		code = protocol.None // nobody can know better, and the member shall not leave
	}
	r.ErrorCode = code
}

// LeaveGroup answers a LeaveGroup request.
func (c *Coordinator) LeaveGroup(ctx runtime.Context, req *protocol.LeaveGroupRequest, done func(*protocol.LeaveGroupResponse)) {
	if ctx.Version < 3 {
		req.Members = []protocol.LeaveGroupRequestMemberIdentity{{MemberId: req.MemberId}}
	}
	call := &classic.LeaveCall{Request: req, Context: ctx, Refuse: refuseLeave, Done: func(r *protocol.LeaveGroupResponse) {
		if ctx.Version < 3 {
			if r.ErrorCode == protocol.None && len(r.Members) > 0 {
				r.ErrorCode = r.Members[0].ErrorCode
			}
			r.Members = nil
		}
		done(r)
	}}
	if code := checkID(req.GroupId); code != protocol.None {
		call.Fail(code)
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func refuseLeave(q *protocol.LeaveGroupRequest, r *protocol.LeaveGroupResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	if code != protocol.UnknownMemberId {
		r.ErrorCode = code
		return
	}
	// There is no such group, and so none of the members.
	for i := range q.Members {
		r.Members = append(r.Members, protocol.LeaveGroupResponseMemberResponse{
			MemberId: q.Members[i].MemberId, GroupInstanceId: q.Members[i].GroupInstanceId, ErrorCode: code,
		})
	}
}
