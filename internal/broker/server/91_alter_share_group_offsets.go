package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// alterShareGroupOffsets sets where a share group without members starts to read.
func (b *Broker) alterShareGroupOffsets(c *call, r *protocol.AlterShareGroupOffsetsRequest) {
	if !b.servesShareGroups() {
		c.respond(&protocol.AlterShareGroupOffsetsResponse{ErrorCode: protocol.UnsupportedVersion})
		return
	}
	if err := b.ensureShareState(r.GroupId != "" && len(r.Topics) > 0); err != nil {
		c.respond(&protocol.AlterShareGroupOffsetsResponse{ErrorCode: protocol.CoordinatorNotAvailable, ErrorMessage: errorMessage(err)})
		return
	}
	b.Groups.AlterShareGroupOffsets(c.context(), r, reply[protocol.AlterShareGroupOffsetsResponse](c))
}
