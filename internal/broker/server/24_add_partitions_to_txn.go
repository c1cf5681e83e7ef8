package server

import (
	"sync/atomic"

	"github.com/naru-stream/naru/internal/coordinator/txn"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// addPartitionsToTxn lets partitions take part in transactions. Up to version 3 a
// client sends it for its own; from version 4 brokers send it for many, also to verify.
func (b *Broker) addPartitionsToTxn(c *call, r *protocol.AddPartitionsToTxnRequest) {
	response := &protocol.AddPartitionsToTxnResponse{}
	if c.version() < 4 {
		asked := protocol.AddPartitionsToTxnRequestAddPartitionsToTxnTransaction{
			TransactionalId: r.V3AndBelowTransactionalId, ProducerId: r.V3AndBelowProducerId,
			ProducerEpoch: r.V3AndBelowProducerEpoch, Topics: r.V3AndBelowTopics,
		}
		b.addToTxn(c, &asked, func(result protocol.AddPartitionsToTxnResponseAddPartitionsToTxnResult) {
			response.ResultsByTopicV3AndBelow = result.TopicResults
			c.respond(response)
		})
		return
	}
	response.ResultsByTransaction = make([]protocol.AddPartitionsToTxnResponseAddPartitionsToTxnResult, len(r.Transactions))
	var left atomic.Int32
	left.Store(int32(len(r.Transactions)) + 1)
	done := func() {
		if left.Add(-1) == 0 {
			c.respond(response)
		}
	}
	for i := range r.Transactions {
		b.addToTxn(c, &r.Transactions[i], func(result protocol.AddPartitionsToTxnResponseAddPartitionsToTxnResult) {
			response.ResultsByTransaction[i] = result
			done()
		})
	}
	done()
}

// addToTxn handles one transaction of the request.
func (b *Broker) addToTxn(c *call, asked *protocol.AddPartitionsToTxnRequestAddPartitionsToTxnTransaction,
	done func(protocol.AddPartitionsToTxnResponseAddPartitionsToTxnResult)) {
	add := txn.Add{
		TransactionalID: asked.TransactionalId, ProducerID: asked.ProducerId, Epoch: asked.ProducerEpoch, VerifyOnly: asked.VerifyOnly,
	}
	if c.version() >= 4 {
		add.Version = 2
	}
	unknown := map[txn.TopicPartition]bool{}
	for i := range asked.Topics {
		topic := b.image().Topic(asked.Topics[i].Name)
		for _, index := range asked.Topics[i].Partitions {
			p := txn.TopicPartition{Topic: asked.Topics[i].Name, Index: index}
			if topic == nil || index < 0 || int(index) >= topic.PartitionCount() {
				unknown[p] = true
			} else {
				add.Partitions = append(add.Partitions, p)
			}
		}
	}
	if len(unknown) > 0 {
		// All or nothing.
		done(addResult(asked, func(p txn.TopicPartition) protocol.ErrorCode {
			if unknown[p] {
				return protocol.UnknownTopicOrPartition
			}
			return protocol.OperationNotAttempted
		}))
		return
	}
	add.Done = func(code protocol.ErrorCode, absent []txn.TopicPartition) {
		code = fencedCode(code, c.version() >= 2)
		missing := map[txn.TopicPartition]bool{}
		for _, p := range absent {
			missing[p] = true
		}
		done(addResult(asked, func(p txn.TopicPartition) protocol.ErrorCode {
			if missing[p] {
				return abortableCode(c.version())
			}
			return code
		}))
	}
	b.Transactions.AddPartitions(add)
}

// abortableCode is what a verification says of a partition that takes no part.
func abortableCode(version int16) protocol.ErrorCode {
	if version >= 5 {
		return protocol.TransactionAbortable
	}
	return protocol.InvalidTxnState
}

func addResult(asked *protocol.AddPartitionsToTxnRequestAddPartitionsToTxnTransaction,
	codeOf func(txn.TopicPartition) protocol.ErrorCode) protocol.AddPartitionsToTxnResponseAddPartitionsToTxnResult {
	result := protocol.AddPartitionsToTxnResponseAddPartitionsToTxnResult{TransactionalId: asked.TransactionalId}
	for i := range asked.Topics {
		topic := protocol.AddPartitionsToTxnResponseAddPartitionsToTxnTopicResult{Name: asked.Topics[i].Name}
		for _, index := range asked.Topics[i].Partitions {
			topic.ResultsByPartition = append(topic.ResultsByPartition, protocol.AddPartitionsToTxnResponseAddPartitionsToTxnPartitionResult{
				PartitionIndex: index, PartitionErrorCode: int16(codeOf(txn.TopicPartition{Topic: topic.Name, Index: index})),
			})
		}
		result.TopicResults = append(result.TopicResults, topic)
	}
	return result
}
