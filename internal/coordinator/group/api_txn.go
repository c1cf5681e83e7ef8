package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// implicitAddVersion is the first version of TxnOffsetCommit that adds the group to the
// transaction by itself (KIP-890). There every end raises the epoch, so that what an end
// has overtaken is refused by that.
const implicitAddVersion = 5

// TxnOffsetCommit answers a TxnOffsetCommit request for topics that exist. verify asks
// the transaction coordinator whether the partition of the group takes part in the
// transaction, or makes it take part, and calls done once.
func (c *Coordinator) TxnOffsetCommit(ctx runtime.Context, req *protocol.TxnOffsetCommitRequest,
	verify func(partition int32, done func(protocol.ErrorCode)), done func(*protocol.TxnOffsetCommitResponse)) {
	call := &stageCall{guarded: ctx.Version < implicitAddVersion}
	call.Exchange = runtime.Exchange[protocol.TxnOffsetCommitRequest, protocol.TxnOffsetCommitResponse]{
		Request: req, Context: ctx, Done: done, Refuse: refuseStage,
	}
	if req.GroupId == "" || len(req.GroupId) > classic.MaxNameBytes {
		call.Fail(protocol.InvalidGroupId)
		return
	}
	partition := c.PartitionFor(req.GroupId)
	c.rt.Submit(partition, &guardCall{
		failed: call.Fail,
		done: func(ends uint64) {
			call.guard = ends
			verify(partition, func(code protocol.ErrorCode) {
				if code != protocol.None {
					call.Fail(code)
					return
				}
				c.rt.Submit(partition, call)
			})
		},
	})
}

func refuseStage(q *protocol.TxnOffsetCommitRequest, r *protocol.TxnOffsetCommitResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.Topics = make([]protocol.TxnOffsetCommitResponseTopic, len(q.Topics))
	for i := range q.Topics {
		topic := &q.Topics[i]
		partitions := make([]protocol.TxnOffsetCommitResponsePartition, len(topic.Partitions))
		for j := range topic.Partitions {
			partitions[j] = protocol.TxnOffsetCommitResponsePartition{PartitionIndex: topic.Partitions[j].PartitionIndex, ErrorCode: code}
		}
		r.Topics[i] = protocol.TxnOffsetCommitResponseTopic{Name: topic.Name, Partitions: partitions}
	}
}

// EndTransaction writes a marker into a partition of __consumer_offsets. The outcome
// goes to end.Done.
func (c *Coordinator) EndTransaction(partition int32, end End) {
	c.rt.Submit(partition, &endCall{End: end})
}
