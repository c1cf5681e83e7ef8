package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// summaryVersion is the version of ReadShareGroupStateSummary that counts deliveries.
const summaryVersion = 1

// DescribeShareGroupOffsets answers a DescribeShareGroupOffsets request, in its order.
func (c *Coordinator) DescribeShareGroupOffsets(ctx runtime.Context, req *protocol.DescribeShareGroupOffsetsRequest, done func(*protocol.DescribeShareGroupOffsetsResponse)) {
	res := &protocol.DescribeShareGroupOffsetsResponse{Groups: make([]protocol.DescribeShareGroupOffsetsResponseGroup, len(req.Groups))}
	all := runtime.NewGather(len(req.Groups), func() { done(res) })
	for i := range req.Groups {
		d := &shareOffsets{c: c, ctx: ctx, names: map[protocol.UUID]string{}, out: &res.Groups[i], done: all.Done}
		d.ctx.Version = summaryVersion
		d.ask.GroupId, d.out.GroupId = req.Groups[i].GroupId, req.Groups[i].GroupId
		d.start(&req.Groups[i])
	}
}

// shareOffsets finds out how far one share group has read.
type shareOffsets struct {
	c       *Coordinator
	ctx     runtime.Context
	ask     protocol.ReadShareGroupStateSummaryRequest
	names   map[protocol.UUID]string // of the topics that are asked for
	missing []protocol.DescribeShareGroupOffsetsResponseTopic
	out     *protocol.DescribeShareGroupOffsetsResponseGroup
	done    func()
}

// start finds the partitions to ask for: those of the request, or all that the group has.
func (d *shareOffsets) start(req *protocol.DescribeShareGroupOffsetsRequestGroup) {
	topics := d.c.metadata.Load()
	if req.Topics == nil {
		var has []share.TopicPartitions
		d.c.rt.Submit(d.c.PartitionFor(req.GroupId), &shareStep{
			group: req.GroupId,
			do:    func(_ classic.Env, g *share.Group) { has = g.Partitions() },
			done: func(code protocol.ErrorCode) {
				d.out.ErrorCode = code
				for _, t := range has {
					if topic, ok := topics.TopicByID(t.ID); ok && code == protocol.None {
						d.add(t.ID, topic.Name, t.Partitions)
					}
				}
				d.read()
			},
		})
		return
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		if topic, ok := topics.Topic(t.TopicName); ok {
			d.add(topic.ID, t.TopicName, t.Partitions)
			continue
		}
		// Kafka takes a topic that is not there for one that nobody has read yet.
		missing := protocol.DescribeShareGroupOffsetsResponseTopic{TopicName: t.TopicName}
		for _, p := range t.Partitions {
			missing.Partitions = append(missing.Partitions, noShareOffset(p))
		}
		d.missing = append(d.missing, missing)
	}
	d.read()
}

func (d *shareOffsets) add(id protocol.UUID, name string, partitions []int32) {
	d.names[id] = name
	topic := protocol.ReadShareGroupStateSummaryRequestReadStateSummaryData{TopicId: id}
	for _, p := range partitions {
		topic.Partitions = append(topic.Partitions, protocol.ReadShareGroupStateSummaryRequestPartitionData{Partition: p})
	}
	d.ask.Topics = append(d.ask.Topics, topic)
}

func noShareOffset(partition int32) protocol.DescribeShareGroupOffsetsResponsePartition {
	return protocol.DescribeShareGroupOffsetsResponsePartition{PartitionIndex: partition, StartOffset: noOffset, Lag: noOffset}
}

// read asks the share coordinator. What it does not know has not been read yet.
func (d *shareOffsets) read() {
	if len(d.ask.Topics) == 0 {
		d.out.Topics = d.missing
		d.done()
		return
	}
	d.c.persister.ReadShareGroupStateSummary(d.ctx, &d.ask, func(res *protocol.ReadShareGroupStateSummaryResponse) {
		for i := range res.Results {
			r := &res.Results[i]
			out := protocol.DescribeShareGroupOffsetsResponseTopic{TopicId: r.TopicId, TopicName: d.names[r.TopicId]}
			for j := range r.Partitions {
				out.Partitions = append(out.Partitions, d.partition(out.TopicName, &r.Partitions[j]))
			}
			d.out.Topics = append(d.out.Topics, out)
		}
		d.out.Topics = append(d.out.Topics, d.missing...)
		d.done()
	})
}

// partition tells how far the group is in one partition: what is behind the start offset
// and is not delivered yet is its lag.
func (d *shareOffsets) partition(topic string, r *protocol.ReadShareGroupStateSummaryResponsePartitionResult) protocol.DescribeShareGroupOffsetsResponsePartition {
	out := noShareOffset(r.Partition)
	if r.ErrorCode != protocol.None {
		return out
	}
	out.StartOffset, out.LeaderEpoch = r.StartOffset, r.LeaderEpoch
	if r.StartOffset == noOffset || r.DeliveryCompleteCount == noOffset {
		return out
	}
	end, err := d.c.endOffset(topic, r.Partition)
	if err != nil {
		return protocol.DescribeShareGroupOffsetsResponsePartition{PartitionIndex: r.Partition, Lag: noOffset, ErrorCode: protocol.CodeOf(err)}
	}
	out.Lag = end - r.StartOffset - int64(r.DeliveryCompleteCount)
	return out
}

