package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// leaveGroup takes members out of their group.
func (b *Broker) leaveGroup(c *call, r *protocol.LeaveGroupRequest) {
	b.Groups.LeaveGroup(c.context(), r, reply[protocol.LeaveGroupResponse](c))
}
