package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// listPartitionReassignments tells which of the partitions asked for are moving to
// other brokers; of all if the request names no topics (KIP-455). A partition that
// stays, or does not exist, is not in the answer.
func (b *Broker) listPartitionReassignments(_ *call, r *protocol.ListPartitionReassignmentsRequest) protocol.Message {
	response := &protocol.ListPartitionReassignmentsResponse{}
	answer := func(t *metadata.Topic, moving []protocol.ListPartitionReassignmentsResponseOngoingPartitionReassignment) {
		if len(moving) > 0 {
			response.Topics = append(response.Topics,
				protocol.ListPartitionReassignmentsResponseOngoingTopicReassignment{Name: t.Name, Partitions: moving})
		}
	}
	image := b.image()
	if r.Topics == nil {
		for t := range image.Topics() {
			var moving []protocol.ListPartitionReassignmentsResponseOngoingPartitionReassignment
			for id := range int32(t.PartitionCount()) {
				moving = appendMoving(moving, t, id)
			}
			answer(t, moving)
		}
		return response
	}
	for i := range r.Topics {
		t := image.Topic(r.Topics[i].Name)
		if t == nil {
			continue
		}
		var moving []protocol.ListPartitionReassignmentsResponseOngoingPartitionReassignment
		for _, id := range r.Topics[i].PartitionIndexes {
			moving = appendMoving(moving, t, id)
		}
		answer(t, moving)
	}
	return response
}

// appendMoving appends a partition of t if a reassignment of it is in progress.
func appendMoving(
	moving []protocol.ListPartitionReassignmentsResponseOngoingPartitionReassignment, t *metadata.Topic, id int32,
) []protocol.ListPartitionReassignmentsResponseOngoingPartitionReassignment {
	p, ok := t.Partition(id)
	if !ok || len(p.AddingReplicas()) == 0 && len(p.RemovingReplicas()) == 0 {
		return moving
	}
	return append(moving, protocol.ListPartitionReassignmentsResponseOngoingPartitionReassignment{
		PartitionIndex: id, Replicas: p.Replicas(), AddingReplicas: p.AddingReplicas(), RemovingReplicas: p.RemovingReplicas(),
	})
}
