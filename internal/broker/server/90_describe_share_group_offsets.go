package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// describeShareGroupOffsets tells how far share groups have read.
func (b *Broker) describeShareGroupOffsets(c *call, r *protocol.DescribeShareGroupOffsetsRequest) {
	if !b.servesShareGroups() {
		response := &protocol.DescribeShareGroupOffsetsResponse{}
		for i := range r.Groups {
			response.Groups = append(response.Groups, protocol.DescribeShareGroupOffsetsResponseGroup{
				GroupId: r.Groups[i].GroupId, ErrorCode: protocol.UnsupportedVersion,
			})
		}
		c.respond(response)
		return
	}
	b.Groups.DescribeShareGroupOffsets(c.context(), r, reply[protocol.DescribeShareGroupOffsetsResponse](c))
}
