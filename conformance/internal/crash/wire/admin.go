package wire

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// adminTimeoutMs is what the server is given for a change.
const adminTimeoutMs = 30_000

// CreateTopic creates a topic and returns its id.
func (c *Conn) CreateTopic(name string, partitions int32, settings map[string]string) ([16]byte, error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, adminTimeoutMs
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for key, value := range settings {
		s := kmsg.NewCreateTopicsRequestTopicConfig()
		s.Name, s.Value = key, kmsg.StringPtr(value)
		t.Configs = append(t.Configs, s)
	}
	req.Topics = append(req.Topics, t)
	resp, err := c.Do(req)
	if err != nil {
		return [16]byte{}, err
	}
	created := resp.(*kmsg.CreateTopicsResponse).Topics
	if len(created) != 1 {
		return [16]byte{}, fmt.Errorf("creating %s: %d topics in the answer", name, len(created))
	}
	if err := Code(created[0].ErrorCode); err != nil {
		return [16]byte{}, fmt.Errorf("creating %s: %w", name, err)
	}
	return created[0].TopicID, nil
}

// DeleteTopic deletes a topic.
func (c *Conn) DeleteTopic(name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 5, adminTimeoutMs
	req.TopicNames = []string{name}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.DeleteTopicsResponse).Topics {
		if err := Code(t.ErrorCode); err != nil {
			return fmt.Errorf("deleting %s: %w", name, err)
		}
	}
	return nil
}

// AddPartitions raises the number of a topic's partitions to count.
func (c *Conn) AddPartitions(name string, count int32) error {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 2, adminTimeoutMs
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, count
	req.Topics = append(req.Topics, t)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.CreatePartitionsResponse).Topics {
		if err := Code(t.ErrorCode); err != nil {
			return fmt.Errorf("adding partitions to %s: %w", name, err)
		}
	}
	return nil
}

// SetConfig sets one setting of a topic.
func (c *Conn) SetConfig(topic, key, value string) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	s := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	s.Name, s.Value = key, kmsg.StringPtr(value)
	r.Configs = append(r.Configs, s)
	req.Resources = append(req.Resources, r)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	for _, r := range resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
		if err := Code(r.ErrorCode); err != nil {
			return fmt.Errorf("setting %s of %s: %w", key, topic, err)
		}
	}
	return nil
}

// Configs returns the settings that a topic itself has.
func (c *Conn) Configs(topic string) (map[string]string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 1
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	req.Resources = append(req.Resources, r)
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, r := range resp.(*kmsg.DescribeConfigsResponse).Resources {
		if err := Code(r.ErrorCode); err != nil {
			return nil, fmt.Errorf("settings of %s: %w", topic, err)
		}
		for _, s := range r.Configs {
			if s.Source == kmsg.ConfigSourceDynamicTopicConfig && s.Value != nil {
				found[s.Name] = *s.Value
			}
		}
	}
	return found, nil
}

// DeleteRecords deletes the records before an offset and returns the new first offset.
func (c *Conn) DeleteRecords(p Partition, before int64) (int64, error) {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 1, adminTimeoutMs
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Partition, part.Offset = p.Index, before
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic, t.Partitions = p.Topic, append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	topics := resp.(*kmsg.DeleteRecordsResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("deleting records of %s: %d topics in the answer", p, len(topics))
	}
	got := topics[0].Partitions[0]
	if err := Code(got.ErrorCode); err != nil {
		return 0, fmt.Errorf("deleting records of %s: %w", p, err)
	}
	return got.LowWatermark, nil
}

// Commit commits an offset for each partition in a group without members.
func (c *Conn) Commit(group string, offsets map[Partition]int64) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 7
	req.Group, req.Generation = group, -1
	for p, offset := range offsets {
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset, part.Metadata = p.Index, offset, kmsg.StringPtr(fmt.Sprint(offset))
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.Partitions = p.Topic, append(t.Partitions, part)
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.OffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			if err := Code(p.ErrorCode); err != nil {
				return fmt.Errorf("committing %s for %s: %w", t.Topic, group, err)
			}
		}
	}
	return nil
}

// Committed returns the offsets a group has committed.
func (c *Conn) Committed(group string) (map[Partition]int64, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 5
	req.Group, req.Topics = group, nil
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	answer := resp.(*kmsg.OffsetFetchResponse)
	if err := Code(answer.ErrorCode); err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	found := map[Partition]int64{}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if err := Code(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("offset of group %s for %s-%d: %w", group, t.Topic, p.Partition, err)
			}
			found[Partition{t.Topic, p.Partition}] = p.Offset
		}
	}
	return found, nil
}

// FindCoordinator asks for a group's coordinator, which makes the server create the offsets topic.
func (c *Conn) FindCoordinator(group string) error {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version = 2
	req.CoordinatorKey = group
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	return Code(resp.(*kmsg.FindCoordinatorResponse).ErrorCode)
}
