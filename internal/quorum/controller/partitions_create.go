package controller

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// createPartitions adds partitions to topics.
func (c *Core) createPartitions(r *protocol.CreatePartitionsRequest) *protocol.CreatePartitionsResponse {
	resp := &protocol.CreatePartitionsResponse{}
	seen := map[string]int{}
	for _, t := range r.Topics {
		seen[t.Name]++
	}
	var written []metadata.Record
	for _, t := range r.Topics {
		if seen[t.Name] == 0 {
			continue
		}
		var records []metadata.Record
		var f *failure
		if seen[t.Name] > 1 {
			f = invalid("Duplicate topic name.")
		} else {
			records, f = c.planPartitions(&t)
		}
		seen[t.Name] = 0
		if f == nil && len(written)+len(records) > MaxRecordsPerRequest {
			f = tooLarge()
		}
		if f == nil {
			written = append(written, records...)
		}
		resp.Results = append(resp.Results, protocol.CreatePartitionsResponseCreatePartitionsTopicResult{
			Name: t.Name, ErrorCode: f.codeOrNone(), ErrorMessage: f.text(),
		})
	}
	if !r.ValidateOnly {
		c.write(written...)
	}
	return resp
}

func (c *Core) planPartitions(want *protocol.CreatePartitionsRequestCreatePartitionsTopic) ([]metadata.Record, *failure) {
	t := c.image().Topic(want.Name)
	if t == nil {
		return nil, fail(protocol.UnknownTopicOrPartition, "")
	}
	have := t.PartitionCount()
	additional := int(want.Count) - have
	switch {
	case additional == 0:
		return nil, fail(protocol.InvalidPartitions, "Topic already has %d partition(s).", have)
	case additional < 0:
		return nil, fail(protocol.InvalidPartitions,
			"The topic %s currently has %d partition(s); %d would not be an increase.", t.Name, have, want.Count)
	case want.Assignments != nil && len(want.Assignments) != additional:
		return nil, fail(protocol.InvalidReplicaAssignment,
			"Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", additional, len(want.Assignments))
	case additional > MaxRecordsPerRequest:
		return nil, tooLarge()
	case c.image().PartitionCount()+additional > MaxPartitions:
		return nil, fail(protocol.PolicyViolation, "The cluster may have at most %d partitions; it has %d.", MaxPartitions, c.image().PartitionCount())
	}
	first, _ := t.Partition(0)
	assignments, f := c.assignMore(t, want, additional, len(first.Replicas()))
	if f != nil {
		return nil, f
	}
	var records []metadata.Record
	for i, replicas := range assignments {
		records = append(records, c.newPartition(t.ID, int32(have+i), replicas))
	}
	return records, nil
}

func (c *Core) assignMore(
	t *metadata.Topic, want *protocol.CreatePartitionsRequestCreatePartitionsTopic, additional, factor int,
) ([][]int32, *failure) {
	have := t.PartitionCount()
	if want.Assignments == nil {
		return c.place(t.ID, have, additional, factor)
	}
	var assignments [][]int32
	for i, a := range want.Assignments {
		if f := c.checkAssignment(int32(have+i), a.BrokerIds, factor); f != nil {
			return nil, f
		}
		assignments = append(assignments, slices.Clone(a.BrokerIds))
	}
	return assignments, nil
}
