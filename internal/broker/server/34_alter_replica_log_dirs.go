package server

import (
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// alterReplicaLogDirs answers where replicas are asked to lie (KIP-113). One that
// lies there already stays, which is all there is with a single log directory; a
// move to another is not supported.
func (b *Broker) alterReplicaLogDirs(_ *call, r *protocol.AlterReplicaLogDirsRequest) protocol.Message {
	response := &protocol.AlterReplicaLogDirsResponse{}
	dirs := b.Logs.Dirs()
	for _, dir := range r.Dirs {
		known := slices.IndexFunc(dirs, func(d storage.DirInfo) bool { return d.Path == dir.Path })
		for _, topic := range dir.Topics {
			result := protocol.AlterReplicaLogDirsResponseAlterReplicaLogDirTopicResult{TopicName: topic.Name}
			for _, partition := range topic.Partitions {
				code := protocol.LogDirNotFound
				if known >= 0 {
					code = b.moveReplica(dirs[known], topic.Name, partition)
				}
				result.Partitions = append(result.Partitions, protocol.AlterReplicaLogDirsResponseAlterReplicaLogDirPartitionResult{
					PartitionIndex: partition, ErrorCode: code,
				})
			}
			response.Results = append(response.Results, result)
		}
	}
	return response
}

func (b *Broker) moveReplica(to storage.DirInfo, topic string, partition int32) protocol.ErrorCode {
	if to.Err != nil {
		return protocol.KafkaStorageError
	}
	log := b.Logs.Log(topic, partition)
	switch {
	case log != nil && !isMetadata(topic) && log.Dir() == to.Path:
		return protocol.None
	case log != nil && !isMetadata(topic):
		return protocol.UnsupportedVersion
	}
	if t := b.image().Topic(topic); t != nil && int(partition) < t.PartitionCount() && partition >= 0 {
		return protocol.ReplicaNotAvailable
	}
	return protocol.UnknownTopicOrPartition
}
