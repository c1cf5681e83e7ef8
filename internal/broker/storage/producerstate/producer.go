package producerstate

import (
	"math"

	"github.com/naru-stream/naru/internal/kafka/record"
)

// Window is how many batches of a producer are remembered: the number of requests
// an idempotent client may have in flight.
const Window = 5

// NoOffset stands for an offset that does not exist.
const NoOffset = -1

// batch is what is remembered of one batch. It covers offsetDelta+1 sequences.
type batch struct {
	lastOffset  int64
	timestamp   int64 // ms, the batch's max timestamp
	lastSeq     int32
	offsetDelta int32
}

func (b *batch) firstOffset() int64 { return b.lastOffset - int64(b.offsetDelta) }

func (b *batch) firstSeq() int32 {
	if b.lastSeq < 0 {
		return record.NoSequence
	}
	return int32((int64(b.lastSeq) - int64(b.offsetDelta)) & math.MaxInt32)
}

// producer is everything remembered of one producer id. It is copied as a whole
// to be restored by Rollback.
type producer struct {
	id               int64
	txnFirstOffset   int64 // NoOffset: no open transaction
	endedAt          int64 // offset of the last marker seen in this run, see State.Guard
	lastTimestamp    int64 // ms, of the last batch or marker
	lastSeenMs       int64 // the broker's time of the last batch
	batches          [Window]batch
	coordinatorEpoch int32
	epoch            int16
	oldest, used     uint8 // the window is a ring
}

func newProducer(id int64) producer {
	return producer{
		id:               id,
		txnFirstOffset:   NoOffset,
		endedAt:          NoOffset,
		lastTimestamp:    record.NoTimestamp,
		coordinatorEpoch: -1,
		epoch:            record.NoProducerEpoch,
	}
}

// at returns the i-th batch of the window, oldest first.
func (p *producer) at(i int) *batch { return &p.batches[(int(p.oldest)+i)%Window] }

func (p *producer) lastSeq() int32 {
	if p.used == 0 {
		return record.NoSequence
	}
	return p.at(int(p.used) - 1).lastSeq
}

func (p *producer) lastDataOffset() int64 {
	if p.used == 0 {
		return NoOffset
	}
	return p.at(int(p.used) - 1).lastOffset
}

// setEpoch takes over an epoch; batches of another epoch are forgotten, since no
// duplicate of them can be accepted any more.
func (p *producer) setEpoch(epoch int16) {
	if p.epoch != epoch {
		p.epoch, p.used, p.oldest = epoch, 0, 0
	}
}

func (p *producer) add(b batch) {
	if p.used < Window {
		*p.at(int(p.used)) = b
		p.used++
		return
	}
	p.batches[p.oldest] = b
	p.oldest = (p.oldest + 1) % Window
}

// find returns the remembered batch with exactly this epoch and sequences.
func (p *producer) find(epoch int16, firstSeq, lastSeq int32) *batch {
	if epoch != p.epoch {
		return nil
	}
	for i := range int(p.used) {
		if b := p.at(i); b.lastSeq == lastSeq && b.firstSeq() == firstSeq {
			return b
		}
	}
	return nil
}

// Producer describes one producer, as DescribeProducers reports it.
type Producer struct {
	ID               int64
	Epoch            int16
	LastSequence     int32 // record.NoSequence when only markers are known
	LastDataOffset   int64 // of the last batch, NoOffset when only markers are known
	LastTimestampMs  int64
	CoordinatorEpoch int32 // −1 when no marker has been seen
	TxnFirstOffset   int64 // NoOffset when no transaction is open
}

// node is a producer in the list that is ordered by when it was last seen.
type node struct {
	producer

	prev, next *node
}
