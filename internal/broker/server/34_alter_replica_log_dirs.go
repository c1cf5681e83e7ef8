package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// alterReplicaLogDirs has partitions moved to other log directories of this broker
// (KIP-113), in the background: DescribeLogDirs tells how far they are.
func (b *Broker) alterReplicaLogDirs(_ *call, r *protocol.AlterReplicaLogDirsRequest) protocol.Message {
	response := &protocol.AlterReplicaLogDirsResponse{}
	byTopic := map[string]int{}
	for _, dir := range r.Dirs {
		for _, topic := range dir.Topics {
			at, ok := byTopic[topic.Name]
			if !ok {
				at = len(response.Results)
				byTopic[topic.Name] = at
				response.Results = append(response.Results, protocol.AlterReplicaLogDirsResponseAlterReplicaLogDirTopicResult{TopicName: topic.Name})
			}
			for _, partition := range topic.Partitions {
				response.Results[at].Partitions = append(response.Results[at].Partitions, protocol.AlterReplicaLogDirsResponseAlterReplicaLogDirPartitionResult{
					PartitionIndex: partition, ErrorCode: b.moveReplica(topic.Name, partition, dir.Path),
				})
			}
		}
	}
	return response
}

func (b *Broker) moveReplica(topic string, partition int32, dir string) protocol.ErrorCode {
	if isMetadata(topic) {
		return protocol.UnknownTopicOrPartition
	}
	err := b.Logs.Move(topic, partition, dir)
	if err == nil {
		return protocol.None
	}
	code := protocol.CodeOf(err)
	if code == protocol.ReplicaNotAvailable {
		if t := b.image().Topic(topic); t == nil || int(partition) >= t.PartitionCount() || partition < 0 {
			code = protocol.UnknownTopicOrPartition
		}
	}
	b.Log.Warn("partition not moved", "topic", topic, "partition", partition, "to", dir, "error", err)
	return code
}
