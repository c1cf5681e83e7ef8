package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// electLeaders lets the preferred replicas of partitions lead again, or any live
// replica where no in-sync one is left (KIP-460).
func (b *Broker) electLeaders(c *call, r *protocol.ElectLeadersRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	return &protocol.ElectLeadersResponse{ErrorCode: protocol.CodeOf(err)}
}
