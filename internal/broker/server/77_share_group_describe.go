package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// shareGroupDescribe tells the state and the members of share groups.
func (b *Broker) shareGroupDescribe(c *call, r *protocol.ShareGroupDescribeRequest) {
	if !b.servesShareGroups() {
		response := &protocol.ShareGroupDescribeResponse{Groups: make([]protocol.ShareGroupDescribeResponseDescribedGroup, len(r.GroupIds))}
		for i, id := range r.GroupIds {
			response.Groups[i].SetDefaults()
			response.Groups[i].GroupId, response.Groups[i].ErrorCode = id, protocol.UnsupportedVersion
		}
		c.respond(response)
		return
	}
	b.Groups.ShareGroupDescribe(c.context(), r, func(response *protocol.ShareGroupDescribeResponse) {
		for i := range response.Groups {
			if g := &response.Groups[i]; r.IncludeAuthorizedOperations && g.ErrorCode == protocol.None {
				g.AuthorizedOperations = groupOperations
			}
		}
		c.respond(response)
	})
}
