package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// deleteShareGroupOffsets forgets how far a share group without members has read some
// topics.
func (b *Broker) deleteShareGroupOffsets(c *call, r *protocol.DeleteShareGroupOffsetsRequest) {
	if !b.servesShareGroups() {
		c.respond(&protocol.DeleteShareGroupOffsetsResponse{ErrorCode: protocol.UnsupportedVersion})
		return
	}
	b.Groups.DeleteShareGroupOffsets(c.context(), r, reply[protocol.DeleteShareGroupOffsetsResponse](c))
}
