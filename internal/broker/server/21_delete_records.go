package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// highWatermarkOffset asks for everything up to the high watermark.
const highWatermarkOffset = -1

// deleteRecords moves partitions' log start forward.
func (b *Broker) deleteRecords(_ *call, r *protocol.DeleteRecordsRequest) protocol.Message {
	response := &protocol.DeleteRecordsResponse{}
	for i := range r.Topics {
		t := &r.Topics[i]
		out := protocol.DeleteRecordsResponseDeleteRecordsTopicResult{Name: t.Name}
		for _, asked := range t.Partitions {
			low, err := b.deleteRecordsBefore(t.Name, asked.PartitionIndex, asked.Offset)
			out.Partitions = append(out.Partitions, protocol.DeleteRecordsResponseDeleteRecordsPartitionResult{
				PartitionIndex: asked.PartitionIndex, LowWatermark: low, ErrorCode: protocol.CodeOf(err),
			})
		}
		response.Topics = append(response.Topics, out)
	}
	return response
}

func (b *Broker) deleteRecordsBefore(topic string, index int32, offset int64) (lowWatermark int64, err error) {
	const none = -1
	if isInternal(topic) {
		return none, protocol.InvalidTopicException
	}
	p, err := b.partitionFor(topic, protocol.UUID{}, index, false)
	if err != nil {
		return none, err
	}
	if !p.Config().Deletes() {
		return none, protocol.PolicyViolation
	}
	end := p.HighWatermark()
	if offset == highWatermarkOffset {
		offset = end
	}
	if offset < 0 || offset > end {
		return none, protocol.OffsetOutOfRange
	}
	if err := p.DeleteRecordsBefore(offset); err != nil {
		return none, err
	}
	return p.Log().LogStartOffset(), nil
}
