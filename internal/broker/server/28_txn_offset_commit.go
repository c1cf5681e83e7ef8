package server

import (
	"github.com/naru-stream/naru/internal/coordinator/txn"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// The first versions of TxnOffsetCommit that know TRANSACTION_ABORTABLE, and that add
// the group to the transaction by themselves (KIP-890).
const (
	abortableOffsetsVersion   = 4
	implicitAddOffsetsVersion = 5
)

// txnOffsetCommit stores how far a group has read, for when the transaction commits.
// Partitions that do not exist are refused one by one.
func (b *Broker) txnOffsetCommit(c *call, r *protocol.TxnOffsetCommitRequest) {
	var unknown []protocol.TxnOffsetCommitResponseTopic
	known := r.Topics[:0]
	for _, t := range r.Topics {
		topic := b.image().Topic(t.Name)
		refused := protocol.TxnOffsetCommitResponseTopic{Name: t.Name}
		kept := t.Partitions[:0]
		for _, p := range t.Partitions {
			if topic != nil && p.PartitionIndex >= 0 && int(p.PartitionIndex) < topic.PartitionCount() {
				kept = append(kept, p)
				continue
			}
			refused.Partitions = append(refused.Partitions, protocol.TxnOffsetCommitResponsePartition{
				PartitionIndex: p.PartitionIndex, ErrorCode: protocol.UnknownTopicOrPartition,
			})
		}
		if len(refused.Partitions) > 0 {
			unknown = append(unknown, refused)
		}
		if len(kept) > 0 {
			t.Partitions = kept
			known = append(known, t)
		}
	}
	r.Topics = known
	if len(known) == 0 {
		c.respond(&protocol.TxnOffsetCommitResponse{Topics: unknown})
		return
	}
	b.Groups.TxnOffsetCommit(c.context(), r, func(partition int32, done func(protocol.ErrorCode)) {
		b.verifyOffsets(c, r, partition, done)
	}, func(response *protocol.TxnOffsetCommitResponse) {
		response.Topics = append(response.Topics, unknown...)
		c.respond(response)
	})
}

// verifyOffsets asks the transaction coordinator whether the partition that holds the
// group's offsets takes part in the transaction.
func (b *Broker) verifyOffsets(c *call, r *protocol.TxnOffsetCommitRequest, partition int32, done func(protocol.ErrorCode)) {
	add := txn.Add{
		TransactionalID: r.TransactionalId, ProducerID: r.ProducerId, Epoch: r.ProducerEpoch,
		Partitions: []txn.TopicPartition{{Topic: offsetsTopic, Index: partition}},
		VerifyOnly: c.version() < implicitAddOffsetsVersion,
	}
	if !add.VerifyOnly {
		add.Version = 2
	} else if !b.values().Bool("transaction.partition.verification.enable") {
		done(protocol.None)
		return
	}
	add.Done = func(code protocol.ErrorCode, absent []txn.TopicPartition) {
		if len(absent) > 0 {
			code = protocol.TransactionAbortable
		}
		done(offsetsCode(code, c.version()))
	}
	b.Transactions.AddPartitions(add)
}

// offsetsCode translates the transaction coordinator's answer into what a producer
// understands that talks to a group coordinator.
func offsetsCode(code protocol.ErrorCode, version int16) protocol.ErrorCode {
	switch code {
	case protocol.ProducerFenced:
		return protocol.InvalidProducerEpoch
	case protocol.TransactionAbortable:
		if version < abortableOffsetsVersion {
			return protocol.InvalidTxnState
		}
	case protocol.ConcurrentTransactions, protocol.NetworkException, protocol.CoordinatorNotAvailable, protocol.NotCoordinator:
		// It is another coordinator than the one that the client asks: the client shall
		// not look for that one again, but come back.
		return protocol.CoordinatorLoadInProgress
	}
	return code
}
