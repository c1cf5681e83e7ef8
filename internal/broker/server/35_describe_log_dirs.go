package server

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// describeLogDirs tells how much room each log directory has, what each partition takes
// of it, and how far the copies of those are that are being moved there.
func (b *Broker) describeLogDirs(c *call, r *protocol.DescribeLogDirsRequest) protocol.Message {
	wanted := func(string, int32) bool { return true }
	if r.Topics != nil {
		wanted = func(topic string, partition int32) bool {
			return slices.ContainsFunc(r.Topics, func(t protocol.DescribeLogDirsRequestDescribableLogDirTopic) bool {
				return t.Topic == topic && slices.Contains(t.Partitions, partition)
			})
		}
	}
	response := &protocol.DescribeLogDirsResponse{}
	moves := b.Logs.Moves() // before the logs: one that gets there meanwhile is not missing
	logs := b.Logs.Logs()
	for _, dir := range b.Logs.Dirs() {
		var out protocol.DescribeLogDirsResponseDescribeLogDirsResult
		out.SetDefaults()
		out.LogDir = dir.Path
		if dir.Err != nil {
			out.ErrorCode = protocol.KafkaStorageError
			response.Results = append(response.Results, out)
			continue
		}
		out.IsCordoned = dir.Cordoned
		out.TotalBytes, out.UsableBytes = dir.Usage.Total, dir.Usage.Free
		byTopic := map[string]int{}
		add := func(topic string, p protocol.DescribeLogDirsResponseDescribeLogDirsPartition) {
			at, ok := byTopic[topic]
			if !ok {
				at = len(out.Topics)
				byTopic[topic] = at
				out.Topics = append(out.Topics, protocol.DescribeLogDirsResponseDescribeLogDirsTopic{Name: topic})
			}
			out.Topics[at].Partitions = append(out.Topics[at].Partitions, p)
		}
		for _, log := range logs {
			if log.Dir() == dir.Path && !isMetadata(log.Topic()) && wanted(log.Topic(), log.Partition()) {
				add(log.Topic(), protocol.DescribeLogDirsResponseDescribeLogDirsPartition{
					PartitionIndex: log.Partition(), PartitionSize: log.Size(),
				})
			}
		}
		for _, move := range moves {
			if move.Dir == dir.Path && wanted(move.Topic, move.Partition) {
				add(move.Topic, protocol.DescribeLogDirsResponseDescribeLogDirsPartition{
					PartitionIndex: move.Partition, PartitionSize: move.Bytes, OffsetLag: move.Lag, IsFutureKey: true,
				})
			}
		}
		response.Results = append(response.Results, out)
	}
	return response
}

// isMetadata tells the log of the metadata quorum, which is no topic to clients.
func isMetadata(topic string) bool { return topic == "__cluster_metadata" }
