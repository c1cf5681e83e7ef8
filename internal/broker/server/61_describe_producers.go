package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// describeProducers tells what partitions remember of their producers: by comparing
// that with the coordinator's memory a transaction that hangs is found (KIP-664).
func (b *Broker) describeProducers(_ *call, r *protocol.DescribeProducersRequest) protocol.Message {
	response := &protocol.DescribeProducersResponse{}
	for i := range r.Topics {
		topic := protocol.DescribeProducersResponseTopicResponse{Name: r.Topics[i].Name}
		for _, index := range r.Topics[i].PartitionIndexes {
			part := protocol.DescribeProducersResponsePartitionResponse{PartitionIndex: index}
			producers, err := b.activeProducers(topic.Name, index)
			part.ActiveProducers = producers
			part.ErrorCode, part.ErrorMessage = protocol.CodeOf(err), errorMessage(err)
			topic.Partitions = append(topic.Partitions, part)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func (b *Broker) activeProducers(topic string, index int32) ([]protocol.DescribeProducersResponseProducerState, error) {
	p, err := b.partitionFor(topic, protocol.UUID{}, index, false)
	if err != nil {
		return nil, err
	}
	producers, err := p.Log().Producers()
	if err != nil {
		return nil, err
	}
	out := make([]protocol.DescribeProducersResponseProducerState, 0, len(producers))
	for i := range producers {
		x := &producers[i]
		out = append(out, protocol.DescribeProducersResponseProducerState{
			ProducerId: x.ID, ProducerEpoch: int32(x.Epoch), LastSequence: x.LastSequence, LastTimestamp: x.LastTimestampMs,
			CoordinatorEpoch: x.CoordinatorEpoch, CurrentTxnStartOffset: x.TxnFirstOffset,
		})
	}
	return out, nil
}
