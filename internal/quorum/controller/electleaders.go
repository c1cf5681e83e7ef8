package controller

import "github.com/naru-stream/naru/internal/kafka/protocol"

// The kinds of election in ElectLeaders (KIP-460).
const (
	preferredElection int8 = 0
	uncleanElection   int8 = 1
)

// electLeaders elects the preferred leader, or any live one, of the given
// partitions; of all that are in need if the request names none.
func (c *Core) electLeaders(r *protocol.ElectLeadersRequest) *protocol.ElectLeadersResponse {
	resp := &protocol.ElectLeadersResponse{}
	if r.ElectionType != preferredElection && r.ElectionType != uncleanElection {
		resp.ErrorCode = protocol.InvalidRequest
	}
	if r.TopicPartitions == nil {
		for t := range c.image().Topics() {
			result := protocol.ElectLeadersResponseReplicaElectionResult{Topic: t.Name}
			for id := range int32(t.PartitionCount()) {
				f := c.electLeader(r.ElectionType, t.Name, id)
				if f == nil || f.code != protocol.ElectionNotNeeded {
					result.PartitionResult = append(result.PartitionResult, electionResult(id, f))
				}
			}
			if len(result.PartitionResult) > 0 {
				resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, result)
			}
		}
		return resp
	}
	for _, want := range r.TopicPartitions {
		result := protocol.ElectLeadersResponseReplicaElectionResult{Topic: want.Topic}
		for _, id := range want.Partitions {
			f := c.electLeader(r.ElectionType, want.Topic, id)
			result.PartitionResult = append(result.PartitionResult, electionResult(id, f))
		}
		resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, result)
	}
	return resp
}

func electionResult(id int32, f *failure) protocol.ElectLeadersResponsePartitionResult {
	return protocol.ElectLeadersResponsePartitionResult{PartitionId: id, ErrorCode: f.codeOrNone(), ErrorMessage: f.text()}
}

func (c *Core) electLeader(kind int8, name string, id int32) *failure {
	t := c.image().Topic(name)
	if kind != preferredElection && kind != uncleanElection {
		return invalid("Unknown election type %d", kind)
	}
	if t == nil {
		return fail(protocol.UnknownTopicOrPartition, "No such topic as %s", name)
	}
	p, ok := t.Partition(id)
	if !ok {
		return fail(protocol.UnknownTopicOrPartition, "No such partition as %s-%d", t.Name, id)
	}
	ch := c.edit(t, id, p)
	switch {
	case kind == preferredElection && p.Leader == p.Replicas()[0]:
		return fail(protocol.ElectionNotNeeded, "Leader election not needed for topic partition.")
	case kind == uncleanElection && p.Leader >= 0:
		return fail(protocol.ElectionNotNeeded, "Leader election not needed for topic partition.")
	case kind == preferredElection:
		ch.election = electPreferred
	default:
		ch.election = electUnclean
	}
	r := ch.record()
	switch {
	case r != nil && r.Leader != leaderUnchanged && (kind == uncleanElection || r.Leader == p.Replicas()[0]):
		c.write(r)
		return nil
	case kind == preferredElection:
		return fail(protocol.PreferredLeaderNotAvailable, "The preferred leader was not available.")
	default:
		return fail(protocol.EligibleLeadersNotAvailable, "Eligible topic partition leaders are not available.")
	}
}
