package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// heartbeat keeps a member in its group.
func (b *Broker) heartbeat(c *call, r *protocol.HeartbeatRequest) {
	b.Groups.Heartbeat(c.context(), r, reply[protocol.HeartbeatResponse](c))
}
