package server

import (
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Names of the topics that belong to the broker. Clients may read but not write
// them.
const (
	offsetsTopic      = "__consumer_offsets"
	transactionsTopic = "__transaction_state"
	shareStateTopic   = "__share_group_state"
)

func isInternal(topic string) bool {
	return topic == offsetsTopic || topic == transactionsTopic || topic == shareStateTopic
}

// Which operations a client may use on a resource, as bits by Kafka's operation
// numbers. Without an authorizer everybody may do everything.
const (
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
)

// partitionFor finds the replica a request names by topic name or by topic id, and
// returns UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID or NOT_LEADER_OR_FOLLOWER
// where this broker does not lead it.
func (b *Broker) partitionFor(topic string, id protocol.UUID, index int32, byID bool) (*replica.Partition, error) {
	var p *replica.Partition
	if byID {
		p = b.Replicas.PartitionByID(id, index)
	} else {
		p = b.Replicas.Partition(topic, index)
	}
	if p != nil {
		if p.LeaderEpoch() < 0 {
			return nil, protocol.NotLeaderOrFollower
		}
		return p, nil
	}
	image := b.image()
	if byID {
		t := image.TopicByID(id)
		if t == nil {
			return nil, protocol.UnknownTopicId
		}
		topic = t.Name
	}
	if t := image.Topic(topic); t != nil {
		if _, ok := t.Partition(index); ok {
			return nil, protocol.NotLeaderOrFollower
		}
	}
	return nil, protocol.UnknownTopicOrPartition
}

// checkEpoch compares the leader epoch a client knows with the partition's
// (KIP-320): FENCED_LEADER_EPOCH if the client's is older, UNKNOWN_LEADER_EPOCH if
// it is newer. -1 means that the client does not say.
func checkEpoch(p *replica.Partition, known int32) error {
	switch current := p.LeaderEpoch(); {
	case known < 0 || known == current:
		return nil
	case known < current:
		return protocol.FencedLeaderEpoch
	default:
		return protocol.UnknownLeaderEpoch
	}
}
