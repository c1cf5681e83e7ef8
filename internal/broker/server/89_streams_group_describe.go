package server

import (
	"github.com/naru-stream/naru/internal/coordinator/group"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// streamsGroupDescribe tells the state, the topology and the members of streams groups.
func (b *Broker) streamsGroupDescribe(c *call, r *protocol.StreamsGroupDescribeRequest) {
	if !b.servesStreamsGroups() {
		response := &protocol.StreamsGroupDescribeResponse{}
		group.RefuseStreamsDescribe(r, response, protocol.UnsupportedVersion)
		c.respond(response)
		return
	}
	b.Groups.StreamsGroupDescribe(c.context(), r, func(response *protocol.StreamsGroupDescribeResponse) {
		for i := range response.Groups {
			if g := &response.Groups[i]; r.IncludeAuthorizedOperations && g.ErrorCode == protocol.None {
				g.AuthorizedOperations = groupOperations
			}
		}
		c.respond(response)
	})
}
