package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// incrementalAlterConfigs changes single settings of a resource (KIP-339).
func (b *Broker) incrementalAlterConfigs(c *call, r *protocol.IncrementalAlterConfigsRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	response := &protocol.IncrementalAlterConfigsResponse{}
	for i := range r.Resources {
		response.Responses = append(response.Responses, protocol.IncrementalAlterConfigsResponseAlterConfigsResourceResponse{
			ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err),
			ResourceType: r.Resources[i].ResourceType, ResourceName: r.Resources[i].ResourceName,
		})
	}
	return response
}
