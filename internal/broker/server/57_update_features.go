package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// updateFeatures changes which levels of features the cluster has settled on
// (KIP-584).
func (b *Broker) updateFeatures(c *call, r *protocol.UpdateFeaturesRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	return &protocol.UpdateFeaturesResponse{ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err)}
}
