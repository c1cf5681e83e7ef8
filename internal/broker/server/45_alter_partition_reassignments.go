package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// alterPartitionReassignments moves partitions to other brokers, or calls such a
// move off (KIP-455).
func (b *Broker) alterPartitionReassignments(c *call, r *protocol.AlterPartitionReassignmentsRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	return &protocol.AlterPartitionReassignmentsResponse{
		AllowReplicationFactorChange: r.AllowReplicationFactorChange, ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err),
	}
}
