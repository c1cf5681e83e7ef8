package runtime

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metalog"
)

// describeQuorum tells who leads the quorum and how far its members are: this
// node alone.
func (c *Controller) describeQuorum(r *protocol.DescribeQuorumRequest, version int16) *protocol.DescribeQuorumResponse {
	resp := &protocol.DescribeQuorumResponse{}
	resp.SetDefaults()
	none := ""
	resp.ErrorMessage = &none
	for _, topic := range r.Topics {
		answer := protocol.DescribeQuorumResponseTopicData{TopicName: topic.TopicName}
		for _, p := range topic.Partitions {
			answer.Partitions = append(answer.Partitions, c.describePartition(topic.TopicName, p.PartitionIndex, version))
		}
		resp.Topics = append(resp.Topics, answer)
	}
	if version >= 2 {
		node := protocol.DescribeQuorumResponseNode{NodeId: c.cfg.NodeID}
		for _, e := range c.cfg.Endpoints {
			node.Listeners = append(node.Listeners, protocol.DescribeQuorumResponseListener{Name: e.Name, Host: e.Host, Port: e.Port})
		}
		resp.Nodes = append(resp.Nodes, node)
	}
	return resp
}

func (c *Controller) describePartition(topic string, partition int32, version int16) protocol.DescribeQuorumResponsePartitionData {
	if topic != metalog.Topic || partition != 0 {
		message := "This server does not host this topic-partition."
		return protocol.DescribeQuorumResponsePartitionData{
			PartitionIndex: partition, ErrorCode: protocol.UnknownTopicOrPartition, ErrorMessage: &message,
		}
	}
	none := ""
	end, nowMs := c.end.Load(), c.nowMs()
	self := protocol.DescribeQuorumResponseReplicaState{
		ReplicaId: c.cfg.NodeID, LogEndOffset: end, LastFetchTimestamp: -1, LastCaughtUpTimestamp: -1,
	}
	if version >= 1 {
		self.LastFetchTimestamp, self.LastCaughtUpTimestamp = nowMs, nowMs
	}
	if version >= 2 {
		self.ReplicaDirectoryId = c.cfg.DirectoryID
	}
	return protocol.DescribeQuorumResponsePartitionData{
		PartitionIndex: partition,
		ErrorMessage:   &none,
		LeaderId:       c.cfg.NodeID,
		LeaderEpoch:    c.core.Epoch(),
		HighWatermark:  end,
		CurrentVoters:  []protocol.DescribeQuorumResponseReplicaState{self},
	}
}
