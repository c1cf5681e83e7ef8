package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// shareGroupHeartbeat keeps a member in its share group and tells it what to consume
// (KIP-932).
func (b *Broker) shareGroupHeartbeat(c *call, r *protocol.ShareGroupHeartbeatRequest) {
	if !b.servesShareGroups() {
		c.respond(&protocol.ShareGroupHeartbeatResponse{ErrorCode: protocol.UnsupportedVersion})
		return
	}
	if err := b.ensureShareState(r.GroupId != "" && len(r.SubscribedTopicNames) > 0); err != nil {
		c.respond(&protocol.ShareGroupHeartbeatResponse{ErrorCode: protocol.CoordinatorNotAvailable, ErrorMessage: errorMessage(err)})
		return
	}
	b.Groups.ShareGroupHeartbeat(c.context(), r, reply[protocol.ShareGroupHeartbeatResponse](c))
}

// ensureShareState makes the topic that the share coordinator keeps its state in, if it
// is needed now.
func (b *Broker) ensureShareState(needed bool) error {
	if !needed {
		return nil
	}
	_, err := b.ensureInternalTopic(shareStateTopic)
	return err
}

// servesShareGroups tells whether the cluster has settled on share groups. As in Kafka,
// group.coordinator.rebalance.protocols has no say in that.
func (b *Broker) servesShareGroups() bool { return b.image().Feature("share.version") > 0 }
