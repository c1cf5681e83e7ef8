package producerstate

import (
	"fmt"
	"math"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// apply checks one batch and changes the State by it, leaving a change to undo.
// After an error the caller rolls back.
func (s *State) apply(b record.Batch, origin Origin, transactionVersion int16, nowMs int64) error {
	s.undo = append(s.undo, change{
		before: producer{id: record.NoProducerID}, opened: NoOffset, completed: NoOffset,
		abortedAt: len(s.aborted), endOffset: s.endOffset,
	})
	c := &s.undo[len(s.undo)-1]
	s.endOffset = b.NextOffset()
	if !b.HasProducerID() {
		return nil
	}
	var marker record.EndTxnMarker
	if b.IsControl() {
		m, ok, err := b.EndTxn()
		if err != nil {
			return fmt.Errorf("reading a marker of producer %d: %w: %w", b.ProducerID(), protocol.CorruptMessage, err)
		}
		// A control batch emptied by compaction ended a transaction of which
		// nothing is left.
		if !ok {
			return nil
		}
		marker = m
	}
	n := s.producers[b.ProducerID()]
	if n == nil && origin == Client && len(s.open) >= s.limits.MaxProducers {
		return fmt.Errorf("%d transactions are open in this partition, no room for producer %d: %w",
			len(s.open), b.ProducerID(), protocol.PolicyViolation)
	}
	if n == nil {
		c.created = true
		c.before.id = b.ProducerID()
	} else {
		c.before = n.producer
	}
	n = s.see(b.ProducerID(), nowMs)
	if b.IsControl() {
		return s.applyMarker(&n.producer, b, marker, origin, transactionVersion, c)
	}
	return s.applyData(&n.producer, b, origin, c)
}

func (s *State) applyData(p *producer, b record.Batch, origin Origin, c *change) error {
	if err := p.checkEpoch(b, origin); err != nil {
		return err
	}
	if origin == Client {
		if err := p.checkSequence(b); err != nil {
			return err
		}
		if p.txnFirstOffset != NoOffset && !b.IsTransactional() {
			return fmt.Errorf("producer %d writes outside its transaction that is open since offset %d: %w",
				p.id, p.txnFirstOffset, protocol.InvalidTxnState)
		}
	}
	p.setEpoch(b.ProducerEpoch())
	p.add(batch{
		lastOffset:  b.LastOffset(),
		timestamp:   b.MaxTimestamp(),
		lastSeq:     b.LastSequence(),
		offsetDelta: b.LastOffsetDelta(),
	})
	p.lastTimestamp = b.MaxTimestamp()
	if b.IsTransactional() && p.txnFirstOffset == NoOffset {
		p.txnFirstOffset = b.BaseOffset()
		c.opened = p.txnFirstOffset
		s.open.add(txn{first: p.txnFirstOffset, last: NoOffset, producerID: p.id})
	}
	return nil
}

// checkEpoch fences batches of an older epoch.
func (p *producer) checkEpoch(b record.Batch, origin Origin) error {
	if origin != Replication && b.ProducerEpoch() < p.epoch {
		return fmt.Errorf("producer %d writes with epoch %d, the last was %d: %w",
			p.id, b.ProducerEpoch(), p.epoch, protocol.InvalidProducerEpoch)
	}
	return nil
}

// checkSequence demands that the batch follows the last one of its epoch.
func (p *producer) checkSequence(b record.Batch) error {
	first := b.BaseSequence()
	var want int32
	switch {
	case p.epoch == record.NoProducerEpoch:
		return nil // not known: any start is accepted (KIP-360)
	case p.epoch != b.ProducerEpoch():
		want = 0
	case p.lastSeq() == math.MaxInt32:
		want = 0
	default:
		want = p.lastSeq() + 1
	}
	if first != want {
		return fmt.Errorf("producer %d, epoch %d sends sequence number %d instead of %d at offset %d: %w",
			p.id, b.ProducerEpoch(), first, want, b.BaseOffset(), protocol.OutOfOrderSequenceNumber)
	}
	return nil
}

func (s *State) applyMarker(p *producer, b record.Batch, m record.EndTxnMarker, origin Origin, transactionVersion int16, c *change) error {
	if err := p.checkEpoch(b, origin); err != nil {
		return err
	}
	if origin != Replication {
		// With version 2 every transaction ends with a newer epoch; the same epoch
		// while one is open is a marker of an earlier transaction, come late.
		if transactionVersion >= 2 && b.ProducerEpoch() == p.epoch && p.txnFirstOffset != NoOffset {
			return fmt.Errorf("marker for producer %d has epoch %d of its open transaction: %w",
				p.id, b.ProducerEpoch(), protocol.InvalidProducerEpoch)
		}
		if m.CoordinatorEpoch < p.coordinatorEpoch {
			return fmt.Errorf("marker for producer %d comes from coordinator epoch %d, the last was %d: %w",
				p.id, m.CoordinatorEpoch, p.coordinatorEpoch, protocol.TransactionCoordinatorFenced)
		}
	}
	p.setEpoch(b.ProducerEpoch())
	p.coordinatorEpoch = max(p.coordinatorEpoch, m.CoordinatorEpoch)
	p.lastTimestamp = b.MaxTimestamp()
	p.endedAt = b.LastOffset()
	if p.txnFirstOffset == NoOffset {
		return nil
	}
	done := txn{first: p.txnFirstOffset, last: b.LastOffset(), producerID: p.id}
	p.txnFirstOffset = NoOffset
	c.completed = done.first
	s.open.remove(done.first)
	s.unreplicated.add(done)
	if m.Type == record.ControlAbort {
		lastStable := done.last + 1
		if first, ok := s.open.first(); ok {
			lastStable = first
		}
		s.aborted = append(s.aborted, AbortedTxn{
			ProducerID: p.id, FirstOffset: done.first, LastOffset: done.last, LastStableOffset: lastStable,
		})
	}
	return nil
}
