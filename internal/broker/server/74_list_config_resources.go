package server

import (
	"slices"
	"strconv"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// listConfigResources names what has settings (KIP-1142): from v1 of any type,
// before that client metrics subscriptions only.
func (b *Broker) listConfigResources(c *call, r *protocol.ListConfigResourcesRequest) protocol.Message {
	response := &protocol.ListConfigResourcesResponse{}
	all := []int8{metadata.ResourceTopic, metadata.ResourceBroker, metadata.ResourceBrokerLogger, metadata.ResourceClientMetrics, metadata.ResourceGroup}
	types := r.ResourceTypes
	switch {
	case c.version() == 0:
		types = []int8{metadata.ResourceClientMetrics}
	case len(types) == 0:
		types = all
	}
	image := b.image()
	add := func(kind int8, name string) {
		response.ConfigResources = append(response.ConfigResources, protocol.ListConfigResourcesResponseConfigResource{
			ResourceName: name, ResourceType: kind,
		})
	}
	for _, kind := range types {
		if !slices.Contains(all, kind) {
			return &protocol.ListConfigResourcesResponse{ErrorCode: protocol.UnsupportedVersion}
		}
		switch kind {
		case metadata.ResourceTopic:
			for t := range image.Topics() {
				add(kind, t.Name)
			}
		case metadata.ResourceBroker, metadata.ResourceBrokerLogger:
			for _, node := range image.Brokers() {
				add(kind, strconv.Itoa(int(node.ID)))
			}
		default:
			for resource := range image.Configs() {
				if resource.Type == kind && resource.Name != "" {
					add(kind, resource.Name)
				}
			}
		}
	}
	return response
}
