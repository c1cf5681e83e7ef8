package producerstate

import (
	"fmt"
	"iter"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// DefaultMaxProducers bounds the producers remembered per partition.
const DefaultMaxProducers = 1 << 16

// Origin says who made the batches of an append, and so what is checked.
type Origin int8

const (
	// Client is a producer: everything is checked.
	Client Origin = iota
	// Coordinator is a group or transaction coordinator writing markers or
	// transactional offsets: epochs are checked, sequences do not exist.
	Coordinator
	// Replication is a copy of the leader's log, or the log itself replayed:
	// nothing is refused.
	Replication
)

// Limits bound a State and say when producers are forgotten.
type Limits struct {
	// MaxProducers is how many producers are remembered; beyond it the ones not
	// seen for longest are forgotten. 0 means DefaultMaxProducers.
	MaxProducers int
	// ExpirationMs is producer.id.expiration.ms: how long a silent producer is
	// remembered. 0 means for ever.
	ExpirationMs int64
}

// State is the memory of one partition. New makes one; see the package comment
// for how it is used.
type State struct {
	limits       Limits
	producers    map[int64]*node
	list         node // ring, the producer seen last in list.prev
	open         txnSet
	unreplicated txnSet
	aborted      []AbortedTxn // ended since the last Commit
	undo         []change
	endOffset    int64 // behind the last batch that was applied
}

// change is what Rollback needs to take back one batch.
type change struct {
	before    producer
	created   bool
	opened    int64 // first offset of the transaction this batch opened
	completed int64 // first offset of the transaction this marker ended
	abortedAt int   // length of State.aborted before
	endOffset int64
}

// Result is what Prepare decided about an append.
type Result struct {
	// Duplicate says that all batches are in the log already and must not be
	// written again; the other fields then describe the originals.
	Duplicate   bool
	BaseOffset  int64
	LastOffset  int64
	TimestampMs int64
}

// New returns an empty State.
func New(limits Limits) *State {
	if limits.MaxProducers <= 0 {
		limits.MaxProducers = DefaultMaxProducers
	}
	s := &State{limits: limits}
	s.clear()
	return s
}

func (s *State) clear() {
	s.producers = nil // made by the first producer: most partitions have none
	s.list.prev, s.list.next = &s.list, &s.list
	s.open, s.unreplicated, s.aborted, s.undo = nil, nil, nil, nil
	s.endOffset = 0
}

// SetLimits changes the limits; they take effect with the next Commit or Expire.
func (s *State) SetLimits(limits Limits) {
	if limits.MaxProducers <= 0 {
		limits.MaxProducers = DefaultMaxProducers
	}
	s.limits = limits
}

// Prepare checks the batches of one append and applies them until Commit or
// Rollback. The batches are complete, checked, and have the offsets they are
// going to be written with. NowMs is the broker's time, used for expiry only.
//
// TransactionVersion is that of the markers among the batches (0 and 1: KIP-98,
// 2: KIP-890); it is ignored for other batches.
//
// An error wraps the protocol.ErrorCode of the answer and leaves the State as it
// was before the call.
func (s *State) Prepare(batches []byte, origin Origin, transactionVersion int16, nowMs int64) (Result, error) {
	mark := len(s.undo)
	res, err := s.prepare(batches, origin, transactionVersion, nowMs)
	if err != nil {
		s.rollbackTo(mark)
	}
	return res, err
}

func (s *State) prepare(batches []byte, origin Origin, transactionVersion int16, nowMs int64) (res Result, err error) {
	for applied := false; len(batches) > 0; {
		var b record.Batch
		if b, batches, err = record.Next(batches); err != nil {
			return Result{}, fmt.Errorf("reading the batches of an append: %w: %w", protocol.CorruptMessage, err)
		}
		dup := s.duplicate(b, origin)
		switch {
		case dup != nil && applied, dup == nil && res.Duplicate:
			return Result{}, fmt.Errorf("producer %d sends new and known batches in one append: %w",
				b.ProducerID(), protocol.OutOfOrderSequenceNumber)
		case dup != nil:
			if !res.Duplicate {
				res = Result{Duplicate: true, BaseOffset: dup.firstOffset()}
			}
			res.LastOffset, res.TimestampMs = dup.lastOffset, dup.timestamp
			continue
		}
		if err := s.apply(b, origin, transactionVersion, nowMs); err != nil {
			return Result{}, err
		}
		if !applied {
			applied, res.BaseOffset = true, b.BaseOffset()
		}
		res.LastOffset, res.TimestampMs = b.LastOffset(), b.MaxTimestamp()
	}
	return res, nil
}

// duplicate returns the batch of the window that b repeats.
func (s *State) duplicate(b record.Batch, origin Origin) *batch {
	if origin != Client || !b.HasProducerID() {
		return nil
	}
	n := s.producers[b.ProducerID()]
	if n == nil {
		return nil
	}
	return n.find(b.ProducerEpoch(), b.BaseSequence(), b.LastSequence())
}

// Replay applies a batch that is in the log, during recovery or after a
// truncation, and keeps it: no Commit is needed. Of a data batch only the header
// is read, of a control batch all. NowMs counts as the time the producer was last
// seen. It returns the transactions that the batch aborted, valid until the next
// call; batches that cannot be understood are left out.
func (s *State) Replay(b record.Batch, nowMs int64) []AbortedTxn {
	mark := len(s.undo)
	if err := s.apply(b, Replication, 0, nowMs); err != nil {
		s.rollbackTo(mark)
	}
	return s.Commit()
}

// Commit keeps everything prepared since the last Commit, which has now been
// written. It returns the transactions that were aborted, for the transaction
// index; the slice is valid until the next Prepare or Replay.
func (s *State) Commit() []AbortedTxn {
	aborted := s.aborted
	s.aborted, s.undo = s.aborted[:0], s.undo[:0]
	for n := s.list.next; len(s.producers) > s.limits.MaxProducers && n != &s.list; {
		next := n.next
		if n.txnFirstOffset == NoOffset {
			s.forget(n)
		}
		n = next
	}
	return aborted
}

// Rollback takes back everything prepared since the last Commit, which has not
// been written.
func (s *State) Rollback() { s.rollbackTo(0) }

func (s *State) rollbackTo(mark int) {
	for i := len(s.undo) - 1; i >= mark; i-- {
		c := &s.undo[i]
		if c.completed != NoOffset {
			s.unreplicated.remove(c.completed)
			s.open.add(txn{first: c.completed, last: NoOffset, producerID: c.before.id})
		}
		if c.opened != NoOffset {
			s.open.remove(c.opened)
		}
		s.aborted = s.aborted[:c.abortedAt]
		s.endOffset = c.endOffset
		if n := s.producers[c.before.id]; n != nil && c.created {
			s.forget(n)
		} else if n != nil {
			n.producer = c.before
		}
	}
	s.undo = s.undo[:mark]
}

// forget removes a producer. Its node is not in use any more.
func (s *State) forget(n *node) {
	n.prev.next, n.next.prev = n.next, n.prev
	delete(s.producers, n.id)
}

// see returns the producer's node as the one seen last, made if need be.
func (s *State) see(id, nowMs int64) *node {
	n := s.producers[id]
	if n == nil {
		if s.producers == nil {
			s.producers = make(map[int64]*node)
		}
		n = &node{producer: newProducer(id)}
		s.producers[id] = n
	} else {
		n.prev.next, n.next.prev = n.next, n.prev
	}
	n.prev, n.next = s.list.prev, &s.list
	n.prev.next, n.next.prev = n, n
	n.lastSeenMs = max(n.lastSeenMs, nowMs)
	return n
}

// Expire forgets producers that have been silent for the expiration time, except
// those with an open transaction, and returns how many.
func (s *State) Expire(nowMs int64) int {
	if s.limits.ExpirationMs <= 0 {
		return 0
	}
	before := len(s.producers)
	for n := s.list.next; n != &s.list && nowMs-n.lastSeenMs >= s.limits.ExpirationMs; {
		next := n.next
		if n.txnFirstOffset == NoOffset {
			s.forget(n)
		}
		n = next
	}
	return before - len(s.producers)
}

// OnHighWatermark tells how far the log is replicated: transactions whose marker
// lies below it are decided for good.
func (s *State) OnHighWatermark(highWatermark int64) { s.settle(highWatermark) }

// OnLogStartOffset tells that everything below the offset has been deleted.
func (s *State) OnLogStartOffset(logStartOffset int64) {
	s.settle(logStartOffset)
	s.endOffset = max(s.endOffset, logStartOffset)
}

func (s *State) settle(below int64) {
	kept := s.unreplicated[:0]
	for _, t := range s.unreplicated {
		if t.last >= below {
			kept = append(kept, t)
		}
	}
	s.unreplicated = kept
}

// FirstUnstableOffset returns where the earliest transaction starts that is open
// or whose end is not replicated yet. Ok is false when there is none.
func (s *State) FirstUnstableOffset() (offset int64, ok bool) {
	open, hasOpen := s.open.first()
	ended, hasEnded := s.unreplicated.first()
	switch {
	case hasOpen && hasEnded:
		return min(open, ended), true
	case hasEnded:
		return ended, true
	}
	return open, hasOpen
}

// LastStableOffset returns the offset up to which consumers with read_committed
// may read, given the high watermark.
func (s *State) LastStableOffset(highWatermark int64) int64 {
	if first, ok := s.FirstUnstableOffset(); ok {
		return min(first, highWatermark)
	}
	return highWatermark
}

// FirstUndecidedOffset returns where the earliest open transaction starts, which
// the cleaner must not pass. Ok is false when none is open.
func (s *State) FirstUndecidedOffset() (offset int64, ok bool) { return s.open.first() }

// OpenTransaction returns where the producer's open transaction starts. Ok is
// false when it has none.
func (s *State) OpenTransaction(producerID int64) (firstOffset int64, ok bool) {
	n := s.producers[producerID]
	if n == nil || n.txnFirstOffset == NoOffset {
		return NoOffset, false
	}
	return n.txnFirstOffset, true
}

// Guard is taken before the transaction coordinator is asked whether the producer's
// transaction is under way, and checked (Guarded) when its records are written: a marker
// that came between the two ended that transaction, and the records would open one that
// nobody ends. Open says that the transaction is open here in this very epoch, so that
// nobody needs to be asked.
func (s *State) Guard(producerID int64, epoch int16) (guard int64, open bool) {
	n := s.producers[producerID]
	return s.endOffset, n != nil && n.txnFirstOffset != NoOffset && n.epoch == epoch
}

// Guarded returns INVALID_TXN_STATE if a transaction of the producer has ended since
// the guard was taken.
func (s *State) Guarded(producerID, guard int64) error {
	if n := s.producers[producerID]; n != nil && n.endedAt >= guard {
		return fmt.Errorf("the transaction of producer %d ended at offset %d while its records were on their way: %w",
			producerID, n.endedAt, protocol.InvalidTxnState)
	}
	return nil
}

// EndOffset returns the offset behind the last batch that was applied: where a
// replay would go on, and what a snapshot taken now covers.
func (s *State) EndOffset() int64 { return s.endOffset }

// Len returns how many producers are remembered.
func (s *State) Len() int { return len(s.producers) }

// All iterates over the producers, the one not seen for longest first. The State
// must not change meanwhile.
func (s *State) All() iter.Seq[Producer] {
	return func(yield func(Producer) bool) {
		for n := s.list.next; n != &s.list; n = n.next {
			p := Producer{
				ID: n.id, Epoch: n.epoch, LastSequence: n.lastSeq(), LastDataOffset: n.lastDataOffset(),
				LastTimestampMs: n.lastTimestamp, CoordinatorEpoch: n.coordinatorEpoch, TxnFirstOffset: n.txnFirstOffset,
			}
			if !yield(p) {
				return
			}
		}
	}
}
