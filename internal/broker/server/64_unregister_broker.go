package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// unregisterBroker makes the cluster forget a broker that will not come back.
func (b *Broker) unregisterBroker(c *call, r *protocol.UnregisterBrokerRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	return &protocol.UnregisterBrokerResponse{ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err)}
}
