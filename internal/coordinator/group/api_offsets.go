package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// OffsetCommit answers an OffsetCommit request. Topics have their names, also where
// the client gave ids.
func (c *Coordinator) OffsetCommit(ctx runtime.Context, req *protocol.OffsetCommitRequest, done func(*protocol.OffsetCommitResponse)) {
	call := &commitCall{Request: req, Context: ctx, Done: done, Refuse: refuseCommit}
	if len(req.GroupId) > classic.MaxNameBytes {
		call.Fail(protocol.InvalidGroupId)
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func refuseCommit(q *protocol.OffsetCommitRequest, r *protocol.OffsetCommitResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.Topics = make([]protocol.OffsetCommitResponseTopic, len(q.Topics))
	for i := range q.Topics {
		topic := &q.Topics[i]
		partitions := make([]protocol.OffsetCommitResponsePartition, len(topic.Partitions))
		for j := range topic.Partitions {
			partitions[j] = protocol.OffsetCommitResponsePartition{
				PartitionIndex: topic.Partitions[j].PartitionIndex, ErrorCode: code,
			}
		}
		r.Topics[i] = protocol.OffsetCommitResponseTopic{Name: topic.Name, TopicId: topic.TopicId, Partitions: partitions}
	}
}

// OffsetFetch answers an OffsetFetch request of any version. Topics have their names,
// also where the client gave ids; of offsets that were not asked for by topic the
// response has names only. An offset that was committed for another topic id than the
// one in the request, if both are there, does not count.
func (c *Coordinator) OffsetFetch(ctx runtime.Context, req *protocol.OffsetFetchRequest, done func(*protocol.OffsetFetchResponse)) {
	groups := req.Groups
	if ctx.Version < 8 {
		groups = []protocol.OffsetFetchRequestGroup{singleGroup(req, ctx.Version)}
	}
	res := &protocol.OffsetFetchResponse{}
	res.SetDefaults()
	res.Groups = make([]protocol.OffsetFetchResponseGroup, len(groups))
	all := runtime.NewGather(len(groups), func() {
		if ctx.Version < 8 {
			flatten(req, res, ctx.Version)
		}
		done(res)
	})
	for i := range groups {
		c.fetchGroup(ctx, &groups[i], req.RequireStable, func(r *protocol.OffsetFetchResponseGroup) {
			res.Groups[i] = *r
			all.Done()
		})
	}
}

func (c *Coordinator) fetchGroup(ctx runtime.Context, req *protocol.OffsetFetchRequestGroup, requireStable bool, done func(*protocol.OffsetFetchResponseGroup)) {
	call := &fetchCall{requireStable: requireStable}
	call.Exchange = runtime.Exchange[protocol.OffsetFetchRequestGroup, protocol.OffsetFetchResponseGroup]{
		Request: req, Context: ctx, Done: done, Refuse: refuseFetch,
	}
	if len(req.GroupId) > classic.MaxNameBytes {
		call.Fail(protocol.InvalidGroupId)
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func refuseFetch(q *protocol.OffsetFetchRequestGroup, r *protocol.OffsetFetchResponseGroup, code protocol.ErrorCode) {
	if code == protocol.CoordinatorNotAvailable {
		// Consumers do not retry that one here; they look for the coordinator again.
		code = protocol.NotCoordinator
	}
	r.SetDefaults()
	r.GroupId, r.ErrorCode = q.GroupId, code
}

// singleGroup is the request of versions before 8 in the form of the later ones.
func singleGroup(req *protocol.OffsetFetchRequest, version int16) protocol.OffsetFetchRequestGroup {
	g := protocol.OffsetFetchRequestGroup{GroupId: req.GroupId, MemberEpoch: -1}
	if req.Topics == nil && version >= 2 {
		return g
	}
	g.Topics = make([]protocol.OffsetFetchRequestTopics, len(req.Topics))
	for i := range req.Topics {
		g.Topics[i].Name, g.Topics[i].PartitionIndexes = req.Topics[i].Name, req.Topics[i].PartitionIndexes
	}
	return g
}

// flatten gives the response the form of the versions before 8. Before version 2 an
// error can only be told partition by partition.
func flatten(req *protocol.OffsetFetchRequest, res *protocol.OffsetFetchResponse, version int16) {
	g := res.Groups[0]
	res.Groups = nil
	res.ErrorCode = g.ErrorCode
	if version < 2 && g.ErrorCode != protocol.None {
		none := ""
		for i := range req.Topics {
			topic := protocol.OffsetFetchResponseTopic{Name: req.Topics[i].Name}
			for _, p := range req.Topics[i].PartitionIndexes {
				topic.Partitions = append(topic.Partitions, protocol.OffsetFetchResponsePartition{
					PartitionIndex: p, CommittedOffset: noOffset, CommittedLeaderEpoch: -1, Metadata: &none, ErrorCode: g.ErrorCode,
				})
			}
			res.Topics = append(res.Topics, topic)
		}
		return
	}
	res.Topics = make([]protocol.OffsetFetchResponseTopic, len(g.Topics))
	for i := range g.Topics {
		partitions := make([]protocol.OffsetFetchResponsePartition, len(g.Topics[i].Partitions))
		for j, p := range g.Topics[i].Partitions {
			partitions[j] = protocol.OffsetFetchResponsePartition(p)
		}
		res.Topics[i] = protocol.OffsetFetchResponseTopic{Name: g.Topics[i].Name, Partitions: partitions}
	}
}

// OffsetDelete answers an OffsetDelete request for topics that exist.
func (c *Coordinator) OffsetDelete(ctx runtime.Context, req *protocol.OffsetDeleteRequest, done func(*protocol.OffsetDeleteResponse)) {
	call := &offsetDeleteCall{Request: req, Context: ctx, Done: done, Refuse: refuseOffsetDelete}
	if code := checkID(req.GroupId); code != protocol.None {
		call.Fail(code)
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func refuseOffsetDelete(_ *protocol.OffsetDeleteRequest, r *protocol.OffsetDeleteResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ErrorCode = code
}
