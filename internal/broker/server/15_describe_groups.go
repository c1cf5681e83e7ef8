package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// describeGroups tells the state and the members of groups.
func (b *Broker) describeGroups(c *call, r *protocol.DescribeGroupsRequest) {
	b.Groups.DescribeGroups(c.context(), r, func(response *protocol.DescribeGroupsResponse) {
		for i := range response.Groups {
			if g := &response.Groups[i]; r.IncludeAuthorizedOperations && g.ErrorCode == protocol.None {
				g.AuthorizedOperations = groupOperations
			}
		}
		c.respond(response)
	})
}
