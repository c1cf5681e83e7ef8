package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// offsetCommit stores how far a group has read. Topics that do not exist are
// refused one by one; the others are committed.
func (b *Broker) offsetCommit(c *call, r *protocol.OffsetCommitRequest) {
	byID := c.version() >= 10
	known := r.Topics[:0]
	var unknown []protocol.OffsetCommitResponseTopic
	for _, t := range r.Topics {
		if topic := b.topicOf(t.Name, t.TopicId, byID); topic != nil {
			// With the id an offset is not mistaken for one of a later topic of that name.
			t.Name, t.TopicId = topic.Name, topic.ID
			known = append(known, t)
			continue
		}
		refused := protocol.OffsetCommitResponseTopic{Name: t.Name, TopicId: t.TopicId}
		for _, p := range t.Partitions {
			refused.Partitions = append(refused.Partitions, protocol.OffsetCommitResponsePartition{
				PartitionIndex: p.PartitionIndex, ErrorCode: unknownTopicCode(byID),
			})
		}
		unknown = append(unknown, refused)
	}
	r.Topics = known
	if len(known) == 0 && len(unknown) > 0 {
		c.respond(&protocol.OffsetCommitResponse{Topics: unknown})
		return
	}
	b.Groups.OffsetCommit(c.context(), r, func(response *protocol.OffsetCommitResponse) {
		response.Topics = append(response.Topics, unknown...)
		c.respond(response)
	})
}
