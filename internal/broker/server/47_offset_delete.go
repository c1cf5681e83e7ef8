package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// offsetDelete forgets how far a group has read some partitions. Topics and
// partitions that do not exist are refused one by one.
func (b *Broker) offsetDelete(c *call, r *protocol.OffsetDeleteRequest) {
	known := r.Topics[:0]
	var refused []protocol.OffsetDeleteResponseTopic
	for _, t := range r.Topics {
		topic := b.image().Topic(t.Name)
		missing := t.Partitions
		if topic != nil {
			t.Partitions, missing = split(t.Partitions, func(p *protocol.OffsetDeleteRequestPartition) bool {
				_, ok := topic.Partition(p.PartitionIndex)
				return ok
			})
			known = append(known, t)
		}
		if len(missing) == 0 {
			continue
		}
		out := protocol.OffsetDeleteResponseTopic{Name: t.Name}
		for _, p := range missing {
			out.Partitions = append(out.Partitions, protocol.OffsetDeleteResponsePartition{
				PartitionIndex: p.PartitionIndex, ErrorCode: protocol.UnknownTopicOrPartition,
			})
		}
		refused = append(refused, out)
	}
	r.Topics = known
	b.Groups.OffsetDelete(c.context(), r, func(response *protocol.OffsetDeleteResponse) {
		if response.ErrorCode == protocol.None {
			for i := range refused {
				addDeleted(response, &refused[i])
			}
		}
		c.respond(response)
	})
}

func addDeleted(response *protocol.OffsetDeleteResponse, refused *protocol.OffsetDeleteResponseTopic) {
	for i := range response.Topics {
		if t := &response.Topics[i]; t.Name == refused.Name {
			t.Partitions = append(t.Partitions, refused.Partitions...)
			return
		}
	}
	response.Topics = append(response.Topics, *refused)
}
