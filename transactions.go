package naru

import (
	"time"

	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/server"
	"github.com/naru-stream/naru/internal/coordinator/txn"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// transactionSettings gives the transaction coordinator the settings that concern it.
func transactionSettings(v config.Values) txn.Settings {
	s := txn.DefaultSettings()
	s.MaxTimeoutMs = v.Int32("transaction.max.timeout.ms")
	s.AbortTimedOutIntervalMs = v.Int64("transaction.abort.timed.out.transaction.cleanup.interval.ms")
	s.RemoveExpiredIntervalMs = v.Int64("transaction.remove.expired.transaction.cleanup.interval.ms")
	s.IDExpirationMs = v.Int64("transactional.id.expiration.ms")
	s.HoldMaxMs = v.Int64("add.partitions.to.txn.retry.backoff.max.ms")
	s.LoadBufferBytes = int(v.Int32("transaction.state.log.load.buffer.size"))
	return s
}

// newTransactions returns the transaction coordinator over the transactions topic.
func newTransactions(n *Node, ids *server.ProducerIDs) *txn.Coordinator {
	return txn.New(txn.Config{
		Settings: transactionSettings(n.values), Partitions: n.values.Int32("transaction.state.log.num.partitions"),
		Log:   replica.TopicLog{Manager: n.replicas, Topic: txn.TopicName},
		Clock: clock{n.timer, time.Now()}, NewProducerID: ids.Next, Logger: n.log,
		Participants: &server.Participants{Replicas: n.replicas, Groups: n.groups, Metadata: n.publisher},
	})
}

// leadTransactions takes and gives up the coordination of transactions with the
// leadership of the partitions of their topic.
func (n *Node) leadTransactions(t metadata.TopicChange) {
	if t.New == nil {
		return
	}
	n.txns.SetPartitions(int32(t.New.PartitionCount()))
	for _, index := range t.Partitions {
		p, ok := t.New.Partition(index)
		switch {
		case !ok:
		case p.Leader == nodeID(n.values):
			n.txns.OnElected(index, p.LeaderEpoch)
		default:
			n.txns.OnResigned(index, p.LeaderEpoch)
		}
	}
}
