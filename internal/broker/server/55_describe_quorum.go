package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// describeQuorum tells who leads the metadata quorum and how far its members are.
func (b *Broker) describeQuorum(c *call, r *protocol.DescribeQuorumRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err != nil {
		return &protocol.DescribeQuorumResponse{ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err)}
	}
	return m
}
