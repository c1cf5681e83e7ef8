package server

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// consumerGroupHeartbeat keeps a member in its consumer group and tells it what to
// consume (KIP-848).
func (b *Broker) consumerGroupHeartbeat(c *call, r *protocol.ConsumerGroupHeartbeatRequest) {
	if !b.servesConsumerGroups() {
		c.respond(&protocol.ConsumerGroupHeartbeatResponse{ErrorCode: protocol.UnsupportedVersion})
		return
	}
	b.Groups.ConsumerGroupHeartbeat(c.context(), r, reply[protocol.ConsumerGroupHeartbeatResponse](c))
}

// servesConsumerGroups tells whether the cluster has settled on the consumer protocol
// and the settings allow it.
func (b *Broker) servesConsumerGroups() bool {
	return b.image().Feature("group.version") > 0 && slices.Contains(b.Static.List("group.coordinator.rebalance.protocols"), "consumer")
}
