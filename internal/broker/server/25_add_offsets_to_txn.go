package server

import (
	"github.com/naru-stream/naru/internal/coordinator/txn"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// addOffsetsToTxn lets the partition that holds a group's offsets take part in a
// transaction.
func (b *Broker) addOffsetsToTxn(c *call, r *protocol.AddOffsetsToTxnRequest) {
	answer := func(code protocol.ErrorCode) {
		c.respond(&protocol.AddOffsetsToTxnResponse{ErrorCode: fencedCode(code, c.version() >= 2)})
	}
	if r.GroupId == "" {
		answer(protocol.InvalidGroupId)
		return
	}
	if _, err := b.ensureInternalTopic(offsetsTopic); err != nil {
		answer(protocol.CoordinatorNotAvailable)
		return
	}
	b.Transactions.AddPartitions(txn.Add{
		TransactionalID: r.TransactionalId, ProducerID: r.ProducerId, Epoch: r.ProducerEpoch,
		Partitions: []txn.TopicPartition{{Topic: offsetsTopic, Index: b.Groups.PartitionFor(r.GroupId)}},
		Done:       func(code protocol.ErrorCode, _ []txn.TopicPartition) { answer(code) },
	})
}
