package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// offsetFetch tells how far groups have read. From v10 topics have ids: they are
// replaced by names on the way in and put back on the way out.
func (b *Broker) offsetFetch(c *call, r *protocol.OffsetFetchRequest) {
	if c.version() < firstFetchByID {
		for i := range r.Groups {
			for j := range r.Groups[i].Topics {
				if t := b.image().Topic(r.Groups[i].Topics[j].Name); t != nil {
					r.Groups[i].Topics[j].TopicId = t.ID
				}
			}
		}
		b.Groups.OffsetFetch(c.context(), r, reply[protocol.OffsetFetchResponse](c))
		return
	}
	unknown := make([][]protocol.OffsetFetchResponseTopics, len(r.Groups))
	for i := range r.Groups {
		g := &r.Groups[i]
		if g.Topics == nil {
			continue
		}
		known := g.Topics[:0]
		for _, t := range g.Topics {
			if topic := b.image().TopicByID(t.TopicId); topic != nil {
				t.Name = topic.Name
				known = append(known, t)
				continue
			}
			unknown[i] = append(unknown[i], noOffsets(t))
		}
		g.Topics = known
	}
	b.Groups.OffsetFetch(c.context(), r, func(response *protocol.OffsetFetchResponse) {
		for i := range response.Groups {
			g := &response.Groups[i]
			kept := g.Topics[:0]
			for _, t := range g.Topics {
				// Offsets of a topic that is gone have no id to tell them under.
				if topic := b.image().Topic(t.Name); topic != nil {
					t.TopicId = topic.ID
					kept = append(kept, t)
				}
			}
			g.Topics = append(kept, unknown[i]...)
		}
		c.respond(response)
	})
}

// firstFetchByID is the first version of OffsetFetch that identifies topics by id.
const firstFetchByID = 10

// noOffsets answers for a topic id that is not known.
func noOffsets(t protocol.OffsetFetchRequestTopics) protocol.OffsetFetchResponseTopics {
	out := protocol.OffsetFetchResponseTopics{TopicId: t.TopicId}
	for _, index := range t.PartitionIndexes {
		out.Partitions = append(out.Partitions, protocol.OffsetFetchResponsePartitions{
			PartitionIndex: index, CommittedOffset: -1, CommittedLeaderEpoch: -1,
			Metadata: ptr(""), ErrorCode: protocol.UnknownTopicId,
		})
	}
	return out
}
