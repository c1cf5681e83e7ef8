package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// joinGroup lets a member join its group; it answers when the rebalance is over.
func (b *Broker) joinGroup(c *call, r *protocol.JoinGroupRequest) {
	b.Groups.JoinGroup(c.context(), r, reply[protocol.JoinGroupResponse](c))
}
