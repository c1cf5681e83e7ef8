package server

import (
	"fmt"

	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/coordinator/group"
	"github.com/naru-stream/naru/internal/coordinator/txn"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/quorum/publish"
)

// The first versions of Produce that can tell, and that take part in, KIP-890.
const (
	// abortableProduceVersion knows TRANSACTION_ABORTABLE.
	abortableProduceVersion = 11
	// implicitAddProduceVersion adds partitions to the transaction by producing.
	implicitAddProduceVersion = 12
)

// fencedCode translates PRODUCER_FENCED for versions that do not know it.
func fencedCode(code protocol.ErrorCode, known bool) protocol.ErrorCode {
	if code == protocol.ProducerFenced && !known {
		return protocol.InvalidProducerEpoch
	}
	return code
}

// appendInTransaction appends a transactional batch if its transaction has records in
// the partition already, and else leaves it to be verified.
func (it *produceItem) appendInTransaction(p *replica.Partition) {
	batch := record.Batch(it.append.Log.Batches)
	guard, open, err := p.Log().TransactionGuard(batch.ProducerID(), batch.ProducerEpoch())
	if err != nil {
		it.finish(err)
		return
	}
	// Where every end raises the epoch, what an end has overtaken is refused by that.
	it.append.Log.Guarded, it.append.Log.TransactionGuard = it.call.call.version() < implicitAddProduceVersion, guard
	if open || !it.call.mustVerify() {
		p.Append(&it.append)
		return
	}
	it.partition = p
}

// mustVerify tells whether the coordinator is asked before the first records of a
// transaction are written. Those who add partitions by producing have no choice.
func (p *produceCall) mustVerify() bool {
	return p.call.version() >= implicitAddProduceVersion ||
		p.broker.values().Bool("transaction.partition.verification.enable")
}

// verify asks the coordinator about the partitions in which this request begins a
// transaction, and appends to those it allows. It waits for the answer, so that what
// the client sends next stays behind: a transaction asks once for each partition.
func (p *produceCall) verify() {
	add := txn.Add{VerifyOnly: p.call.version() < implicitAddProduceVersion}
	var items []*produceItem
	for _, it := range p.items {
		if it.partition == nil {
			continue
		}
		batch := record.Batch(it.append.Log.Batches)
		if len(items) == 0 {
			add.ProducerID, add.Epoch = batch.ProducerID(), batch.ProducerEpoch()
		}
		if batch.ProducerID() != add.ProducerID || batch.ProducerEpoch() != add.Epoch {
			it.finish(fmt.Errorf("two producers in one request: %w", protocol.InvalidProducerIdMapping))
			continue
		}
		items = append(items, it)
		add.Partitions = append(add.Partitions, txn.TopicPartition{Topic: it.partition.Topic, Index: it.partition.Index})
	}
	if len(items) == 0 {
		return
	}
	if p.request.TransactionalId != nil {
		add.TransactionalID = *p.request.TransactionalId
	}
	if !add.VerifyOnly {
		add.Version = 2
	}
	code, absent := p.broker.askCoordinator(add)
	for _, it := range items {
		if code := p.verified(it, code, absent); code != protocol.None {
			it.finish(fmt.Errorf("verifying that %s-%d takes part in the transaction: %w", it.partition.Topic, it.partition.Index, code))
			continue
		}
		it.partition.Append(&it.append)
	}
}

// verified translates the coordinator's answer for one partition into what a producer
// of this version understands.
func (p *produceCall) verified(it *produceItem, code protocol.ErrorCode, absent []txn.TopicPartition) protocol.ErrorCode {
	for _, a := range absent {
		if a.Topic == it.partition.Topic && a.Index == it.partition.Index {
			code = protocol.TransactionAbortable
		}
	}
	switch code {
	case protocol.ProducerFenced:
		return protocol.InvalidProducerEpoch
	case protocol.TransactionAbortable:
		if p.call.version() < abortableProduceVersion {
			return protocol.InvalidTxnState
		}
	case protocol.ConcurrentTransactions, protocol.NetworkException, protocol.CoordinatorLoadInProgress,
		protocol.CoordinatorNotAvailable, protocol.NotCoordinator:
		// Producers do not know these on Produce. This one they retry, and do not ask for
		// metadata because of it.
		return protocol.NotEnoughReplicas
	}
	return code
}

// failure returns a code as an error, nil for none.
func failure(code protocol.ErrorCode) error {
	if code == protocol.None {
		return nil
	}
	return code
}

// askCoordinator waits for the transaction coordinator's answer.
func (b *Broker) askCoordinator(add txn.Add) (code protocol.ErrorCode, absent []txn.TopicPartition) {
	answered := make(chan struct{})
	add.Done = func(c protocol.ErrorCode, a []txn.TopicPartition) {
		code, absent = c, a
		close(answered)
	}
	b.Transactions.AddPartitions(add)
	<-answered
	return code, absent
}

// Participants writes the markers of transactions into the partitions of this broker.
// It implements txn.Participants; its methods may be called from any goroutine.
type Participants struct {
	// Replicas holds the partitions.
	Replicas *replica.Manager
	// Groups gets the markers of __consumer_offsets: it must know in which order they
	// come.
	Groups *group.Coordinator
	// Metadata tells which partitions exist.
	Metadata *publish.Publisher
}

// WriteMarkers implements txn.Participants. A partition that was deleted needs no
// marker.
func (p *Participants) WriteMarkers(m txn.Marker, partitions []txn.TopicPartition, done func(txn.TopicPartition, error)) {
	for _, at := range partitions {
		p.write(m, at, func(err error) {
			if protocol.CodeOf(err) == protocol.UnknownTopicOrPartition && p.knows(transactionsTopic) {
				// An image without the topic of the transactions is older than the
				// transaction, and proves nothing.
				err = nil
			}
			done(at, err)
		})
	}
}

func (p *Participants) knows(topic string) bool { return p.Metadata.Current().Topic(topic) != nil }

// write writes one marker and calls done when it is committed.
func (p *Participants) write(m txn.Marker, at txn.TopicPartition, done func(error)) {
	partition := p.Replicas.Partition(at.Topic, at.Index)
	if partition == nil {
		err := protocol.NotLeaderOrFollower
		if t := p.Metadata.Current().Topic(at.Topic); t == nil || int(at.Index) >= t.PartitionCount() {
			err = protocol.UnknownTopicOrPartition
		}
		done(fmt.Errorf("ending a transaction in %s-%d: %w", at.Topic, at.Index, err))
		return
	}
	if at.Topic == offsetsTopic {
		p.Groups.EndTransaction(at.Index, group.End{
			ProducerID: m.ProducerID, ProducerEpoch: m.Epoch, CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Commit, Version: m.Version,
			Done: func(code protocol.ErrorCode) { done(failure(code)) },
		})
		return
	}
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch = m.ProducerID, m.Epoch
	kind := record.ControlAbort
	if m.Commit {
		kind = record.ControlCommit
	}
	var builder record.Builder
	batch, err := record.AppendEndTxn(nil, spec, record.EndTxnMarker{Type: kind, CoordinatorEpoch: m.CoordinatorEpoch}, nowMs(), &builder)
	if err != nil {
		done(err)
		return
	}
	partition.Append(&replica.Append{
		Log:  storage.Append{Batches: batch, Origin: storage.OriginCoordinator, TransactionVersion: m.Version},
		Acks: -1,
		Done: func(a *replica.Append) { done(a.Err) },
	})
}
