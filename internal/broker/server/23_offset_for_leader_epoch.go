package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// offsetForLeaderEpoch tells where a leader epoch ended, so that a client that was
// ahead of a lost leader finds where its log diverges (KIP-320).
func (b *Broker) offsetForLeaderEpoch(_ *call, r *protocol.OffsetForLeaderEpochRequest) protocol.Message {
	response := &protocol.OffsetForLeaderEpochResponse{}
	for i := range r.Topics {
		t := &r.Topics[i]
		out := protocol.OffsetForLeaderEpochResponseOffsetForLeaderTopicResult{Topic: t.Topic}
		for _, asked := range t.Partitions {
			var part protocol.OffsetForLeaderEpochResponseEpochEndOffset
			part.SetDefaults()
			part.Partition = asked.Partition
			p, err := b.partitionFor(t.Topic, protocol.UUID{}, asked.Partition, false)
			if err == nil {
				err = checkEpoch(p, asked.CurrentLeaderEpoch)
			}
			if err == nil {
				part.LeaderEpoch, part.EndOffset = p.Log().EndOffsetForEpoch(asked.LeaderEpoch)
			}
			part.ErrorCode = protocol.CodeOf(err)
			out.Partitions = append(out.Partitions, part)
		}
		response.Topics = append(response.Topics, out)
	}
	return response
}
