package txn

import (
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// sender writes the markers of one decided transaction until all are written, and then
// tells the core. It implements runtime.Call, so that it starts when the decision is
// committed; if that fails, memory is read again and the decision, if it is there, makes
// another sender.
type sender struct {
	c         *Coordinator
	partition int32 // of __transaction_state
	ending    Ending

	mu      sync.Mutex
	waiting int              // answers that are still to come in this attempt
	failed  []TopicPartition // to be tried again
	stopped bool             // another coordinator has taken over
}

func (c *Coordinator) newSender(partition int32, e Ending) *sender {
	return &sender{c: c, partition: partition, ending: e}
}

// Reply implements runtime.Call.
func (s *sender) Reply() { s.c.cfg.Go(func() { s.send(s.ending.Partitions) }) }

// Fail implements runtime.Call. A decision that took too long to be committed may be
// committed yet: the core is asked again.
func (s *sender) Fail(code protocol.ErrorCode) {
	if code == protocol.NotCoordinator || code == protocol.CoordinatorLoadInProgress {
		return // whoever reads the decision goes on from there
	}
	s.later(s.ending.Partitions)
}

// later goes on after a pause, if the core says that it is still this sender's turn: the
// marker of a transaction that is over could end the next one.
func (s *sender) later(partitions []TopicPartition) {
	call := &resumeCall{
		ending: &s.ending, failed: func(code protocol.ErrorCode) { s.Fail(code) },
		resume: func() { s.c.cfg.Go(func() { s.send(partitions) }) },
	}
	s.c.cfg.Clock.AfterFunc(retryMarkersMs, func() { s.c.rt.Submit(s.partition, call) })
}

// send is one attempt.
func (s *sender) send(partitions []TopicPartition) {
	epoch, ok := s.c.epoch(s.partition)
	if !ok {
		return // whoever leads now has read the decision
	}
	if len(partitions) == 0 {
		s.complete()
		return
	}
	s.waiting, s.failed = len(partitions), nil
	s.c.cfg.Participants.WriteMarkers(Marker{
		ProducerID: s.ending.ProducerID, Epoch: s.ending.Epoch, CoordinatorEpoch: epoch,
		Commit: s.ending.Commit, Version: s.ending.Version,
	}, partitions, s.written)
}

// written takes the answer of one partition.
func (s *sender) written(p TopicPartition, err error) {
	s.mu.Lock()
	switch code := protocol.CodeOf(err); code {
	case protocol.None:
	case protocol.InvalidProducerEpoch:
		// The partition has seen a later epoch of this producer, which it can only have
		// after this transaction ended there: the marker is written already.
		s.c.cfg.Logger.Info("a partition has gone past the end of a transaction", "transactional_id", s.ending.TransactionalID,
			"producer_id", s.ending.ProducerID, "topic", p.Topic, "partition", p.Index, "error", err)
	case protocol.TransactionCoordinatorFenced:
		s.stopped = true
		s.c.cfg.Logger.Warn("another coordinator ends this transaction", "transactional_id", s.ending.TransactionalID,
			"topic", p.Topic, "partition", p.Index, "error", err)
	default:
		s.failed = append(s.failed, p)
		s.c.cfg.Logger.Debug("the end of a transaction is tried again", "transactional_id", s.ending.TransactionalID,
			"topic", p.Topic, "partition", p.Index, "error", err, "retry_ms", retryMarkersMs)
	}
	s.waiting--
	over, failed, stopped := s.waiting == 0, s.failed, s.stopped
	s.mu.Unlock()
	switch {
	case !over || stopped:
	case len(failed) > 0:
		s.later(failed)
	default:
		s.complete()
	}
}

// complete tells the core, again and again until the core or its end is reached.
func (s *sender) complete() {
	s.c.rt.Submit(s.partition, &completeCall{ending: &s.ending, failed: func(code protocol.ErrorCode) {
		if code != protocol.NotCoordinator && code != protocol.CoordinatorLoadInProgress {
			s.c.cfg.Clock.AfterFunc(retryMarkersMs, s.complete)
		}
	}})
}
