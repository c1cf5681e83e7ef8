package controller

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// metadataTopic is the name of the metadata log, which is no ordinary topic.
const metadataTopic = "__cluster_metadata"

// createTopics creates each topic of the request that it can.
func (c *Core) createTopics(e Event, r *protocol.CreateTopicsRequest) *protocol.CreateTopicsResponse {
	resp := &protocol.CreateTopicsResponse{}
	seen := map[string]int{}
	for _, t := range r.Topics {
		seen[t.Name]++
	}
	budget := MaxRecordsPerRequest
	var written [][]metadata.Record
	for _, t := range r.Topics {
		if seen[t.Name] == 0 {
			continue
		}
		var result protocol.CreateTopicsResponseCreatableTopicResult
		records, f := []metadata.Record(nil), (*failure)(nil)
		if seen[t.Name] > 1 {
			f = invalid("Duplicate topic name.")
		} else {
			records, f = c.planTopic(e, &t, &result)
		}
		seen[t.Name] = 0
		if f == nil {
			budget -= len(records)
			written = append(written, records)
		} else {
			result = protocol.CreateTopicsResponseCreatableTopicResult{
				NumPartitions: -1, ReplicationFactor: -1, Configs: []protocol.CreateTopicsResponseCreatableTopicConfigs{},
			}
		}
		result.Name, result.ErrorCode, result.ErrorMessage = t.Name, f.codeOrNone(), f.text()
		resp.Topics = append(resp.Topics, result)
	}
	if budget < 0 {
		return tooLargeCreation(resp)
	}
	if !r.ValidateOnly {
		for _, records := range written {
			c.write(records...)
		}
	}
	return resp
}

// tooLargeCreation turns the response into the refusal of everything.
func tooLargeCreation(resp *protocol.CreateTopicsResponse) *protocol.CreateTopicsResponse {
	f := tooLarge()
	for i := range resp.Topics {
		resp.Topics[i] = protocol.CreateTopicsResponseCreatableTopicResult{
			Name: resp.Topics[i].Name, ErrorCode: f.code, ErrorMessage: f.text(), NumPartitions: -1, ReplicationFactor: -1,
			Configs: []protocol.CreateTopicsResponseCreatableTopicConfigs{},
		}
	}
	return resp
}

// planTopic checks one topic and makes the records that create it.
func (c *Core) planTopic(
	e Event, t *protocol.CreateTopicsRequestCreatableTopic, result *protocol.CreateTopicsResponseCreatableTopicResult,
) ([]metadata.Record, *failure) {
	img := c.image()
	if t.Name == metadataTopic {
		return nil, invalid("Creation of internal topic %s is prohibited.", metadataTopic)
	}
	if img.Topic(t.Name) != nil {
		return nil, fail(protocol.TopicAlreadyExists, "Topic '%s' already exists.", t.Name)
	}
	if f := checkTopicName(t.Name); f != nil {
		return nil, f
	}
	if others := img.Lookalikes(t.Name); len(others) > 0 {
		return nil, fail(protocol.InvalidTopicException, "Topic '%s' collides with existing topic: %s", t.Name, others[0])
	}
	overrides, configRecords, f := c.newTopicConfigs(t)
	if f != nil {
		return nil, f
	}
	id := e.NewUUID()
	assignments, f := c.assignNewTopic(id, t)
	if f != nil {
		return nil, f
	}
	if img.PartitionCount()+len(assignments) > MaxPartitions {
		return nil, fail(protocol.PolicyViolation, "The cluster may have at most %d partitions; it has %d.", MaxPartitions, img.PartitionCount())
	}
	*result = protocol.CreateTopicsResponseCreatableTopicResult{
		TopicId:           id,
		NumPartitions:     int32(len(assignments)),
		ReplicationFactor: int16(len(assignments[0])),
		Configs:           c.describeNewTopic(overrides),
	}
	records := append([]metadata.Record{&metarecord.TopicRecord{Name: t.Name, TopicId: id}}, configRecords...)
	for partition, replicas := range assignments {
		records = append(records, c.newPartition(id, int32(partition), replicas))
	}
	return records, nil
}

// newPartition makes the record of a new partition; its live replicas are in
// sync and the first of them leads.
func (c *Core) newPartition(topicID wire.UUID, partition int32, replicas []int32) *metarecord.PartitionRecord {
	r := &metarecord.PartitionRecord{}
	r.SetDefaults()
	r.PartitionId, r.TopicId = partition, topicID
	r.Replicas, r.Isr = replicas, c.active(replicas)
	r.RemovingReplicas, r.AddingReplicas = []int32{}, []int32{}
	r.Leader, r.LeaderEpoch, r.PartitionEpoch = r.Isr[0], 0, 0
	for _, id := range replicas {
		r.Directories = append(r.Directories, c.image().Broker(id).DefaultDirectory())
	}
	return r
}

