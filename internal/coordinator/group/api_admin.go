package group

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// ListGroups answers a ListGroups request for the groups this node coordinates.
func (c *Coordinator) ListGroups(ctx runtime.Context, req *protocol.ListGroupsRequest, done func(*protocol.ListGroupsResponse)) {
	partitions := c.rt.Partitions()
	parts := make([]*protocol.ListGroupsResponse, len(partitions))
	all := runtime.NewGather(len(partitions), func() { done(joinLists(parts)) })
	for i, partition := range partitions {
		call := &listCall{Request: req, Context: ctx, Refuse: refuseList, Done: func(r *protocol.ListGroupsResponse) {
			parts[i] = r
			all.Done()
		}}
		c.rt.Submit(partition, call)
	}
}

func refuseList(_ *protocol.ListGroupsRequest, r *protocol.ListGroupsResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ErrorCode = code
}

// joinLists puts the partitions' lists together. A partition that has just moved away
// is listed by its new leader.
func joinLists(parts []*protocol.ListGroupsResponse) *protocol.ListGroupsResponse {
	out := &protocol.ListGroupsResponse{}
	for _, part := range parts {
		switch part.ErrorCode {
		case protocol.None:
			out.Groups = append(out.Groups, part.Groups...)
		case protocol.NotCoordinator:
		default:
			return &protocol.ListGroupsResponse{ErrorCode: part.ErrorCode}
		}
	}
	slices.SortFunc(out.Groups, func(a, b protocol.ListGroupsResponseListedGroup) int {
		return strings.Compare(a.GroupId, b.GroupId)
	})
	return out
}

// DescribeGroups answers a DescribeGroups request, in its order.
func (c *Coordinator) DescribeGroups(ctx runtime.Context, req *protocol.DescribeGroupsRequest, done func(*protocol.DescribeGroupsResponse)) {
	res := &protocol.DescribeGroupsResponse{Groups: make([]protocol.DescribeGroupsResponseDescribedGroup, len(req.Groups))}
	parts := c.split(req.Groups)
	all := runtime.NewGather(len(parts), func() { done(res) })
	for _, part := range parts {
		call := &describeCall{
			Request: &protocol.DescribeGroupsRequest{Groups: part.groups}, Context: ctx, Refuse: refuseDescribe,
			Done: func(r *protocol.DescribeGroupsResponse) {
				for i, at := range part.at {
					res.Groups[at] = r.Groups[i]
				}
				all.Done()
			},
		}
		c.rt.Submit(part.partition, call)
	}
}

func refuseDescribe(q *protocol.DescribeGroupsRequest, r *protocol.DescribeGroupsResponse, code protocol.ErrorCode) {
	r.Groups = make([]protocol.DescribeGroupsResponseDescribedGroup, len(q.Groups))
	for i, id := range q.Groups {
		r.Groups[i].SetDefaults()
		r.Groups[i].GroupId, r.Groups[i].ErrorCode = id, code
	}
}

// DeleteGroups answers a DeleteGroups request, in its order.
func (c *Coordinator) DeleteGroups(ctx runtime.Context, req *protocol.DeleteGroupsRequest, done func(*protocol.DeleteGroupsResponse)) {
	res := &protocol.DeleteGroupsResponse{Results: make([]protocol.DeleteGroupsResponseDeletableGroupResult, len(req.GroupsNames))}
	parts := c.split(req.GroupsNames)
	all := runtime.NewGather(len(parts), func() { done(res) })
	for _, part := range parts {
		call := &deleteGroupsCall{c: c}
		call.deleteCall = deleteCall{
			Request: &protocol.DeleteGroupsRequest{GroupsNames: part.groups}, Context: ctx, Refuse: refuseDelete,
			Done: func(r *protocol.DeleteGroupsResponse) {
				for i, at := range part.at {
					res.Results[at] = r.Results[i]
				}
				all.Done()
			},
		}
		c.rt.Submit(part.partition, call)
	}
}

func refuseDelete(q *protocol.DeleteGroupsRequest, r *protocol.DeleteGroupsResponse, code protocol.ErrorCode) {
	r.Results = make([]protocol.DeleteGroupsResponseDeletableGroupResult, len(q.GroupsNames))
	for i, id := range q.GroupsNames {
		r.Results[i].GroupId, r.Results[i].ErrorCode = id, code
	}
}

// part is the groups of one partition and their places in the request.
type part struct {
	partition int32
	groups    []string
	at        []int
}

func (c *Coordinator) split(groups []string) []*part {
	var parts []*part
	byPartition := make(map[int32]*part)
	for i, id := range groups {
		partition := c.PartitionFor(id)
		p := byPartition[partition]
		if p == nil {
			p = &part{partition: partition}
			byPartition[partition] = p
			parts = append(parts, p)
		}
		p.groups = append(p.groups, id)
		p.at = append(p.at, i)
	}
	return parts
}
