package server

import (
	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// shareAcknowledge takes in what a member of a share group says about records it has
// acquired.
func (b *Broker) shareAcknowledge(c *call, r *protocol.ShareAcknowledgeRequest) {
	code := b.checkShareRequest(r.GroupId, r.MemberId)
	var key sharesession.Key
	if code == protocol.None {
		key, code = b.shareSessions.Acknowledge(sharesession.Key{Group: *r.GroupId, Member: *r.MemberId}, r.ShareSessionEpoch)
	}
	if code != protocol.None {
		c.respond(&protocol.ShareAcknowledgeResponse{ErrorCode: code})
		return
	}
	acks := b.newShareAcks(c.version() >= 2, r.IsRenewAck)
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			batches := make([]sharepartition.AckBatch, len(p.AcknowledgementBatches))
			for k, a := range p.AcknowledgementBatches {
				batches[k] = sharepartition.AckBatch{First: a.FirstOffset, Last: a.LastOffset, Types: a.AcknowledgeTypes}
			}
			acks.add(sharesession.Partition{Topic: r.Topics[i].TopicId, Index: p.PartitionIndex}, batches)
		}
	}
	acks.finish = func() {
		if r.ShareSessionEpoch == sharesession.FinalEpoch {
			b.closeShareSession(key)
		}
		response := &protocol.ShareAcknowledgeResponse{}
		if c.version() >= 2 {
			response.AcquisitionLockTimeoutMs = int32(b.shareSettings(key.Group).LockMs)
		}
		topics := map[protocol.UUID]int{}
		acks.rest(func(at sharesession.Partition, a *shareAck) {
			i, ok := topics[at.Topic]
			if !ok {
				i = len(response.Responses)
				topics[at.Topic] = i
				response.Responses = append(response.Responses, protocol.ShareAcknowledgeResponseShareAcknowledgeTopicResponse{TopicId: at.Topic})
			}
			part := protocol.ShareAcknowledgeResponsePartitionData{PartitionIndex: at.Index, ErrorCode: protocol.CodeOf(a.err), ErrorMessage: errorMessage(a.err)}
			if leader, endpoint, ok := b.shareLeader(c, at, a.err); ok {
				part.CurrentLeader = protocol.ShareAcknowledgeResponseLeaderIdAndEpoch(leader)
				response.NodeEndpoints = append(response.NodeEndpoints, protocol.ShareAcknowledgeResponseNodeEndpoint(endpoint))
			}
			response.Responses[i].Partitions = append(response.Responses[i].Partitions, part)
		})
		c.respond(response)
	}
	acks.start(key)
}
