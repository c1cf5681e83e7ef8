package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// createPartitions adds partitions to topics.
func (b *Broker) createPartitions(c *call, r *protocol.CreatePartitionsRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	response := &protocol.CreatePartitionsResponse{}
	for i := range r.Topics {
		response.Results = append(response.Results, protocol.CreatePartitionsResponseCreatePartitionsTopicResult{
			Name: r.Topics[i].Name, ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err),
		})
	}
	return response
}