// shareAlterCall is an AlterShareGroupOffsets request.
type shareAlterCall struct {
	runtime.Exchange[protocol.AlterShareGroupOffsetsRequest, protocol.AlterShareGroupOffsetsResponse]
	c   *Coordinator
	ask *protocol.InitializeShareGroupStateRequest
}

// AlterShareGroupOffsets answers an AlterShareGroupOffsets request.
func (c *Coordinator) AlterShareGroupOffsets(ctx runtime.Context, req *protocol.AlterShareGroupOffsetsRequest, done func(*protocol.AlterShareGroupOffsetsResponse)) {
	call := &shareAlterCall{c: c}
	call.Request, call.Context, call.Done, call.Refuse = req, ctx, done, refuseShareAlter
	if code := checkID(req.GroupId); code != protocol.None {
		call.Fail(code)
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func refuseShareAlter(_ *protocol.AlterShareGroupOffsetsRequest, r *protocol.AlterShareGroupOffsetsResponse, code protocol.ErrorCode) {
	*r = protocol.AlterShareGroupOffsetsResponse{ErrorCode: code, ErrorMessage: invalidGroup(code)}
}

// invalidGroup is what tools print where a request names no group.
func invalidGroup(code protocol.ErrorCode) *string {
	message := "The group id is invalid."
	if code != protocol.InvalidGroupId {
		return nil
	}
	return &message
}

// Reply implements runtime.Call.
func (a *shareAlterCall) Reply() {
	if a.ask == nil {
		a.Exchange.Reply()
		return
	}
	a.c.initialize(a.Context, a.ask, func(res *protocol.InitializeShareGroupStateResponse, code protocol.ErrorCode) {
		if code != protocol.None {
			a.Fail(code)
			return
		}
		for i := range res.Results {
			a.refuse(&res.Results[i])
		}
		a.Exchange.Reply()
	})
}

// refuse takes over the errors of a topic.
func (a *shareAlterCall) refuse(r *protocol.InitializeShareGroupStateResponseInitializeStateResult) {
	errors := map[int32]*protocol.InitializeShareGroupStateResponsePartitionResult{}
	for i := range r.Partitions {
		if r.Partitions[i].ErrorCode != protocol.None {
			errors[r.Partitions[i].Partition] = &r.Partitions[i]
		}
	}
	for i := range a.Response.Responses {
		if a.Response.Responses[i].TopicId != r.TopicId {
			continue
		}
		for j := range a.Response.Responses[i].Partitions {
			p := &a.Response.Responses[i].Partitions[j]
			if e := errors[p.PartitionIndex]; e != nil && p.ErrorCode == protocol.None {
				p.ErrorCode, p.ErrorMessage = e.ErrorCode, e.ErrorMessage
			}
		}
	}
}

// shareOffsetDeleteCall is a DeleteShareGroupOffsets request.
type shareOffsetDeleteCall struct {
	runtime.Exchange[protocol.DeleteShareGroupOffsetsRequest, protocol.DeleteShareGroupOffsetsResponse]
	c   *Coordinator
	ask *protocol.DeleteShareGroupStateRequest
}

// DeleteShareGroupOffsets answers a DeleteShareGroupOffsets request.
func (c *Coordinator) DeleteShareGroupOffsets(ctx runtime.Context, req *protocol.DeleteShareGroupOffsetsRequest, done func(*protocol.DeleteShareGroupOffsetsResponse)) {
	call := &shareOffsetDeleteCall{c: c}
	call.Request, call.Context, call.Done, call.Refuse = req, ctx, done, refuseShareOffsetDelete
	if code := checkID(req.GroupId); code != protocol.None {
		call.Fail(code)
		return
	}
	c.rt.Submit(c.PartitionFor(req.GroupId), call)
}

func refuseShareOffsetDelete(_ *protocol.DeleteShareGroupOffsetsRequest, r *protocol.DeleteShareGroupOffsetsResponse, code protocol.ErrorCode) {
	*r = protocol.DeleteShareGroupOffsetsResponse{ErrorCode: code, ErrorMessage: invalidGroup(code)}
}

// Reply implements runtime.Call. What is deleted comes first in the response, as Kafka
// has it.
func (o *shareOffsetDeleteCall) Reply() {
	if o.ask == nil {
		o.Exchange.Reply()
		return
	}
	ctx := o.Context
	ctx.Version = 0
	o.c.persister.DeleteShareGroupState(ctx, o.ask, func(res *protocol.DeleteShareGroupStateResponse) {
		gone, _ := deletedTopics(res)
		topics := o.c.metadata.Load()
		var deleted []protocol.DeleteShareGroupOffsetsResponseTopic
		for i := range res.Results {
			out := protocol.DeleteShareGroupOffsetsResponseTopic{TopicId: res.Results[i].TopicId}
			topic, _ := topics.TopicByID(out.TopicId)
			out.TopicName = topic.Name
			for j := range res.Results[i].Partitions {
				if p := &res.Results[i].Partitions[j]; p.ErrorCode != protocol.None {
					out.ErrorCode, out.ErrorMessage = p.ErrorCode, p.ErrorMessage
				}
			}
			deleted = append(deleted, out)
		}
		o.Response.Responses = append(deleted, o.Response.Responses...)
		o.c.rt.Submit(o.c.PartitionFor(o.ask.GroupId), &shareStep{
			group: o.ask.GroupId,
			do:    func(env classic.Env, g *share.Group) { g.Deleted(env, gone) },
			done: func(code protocol.ErrorCode) {
				if code != protocol.None {
					o.Fail(code)
					return
				}
				o.Exchange.Reply()
			},
		})
	})
}
