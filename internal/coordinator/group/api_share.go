package group

import (
	"fmt"
	"unicode/utf16"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// maxShareMemberID is how long the id of a member of a share group may be: a UUID.
const maxShareMemberID = 36

// Persister is the share coordinator as groups see it: it keeps the state of share
// partitions. The methods do not block and call done once, from any goroutine.
type Persister interface {
	InitializeShareGroupState(ctx runtime.Context, req *protocol.InitializeShareGroupStateRequest, done func(*protocol.InitializeShareGroupStateResponse))
	DeleteShareGroupState(ctx runtime.Context, req *protocol.DeleteShareGroupStateRequest, done func(*protocol.DeleteShareGroupStateResponse))
	ReadShareGroupStateSummary(ctx runtime.Context, req *protocol.ReadShareGroupStateSummaryRequest, done func(*protocol.ReadShareGroupStateSummaryResponse))
}

// shareHeartbeatCall is a heartbeat, after which the share coordinator may have to be
// asked to initialize partitions. The member does not wait for that.
type shareHeartbeatCall struct {
	share.HeartbeatCall
	c   *Coordinator
	ask *protocol.InitializeShareGroupStateRequest
}

// Reply implements runtime.Call. The share coordinator is asked first: whatever the
// member lets follow, the end of the group even, comes after that. It is not told who
// asks, for it may need longer than the request lives.
func (h *shareHeartbeatCall) Reply() {
	if h.ask != nil {
		h.c.initialize(runtime.Context{}, h.ask, func(*protocol.InitializeShareGroupStateResponse, protocol.ErrorCode) {})
	}
	h.HeartbeatCall.Reply()
}

// initialize asks the share coordinator and lets the group know the answer. code tells
// whether the group could take it in. If not, the group will ask again.
func (c *Coordinator) initialize(ctx runtime.Context, req *protocol.InitializeShareGroupStateRequest,
	done func(res *protocol.InitializeShareGroupStateResponse, code protocol.ErrorCode)) {
	ctx.Version = 0
	c.persister.InitializeShareGroupState(ctx, req, func(res *protocol.InitializeShareGroupStateResponse) {
		c.rt.Submit(c.PartitionFor(req.GroupId), &shareStep{
			group: req.GroupId,
			do:    func(env classic.Env, g *share.Group) { g.Initialized(env, res.Results) },
			done:  func(code protocol.ErrorCode) { done(res, code) },
		})
	})
}

// ShareGroupHeartbeat answers a ShareGroupHeartbeat request.
func (c *Coordinator) ShareGroupHeartbeat(ctx runtime.Context, req *protocol.ShareGroupHeartbeatRequest, done func(*protocol.ShareGroupHeartbeatResponse)) {
	call := &shareHeartbeatCall{c: c}
	call.HeartbeatCall = share.HeartbeatCall{Request: req, Context: ctx, Done: done, Refuse: refuseShareHeartbeat}
	call.Response.SetDefaults()
	if len(ctx.ClientID) > classic.MaxNameBytes {
		call.Context.ClientID = ctx.ClientID[:classic.MaxNameBytes]
	}
	if wrong := checkShareHeartbeat(req); wrong != "" {
		call.Response.ErrorCode, call.Response.ErrorMessage = protocol.InvalidRequest, &wrong
		call.Reply()
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

// checkShareHeartbeat tells what is wrong with the form of a request.
func checkShareHeartbeat(req *protocol.ShareGroupHeartbeatRequest) string {
	switch {
	case req.MemberId == "" || len(utf16.Encode([]rune(req.MemberId))) > maxShareMemberID:
		return "Invalid member id in the request."
	case req.GroupId == "":
		return "GroupId can't be empty."
	case isBlank(req.RackId):
		return "RackId can't be empty."
	case longest(req.GroupId, orEmpty(req.RackId)) > classic.MaxNameBytes:
		return fmt.Sprintf("Names of more than %d bytes are not allowed.", classic.MaxNameBytes)
	case req.MemberEpoch == 0 && len(req.SubscribedTopicNames) == 0:
		return "SubscribedTopicNames must be set in first request."
	case req.MemberEpoch < -1:
		return "MemberEpoch is invalid."
	}
	return ""
}

func refuseShareHeartbeat(_ *protocol.ShareGroupHeartbeatRequest, r *protocol.ShareGroupHeartbeatResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ErrorCode = code
}

// ShareGroupDescribe answers a ShareGroupDescribe request, in its order.
func (c *Coordinator) ShareGroupDescribe(ctx runtime.Context, req *protocol.ShareGroupDescribeRequest, done func(*protocol.ShareGroupDescribeResponse)) {
	res := &protocol.ShareGroupDescribeResponse{Groups: make([]protocol.ShareGroupDescribeResponseDescribedGroup, len(req.GroupIds))}
	parts := c.split(req.GroupIds)
	all := runtime.NewGather(len(parts), func() { done(res) })
	for _, part := range parts {
		call := &shareDescribeCall{
			Request: &protocol.ShareGroupDescribeRequest{GroupIds: part.groups}, Context: ctx, Refuse: refuseShareDescribe,
			Done: func(r *protocol.ShareGroupDescribeResponse) {
				for i, at := range part.at {
					if res.Groups[at] = r.Groups[i]; r.Groups[i].GroupId == "" {
						res.Groups[at].ErrorCode, res.Groups[at].ErrorMessage = protocol.InvalidGroupId, nil
					}
				}
				all.Done()
			},
		}
		c.rt.Submit(part.partition, call)
	}
}

func refuseShareDescribe(q *protocol.ShareGroupDescribeRequest, r *protocol.ShareGroupDescribeResponse, code protocol.ErrorCode) {
	r.Groups = make([]protocol.ShareGroupDescribeResponseDescribedGroup, len(q.GroupIds))
	for i, id := range q.GroupIds {
		r.Groups[i].SetDefaults()
		r.Groups[i].GroupId, r.Groups[i].ErrorCode = id, code
	}
}

// stateDeletion is what the share coordinator has to delete before the group at that
// place of a request can go.
type stateDeletion struct {
	at  int
	ask *protocol.DeleteShareGroupStateRequest
}

// deleteGroupsCall is a DeleteGroups request for groups of one partition. Of share groups,
// the state is deleted first.
type deleteGroupsCall struct {
	deleteCall
	c         *Coordinator
	confirmed bool // the state that was to be deleted is
	asks      []stateDeletion
}

// Reply implements runtime.Call.
func (d *deleteGroupsCall) Reply() {
	all := runtime.NewGather(len(d.asks)+1, d.deleteCall.Reply)
	for _, s := range d.asks {
		result := &d.Response.Results[s.at]
		ctx := d.Context
		ctx.Version = 0
		d.c.persister.DeleteShareGroupState(ctx, s.ask, func(res *protocol.DeleteShareGroupStateResponse) {
			if _, result.ErrorCode = deletedTopics(res); result.ErrorCode != protocol.None {
				all.Done()
				return
			}
			rest := &deleteGroupsCall{c: d.c, confirmed: true}
			rest.deleteCall = deleteCall{
				Request: &protocol.DeleteGroupsRequest{GroupsNames: []string{s.ask.GroupId}}, Context: d.Context, Refuse: refuseDelete,
				Done: func(r *protocol.DeleteGroupsResponse) {
					result.ErrorCode = r.Results[0].ErrorCode
					all.Done()
				},
			}
			d.c.rt.Submit(d.c.PartitionFor(s.ask.GroupId), rest)
		})
	}
	all.Done()
}

// deletedTopics returns the topics of which everything was deleted, and the last error of
// the others.
func deletedTopics(res *protocol.DeleteShareGroupStateResponse) (gone []protocol.UUID, code protocol.ErrorCode) {
	for i := range res.Results {
		failed := protocol.None
		for j := range res.Results[i].Partitions {
			if p := &res.Results[i].Partitions[j]; p.ErrorCode != protocol.None {
				failed = p.ErrorCode
			}
		}
		if failed == protocol.None {
			gone = append(gone, res.Results[i].TopicId)
		} else {
			code = failed
		}
	}
	return gone, code
}
