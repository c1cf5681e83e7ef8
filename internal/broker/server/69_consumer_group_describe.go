package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// consumerGroupDescribe tells the state and the members of consumer groups.
func (b *Broker) consumerGroupDescribe(c *call, r *protocol.ConsumerGroupDescribeRequest) {
	if !b.servesConsumerGroups() {
		response := &protocol.ConsumerGroupDescribeResponse{Groups: make([]protocol.ConsumerGroupDescribeResponseDescribedGroup, len(r.GroupIds))}
		for i, id := range r.GroupIds {
			response.Groups[i].SetDefaults()
			response.Groups[i].GroupId, response.Groups[i].ErrorCode = id, protocol.UnsupportedVersion
		}
		c.respond(response)
		return
	}
	b.Groups.ConsumerGroupDescribe(c.context(), r, func(response *protocol.ConsumerGroupDescribeResponse) {
		for i := range response.Groups {
			if g := &response.Groups[i]; r.IncludeAuthorizedOperations && g.ErrorCode == protocol.None {
				g.AuthorizedOperations = groupOperations
			}
		}
		c.respond(response)
	})
}
