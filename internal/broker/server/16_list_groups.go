package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// listGroups names the groups this broker coordinates.
func (b *Broker) listGroups(c *call, r *protocol.ListGroupsRequest) {
	b.Groups.ListGroups(c.context(), r, reply[protocol.ListGroupsResponse](c))
}
