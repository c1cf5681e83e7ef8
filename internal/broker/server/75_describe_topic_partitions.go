package server

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// describeTopicPartitions describes topics page by page, eligible leader replicas
// included (KIP-966). Topics come in the order of their names; a page that is full
// ends with a cursor at which the next one begins.
func (b *Broker) describeTopicPartitions(_ *call, r *protocol.DescribeTopicPartitionsRequest) protocol.Message {
	response := &protocol.DescribeTopicPartitionsResponse{}
	left := max(min(int(r.ResponsePartitionLimit), int(b.values().Int32("max.request.partition.size.limit"))), 1)
	if r.Cursor != nil && !wellPlaced(r) {
		for _, t := range r.Topics {
			response.Topics = append(response.Topics, unknownTopic(t.Name, protocol.InvalidRequest))
		}
		return response
	}
	image := b.image()
	for _, name := range wantedTopics(image, r) {
		first := int32(0)
		if r.Cursor != nil && name == r.Cursor.TopicName {
			first = r.Cursor.PartitionIndex
		}
		if left == 0 {
			response.NextCursor = &protocol.DescribeTopicPartitionsResponseCursor{TopicName: name, PartitionIndex: first}
			return response
		}
		t := image.Topic(name)
		if t == nil {
			unknown := unknownTopic(name, protocol.UnknownTopicOrPartition)
			unknown.TopicAuthorizedOperations = topicOperations
			response.Topics = append(response.Topics, unknown)
			continue
		}
		out := protocol.DescribeTopicPartitionsResponseTopic{
			Name: &t.Name, TopicId: t.ID, IsInternal: isInternal(t.Name), TopicAuthorizedOperations: topicOperations,
		}
		for i := first; i < int32(t.PartitionCount()); i++ {
			if left == 0 {
				response.Topics = append(response.Topics, out)
				response.NextCursor = &protocol.DescribeTopicPartitionsResponseCursor{TopicName: name, PartitionIndex: i}
				return response
			}
			if p, ok := t.Partition(i); ok {
				out.Partitions = append(out.Partitions, describePartition(image, p, i))
				left--
			}
		}
		response.Topics = append(response.Topics, out)
	}
	return response
}

// wellPlaced reports whether a cursor points to a partition of a topic that the
// request names, or of any topic if it names none.
func wellPlaced(r *protocol.DescribeTopicPartitionsRequest) bool {
	return r.Cursor.PartitionIndex >= 0 && (len(r.Topics) == 0 ||
		slices.ContainsFunc(r.Topics, func(t protocol.DescribeTopicPartitionsRequestTopicRequest) bool { return t.Name == r.Cursor.TopicName }))
}

// wantedTopics returns the names to describe, in order, from the cursor on.
func wantedTopics(image *metadata.Image, r *protocol.DescribeTopicPartitionsRequest) []string {
	from := ""
	if r.Cursor != nil {
		from = r.Cursor.TopicName
	}
	var names []string
	if len(r.Topics) == 0 {
		for t := range image.TopicsFrom(from) {
			names = append(names, t.Name)
		}
		return names
	}
	for _, t := range r.Topics {
		if strings.Compare(t.Name, from) >= 0 {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func unknownTopic(name string, code protocol.ErrorCode) protocol.DescribeTopicPartitionsResponseTopic {
	var t protocol.DescribeTopicPartitionsResponseTopic
	t.SetDefaults()
	t.Name, t.ErrorCode, t.IsInternal = &name, code, isInternal(name)
	return t
}

func describePartition(image *metadata.Image, p metadata.Partition, index int32) protocol.DescribeTopicPartitionsResponsePartition {
	out := protocol.DescribeTopicPartitionsResponsePartition{
		PartitionIndex: index, LeaderId: p.Leader, LeaderEpoch: p.LeaderEpoch,
		ReplicaNodes: p.Replicas(), IsrNodes: p.ISR(), OfflineReplicas: offline(image, p),
		EligibleLeaderReplicas: orEmpty(p.ELR()), LastKnownElr: orEmpty(p.LastKnownELR()),
	}
	if leader := image.Broker(p.Leader); leader == nil || leader.Fenced {
		out.ErrorCode, out.LeaderId = protocol.LeaderNotAvailable, -1
	}
	return out
}

func orEmpty(s []int32) []int32 {
	if s == nil {
		return []int32{}
	}
	return s
}
