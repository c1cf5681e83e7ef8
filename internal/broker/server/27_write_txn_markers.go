package server

import (
	"sync/atomic"

	"github.com/naru-stream/naru/internal/coordinator/txn"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// writeTxnMarkers ends transactions in partitions that this broker leads, for the
// coordinator on another broker or for an administrator whose transaction hangs.
func (b *Broker) writeTxnMarkers(c *call, r *protocol.WriteTxnMarkersRequest) {
	response := &protocol.WriteTxnMarkersResponse{}
	response.Markers = make([]protocol.WriteTxnMarkersResponseWritableTxnMarkerResult, len(r.Markers))
	var left atomic.Int32
	left.Store(1)
	done := func() {
		if left.Add(-1) == 0 {
			c.respond(response)
		}
	}
	participants := &Participants{Replicas: b.Replicas, Groups: b.Groups, Metadata: b.Metadata}
	for i := range r.Markers {
		asked, result := &r.Markers[i], &response.Markers[i]
		result.ProducerId = asked.ProducerId
		result.Topics = make([]protocol.WriteTxnMarkersResponseWritableTxnMarkerTopicResult, len(asked.Topics))
		m := txn.Marker{
			ProducerID: asked.ProducerId, Epoch: asked.ProducerEpoch, CoordinatorEpoch: asked.CoordinatorEpoch,
			Commit: asked.TransactionResult, Version: int16(asked.TransactionVersion),
		}
		for j := range asked.Topics {
			topic := &asked.Topics[j]
			result.Topics[j].Name = topic.Name
			partitions := make([]protocol.WriteTxnMarkersResponseWritableTxnMarkerPartitionResult, len(topic.PartitionIndexes))
			result.Topics[j].Partitions = partitions
			left.Add(int32(len(partitions)))
			for k, index := range topic.PartitionIndexes {
				partitions[k].PartitionIndex = index
				participants.write(m, txn.TopicPartition{Topic: topic.Name, Index: index}, func(err error) {
					partitions[k].ErrorCode = protocol.CodeOf(err)
					done()
				})
			}
		}
	}
	done()
}
