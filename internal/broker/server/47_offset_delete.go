package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// offsetDelete forgets how far a group has read some partitions.
func (b *Broker) offsetDelete(c *call, r *protocol.OffsetDeleteRequest) {
	known := r.Topics[:0]
	var unknown []protocol.OffsetDeleteResponseTopic
	for _, t := range r.Topics {
		if b.image().Topic(t.Name) != nil {
			known = append(known, t)
			continue
		}
		refused := protocol.OffsetDeleteResponseTopic{Name: t.Name}
		for _, p := range t.Partitions {
			refused.Partitions = append(refused.Partitions, protocol.OffsetDeleteResponsePartition{
				PartitionIndex: p.PartitionIndex, ErrorCode: protocol.UnknownTopicOrPartition,
			})
		}
		unknown = append(unknown, refused)
	}
	r.Topics = known
	b.Groups.OffsetDelete(c.context(), r, func(response *protocol.OffsetDeleteResponse) {
		if response.ErrorCode == protocol.None {
			response.Topics = append(response.Topics, unknown...)
		}
		c.respond(response)
	})
}
