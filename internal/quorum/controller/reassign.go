package controller

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// alterPartitionReassignments begins to move partitions to other brokers, or ends
// a move before it is done where no replicas are named (KIP-455). What follows is
// the change's: the replicas that leave are taken away as soon as those that come
// are in sync, which is at once if none comes.
func (c *Core) alterPartitionReassignments(r *protocol.AlterPartitionReassignmentsRequest) *protocol.AlterPartitionReassignmentsResponse {
	resp := &protocol.AlterPartitionReassignmentsResponse{AllowReplicationFactorChange: r.AllowReplicationFactorChange}
	budget := MaxRecordsPerRequest
	for _, topic := range r.Topics {
		answer := protocol.AlterPartitionReassignmentsResponseReassignableTopicResponse{Name: topic.Name}
		for _, p := range topic.Partitions {
			ch, f := c.planReassignment(topic.Name, p.PartitionIndex, p.Replicas, r.AllowReplicationFactorChange)
			if f == nil && budget == 0 {
				f = tooLarge()
			}
			if f == nil {
				if record := ch.record(); record != nil {
					budget--
					c.write(record)
				}
			}
			answer.Partitions = append(answer.Partitions, protocol.AlterPartitionReassignmentsResponseReassignablePartitionResponse{
				PartitionIndex: p.PartitionIndex, ErrorCode: f.codeOrNone(), ErrorMessage: f.text(),
			})
		}
		resp.Responses = append(resp.Responses, answer)
	}
	return resp
}

// planReassignment returns the change that moves a partition to the target, or
// back if there is none.
func (c *Core) planReassignment(name string, id int32, target []int32, mayResize bool) (*change, *failure) {
	t := c.image().Topic(name)
	if t == nil {
		return nil, fail(protocol.UnknownTopicOrPartition, "Unable to find a topic named %s.", name)
	}
	p, ok := t.Partition(id)
	if !ok {
		return nil, fail(protocol.UnknownTopicOrPartition, "Unable to find partition %s:%d.", name, id)
	}
	ch := c.edit(t, id, p)
	if target == nil {
		return ch, ch.revert(name)
	}
	if f := c.checkReplicas(target, -1); f != nil {
		return nil, f
	}
	if now := without(p.Replicas(), p.RemovingReplicas()...); !mayResize && len(now) != len(target) {
		return nil, fail(protocol.InvalidReplicationFactor, "The replication factor is changed from %d to %d", len(now), len(target))
	}
	removing := without(p.Replicas(), target...)
	slices.Sort(removing)
	adding := without(target, p.Replicas()...)
	slices.Sort(adding)
	ch.replicas = slices.Concat(target, removing)
	// What an earlier reassignment has begun to add or remove, and is not touched by
	// this one, goes on.
	if len(removing) > 0 {
		ch.removing = removing
	}
	if len(adding) > 0 {
		ch.adding = adding
	}
	return ch, nil
}

// revert makes ch the end of a reassignment that is not done: the replicas it
// added go, those it was to remove stay. If only replicas that go are in sync, the
// leader must come from the eligible ones, or from an unclean election.
func (ch *change) revert(name string) *failure {
	if len(ch.adding) == 0 && len(ch.removing) == 0 {
		return fail(protocol.NoReassignmentInProgress, "No partition reassignment is in progress.")
	}
	ch.replicas, ch.isr = without(ch.replicas, ch.adding...), without(ch.isr, ch.adding...)
	if len(ch.replicas) == 0 {
		return fail(protocol.InvalidReplicaAssignment, "Invalid replica assignment: addingReplicas contains all replicas.")
	}
	if elr, _ := ch.eligible(); len(ch.isr) == 0 && len(elr) == 0 {
		if ch.election != electUnclean {
			return fail(protocol.InvalidReplicaAssignment,
				"Unable to revert partition assignment for %s:%d because it would require an unclean leader election.", name, ch.partition)
		}
		if !ch.elr && !slices.ContainsFunc(ch.replicas, ch.acceptable) {
			// Without eligible leader replicas it is the in-sync set that says who may
			// lead when brokers return: it is never empty.
			ch.isr = ch.replicas[:1]
		}
	}
	ch.adding, ch.removing = nil, nil
	return nil
}

// reassigning says whether a partition is moving to other brokers.
func reassigning(p metadata.Partition) bool {
	return len(p.AddingReplicas()) > 0 || len(p.RemovingReplicas()) > 0
}
