package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// deleteGroups deletes groups that have no members.
func (b *Broker) deleteGroups(c *call, r *protocol.DeleteGroupsRequest) {
	b.Groups.DeleteGroups(c.context(), r, reply[protocol.DeleteGroupsResponse](c))
}
