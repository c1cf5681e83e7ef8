package server

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// describeLogDirs tells how much room each log directory has and what each
// partition takes of it.
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
		for _, log := range b.Logs.Logs() {
			if log.Dir() != dir.Path || isMetadata(log.Topic()) || !wanted(log.Topic(), log.Partition()) {
				continue
			}
			at, ok := byTopic[log.Topic()]
			if !ok {
				at = len(out.Topics)
				byTopic[log.Topic()] = at
				out.Topics = append(out.Topics, protocol.DescribeLogDirsResponseDescribeLogDirsTopic{Name: log.Topic()})
			}
			out.Topics[at].Partitions = append(out.Topics[at].Partitions, protocol.DescribeLogDirsResponseDescribeLogDirsPartition{
				PartitionIndex: log.Partition(), PartitionSize: log.Size(),
			})
		}
		response.Results = append(response.Results, out)
	}
	return response
}

// isMetadata tells the log of the metadata quorum, which is no topic to clients.
func isMetadata(topic string) bool { return topic == "__cluster_metadata" }
