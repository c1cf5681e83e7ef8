package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// syncGroup gives a member its assignment, when the group's leader has made it.
func (b *Broker) syncGroup(c *call, r *protocol.SyncGroupRequest) {
	b.Groups.SyncGroup(c.context(), r, reply[protocol.SyncGroupResponse](c))
}
