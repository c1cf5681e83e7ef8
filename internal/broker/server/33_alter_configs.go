package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// alterConfigs replaces all settings of a resource. Newer clients use
// IncrementalAlterConfigs, which cannot drop what another client set meanwhile.
func (b *Broker) alterConfigs(c *call, r *protocol.AlterConfigsRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	response := &protocol.AlterConfigsResponse{}
	for i := range r.Resources {
		response.Responses = append(response.Responses, protocol.AlterConfigsResponseAlterConfigsResourceResponse{
			ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err),
			ResourceType: r.Resources[i].ResourceType, ResourceName: r.Resources[i].ResourceName,
		})
	}
	return response
}
