package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// offsetCommit stores how far a group has read. Topics and partitions that do not
// exist are refused one by one; the others are committed.
func (b *Broker) offsetCommit(c *call, r *protocol.OffsetCommitRequest) {
	byID := c.version() >= 10
	known := r.Topics[:0]
	var refused []protocol.OffsetCommitResponseTopic
	for _, t := range r.Topics {
		topic := b.topicOf(t.Name, t.TopicId, byID)
		if topic == nil {
			refused = append(refused, refuseCommit(&t, t.Partitions, unknownTopicCode(byID)))
			continue
		}
		// With the id an offset is not mistaken for one of a later topic of that name.
		t.Name, t.TopicId = topic.Name, topic.ID
		var missing []protocol.OffsetCommitRequestPartition
		t.Partitions, missing = split(t.Partitions, func(p *protocol.OffsetCommitRequestPartition) bool {
			_, ok := topic.Partition(p.PartitionIndex)
			return ok
		})
		if len(missing) > 0 {
			refused = append(refused, refuseCommit(&t, missing, protocol.UnknownTopicOrPartition))
		}
		if len(t.Partitions) > 0 || len(missing) == 0 {
			known = append(known, t)
		}
	}
	r.Topics = known
	if len(known) == 0 && len(refused) > 0 {
		c.respond(&protocol.OffsetCommitResponse{Topics: refused})
		return
	}
	b.Groups.OffsetCommit(c.context(), r, func(response *protocol.OffsetCommitResponse) {
		for i := range refused {
			addCommitted(response, &refused[i])
		}
		c.respond(response)
	})
}

func refuseCommit(t *protocol.OffsetCommitRequestTopic, partitions []protocol.OffsetCommitRequestPartition, code protocol.ErrorCode) protocol.OffsetCommitResponseTopic {
	out := protocol.OffsetCommitResponseTopic{Name: t.Name, TopicId: t.TopicId}
	for _, p := range partitions {
		out.Partitions = append(out.Partitions, protocol.OffsetCommitResponsePartition{PartitionIndex: p.PartitionIndex, ErrorCode: code})
	}
	return out
}

// addCommitted adds refused partitions to those of their topic, if it has some in
// the response: clients expect each topic once.
func addCommitted(response *protocol.OffsetCommitResponse, refused *protocol.OffsetCommitResponseTopic) {
	for i := range response.Topics {
		if t := &response.Topics[i]; t.Name == refused.Name && t.TopicId == refused.TopicId {
			t.Partitions = append(t.Partitions, refused.Partitions...)
			return
		}
	}
	response.Topics = append(response.Topics, *refused)
}

// split divides a slice, keeping the order, into elements that are wanted and
// others. The first part has the memory of all.
func split[T any](all []T, wanted func(*T) bool) (yes, no []T) {
	yes = all[:0]
	for i := range all {
		if wanted(&all[i]) {
			yes = append(yes, all[i])
		} else {
			no = append(no, all[i])
		}
	}
	return yes, no
}