// active returns the brokers that may lead, in the given order.
func (c *Core) active(ids []int32) []int32 {
	var live []int32
	for _, id := range ids {
		if b := c.image().Broker(id); b != nil && b.Active() {
			live = append(live, id)
		}
	}
	return live
}

func (c *Core) newTopicConfigs(t *protocol.CreateTopicsRequestCreatableTopic) (map[string]string, []metadata.Record, *failure) {
	overrides := map[string]string{}
	var null []string
	for _, setting := range t.Configs {
		if setting.Value == nil {
			null = append(null, setting.Name)
			continue
		}
		overrides[setting.Name] = *setting.Value
	}
	if len(null) > 0 {
		return nil, nil, fail(protocol.InvalidConfig, "Null value not supported for topic configs: %s", strings.Join(null, ","))
	}
	resource := metadata.TopicResource(t.Name)
	if f := c.checkConfig(resource, overrides); f != nil {
		return nil, nil, f
	}
	var records []metadata.Record
	for _, name := range sortedKeys(overrides) {
		records = append(records, configRecord(resource, name, overrides[name]))
	}
	return overrides, records, nil
}

// describeNewTopic lists every setting of the new topic with its value.
func (c *Core) describeNewTopic(overrides map[string]string) []protocol.CreateTopicsResponseCreatableTopicConfigs {
	entries := c.clusterSettings().DescribeTopic(overrides, nil)
	out := make([]protocol.CreateTopicsResponseCreatableTopicConfigs, 0, len(entries))
	for _, entry := range entries {
		setting := protocol.CreateTopicsResponseCreatableTopicConfigs{
			Name: entry.Name, ReadOnly: entry.ReadOnly, ConfigSource: int8(entry.Source), IsSensitive: entry.Sensitive,
		}
		if own, ok := overrides[entry.Name]; ok {
			setting.Value = &own // as it was given
		} else if !entry.Null {
			setting.Value = &entry.Value
		}
		out = append(out, setting)
	}
	return out
}

// assignNewTopic returns the replicas of each partition of a new topic.
func (c *Core) assignNewTopic(id wire.UUID, t *protocol.CreateTopicsRequestCreatableTopic) ([][]int32, *failure) {
	if len(t.Assignments) > 0 {
		return c.assignManually(t)
	}
	partitions, factor := t.NumPartitions, t.ReplicationFactor
	settings := c.clusterSettings()
	switch {
	case factor < -1 || factor == 0:
		return nil, fail(protocol.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case partitions < -1 || partitions == 0:
		return nil, fail(protocol.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	if partitions == -1 {
		partitions = settings.Int32("num.partitions")
	}
	if factor == -1 {
		factor = int16(settings.Int32("default.replication.factor")) //nolint:gosec // the table limits it to int16
	}
	if partitions > MaxRecordsPerRequest {
		return nil, tooLarge()
	}
	return c.place(id, 0, int(partitions), int(factor))
}

func (c *Core) assignManually(t *protocol.CreateTopicsRequestCreatableTopic) ([][]int32, *failure) {
	if t.ReplicationFactor != -1 {
		return nil, invalid("A manual partition assignment was specified, but replication factor was not set to -1.")
	}
	if t.NumPartitions != -1 {
		return nil, invalid("A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	byPartition := map[int32][]int32{}
	factor := -1
	for _, a := range t.Assignments {
		if byPartition[a.PartitionIndex] != nil {
			return nil, fail(protocol.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.PartitionIndex)
		}
		if f := c.checkAssignment(a.PartitionIndex, a.BrokerIds, factor); f != nil {
			return nil, f
		}
		factor = len(a.BrokerIds)
		byPartition[a.PartitionIndex] = slices.Clone(a.BrokerIds)
	}
	assignments := make([][]int32, len(byPartition))
	for i := range assignments {
		replicas, ok := byPartition[int32(i)]
		if !ok {
			return nil, fail(protocol.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
		assignments[i] = replicas
	}
	return assignments, nil
}

// checkAssignment checks the replicas that a user chose for a new partition;
// factor is how many the partitions before have, -1 if there are none.
func (c *Core) checkAssignment(partition int32, replicas []int32, factor int) *failure {
	if f := c.checkReplicas(replicas, factor); f != nil {
		return f
	}
	if len(c.active(replicas)) == 0 {
		return fail(protocol.InvalidReplicaAssignment,
			"All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", partition)
	}
	return nil
}

// checkReplicas checks that the chosen replicas are brokers of this cluster, each
// once, and as many as factor says unless that is -1.
func (c *Core) checkReplicas(replicas []int32, factor int) *failure {
	const code = protocol.InvalidReplicaAssignment
	if len(replicas) == 0 {
		return fail(code, "The manual partition assignment includes an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		if c.image().Broker(id) == nil {
			return fail(code, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if i > 0 && id == sorted[i-1] {
			return fail(code, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	if factor >= 0 && len(replicas) != factor {
		return fail(code, "The manual partition assignment includes a partition with %d replica(s), but this is not "+
			"consistent with previous partitions, which have %d replica(s).", len(replicas), factor)
	}
	return nil
}
