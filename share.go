package naru

import (
	"time"

	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/coordinator/share"
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// shareSettings gives the share coordinator the settings that concern it.
func shareSettings(v config.Values) share.Settings {
	s := share.DefaultSettings()
	s.UpdatesPerSnapshot = v.Int32("share.coordinator.snapshot.update.records.per.snapshot")
	s.ColdSnapshotIntervalMs = v.Int64("share.coordinator.cold.partition.snapshot.interval.ms")
	s.PruneIntervalMs = v.Int64("share.coordinator.state.topic.prune.interval.ms")
	s.WriteTimeoutMs = v.Int64("share.coordinator.write.timeout.ms")
	s.LoadBufferBytes = int(v.Int32("share.coordinator.load.buffer.size"))
	s.Codec = compress.Codec(v.Int32("share.coordinator.state.topic.compression.codec")) //nolint:gosec // the table limits it
	return s
}

// newShares returns the share coordinator over the topic of the share groups' state.
func newShares(n *Node) *share.Coordinator {
	return share.New(share.Config{
		Settings: shareSettings(n.values), Partitions: n.values.Int32("share.coordinator.state.topic.num.partitions"),
		Log:   replica.TopicLog{Manager: n.replicas, Topic: share.TopicName},
		Clock: clock{n.timer, time.Now()}, Logger: n.log,
		TopicPartitions: func(topic protocol.UUID) int32 {
			t := n.publisher.Current().TopicByID(topic)
			if t == nil {
				return 0
			}
			return int32(t.PartitionCount())
		},
	})
}

// leadShares takes and gives up the coordination of share groups' state with the
// leadership of the partitions of its topic.
func (n *Node) leadShares(t metadata.TopicChange) {
	if t.New == nil {
		return
	}
	n.shares.SetPartitions(int32(t.New.PartitionCount()))
	for _, index := range t.Partitions {
		p, ok := t.New.Partition(index)
		switch {
		case !ok:
		case p.Leader == nodeID(n.values):
			n.shares.OnElected(index, p.LeaderEpoch)
		default:
			n.shares.OnResigned(index, p.LeaderEpoch)
		}
	}
}
