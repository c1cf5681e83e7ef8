package txn

import (
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// freshID is the part of a call that may need a new producer id. The core cannot make
// one: it says so and gets the call again with one.
type freshID struct {
	id    int64 // noProducerID until there is one
	asked bool
}

// take returns the fresh id, which is used up by that. ok is false if there is none:
// the caller has to hand the call back.
func (f *freshID) take() (id int64, ok bool) {
	if f.id == noProducerID {
		f.asked = true
		return 0, false
	}
	id = f.id
	f.id = noProducerID
	return id, true
}

// initCall is an InitProducerId request with a transactional id.
type initCall struct {
	runtime.Exchange[protocol.InitProducerIdRequest, protocol.InitProducerIdResponse]
	fresh freshID
	// again gets the call a producer id and submits it once more.
	again func(*initCall)
}

// Reply implements runtime.Call.
func (x *initCall) Reply() {
	if x.fresh.asked {
		x.fresh.asked = false
		x.again(x)
		return
	}
	x.Exchange.Reply()
}

func (c *core) init(e env, call *initCall) {
	code := c.tryInit(e, call)
	if code != protocol.None {
		refuseInit(call.Request, &call.Response, code)
	}
	e.out.Answer(call)
}

// tryInit makes the caller the present producer of its id. It returns None also when it
// needs a fresh producer id to go on.
func (c *core) tryInit(e env, call *initCall) protocol.ErrorCode {
	req := call.Request
	t := c.ids[*req.TransactionalId]
	if t == nil {
		return c.initNew(e, call)
	}
	known := req.ProducerId != noProducerID
	switch {
	case t.state.preparing():
		return protocol.ConcurrentTransactions
	case known && !t.belongs(req.ProducerId, req.ProducerEpoch):
		return protocol.ProducerFenced
	case t.state == Ongoing:
		return c.fenceOngoing(e, t, known, req.ProducerEpoch)
	case t.exhausted() && (!known || req.ProducerId == t.producerID):
		id, ok := call.fresh.take()
		if !ok {
			return protocol.None
		}
		t.previousProducerID, t.producerID = t.producerID, id
		t.lastEpoch = noProducerEpoch
		if known {
			t.lastEpoch = t.epoch
		}
		t.epoch = 0
	default:
		if !t.bump(known, req.ProducerEpoch) {
			return protocol.ProducerFenced
		}
	}
	t.state, t.timeoutMs = Empty, req.TransactionTimeoutMs
	t.startMs = noTime
	clear(t.partitions)
	c.write(e, t)
	call.Response.ProducerId, call.Response.ProducerEpoch = t.producerID, t.epoch
	return protocol.None
}

// belongs tells whether a producer that says it has an id may be the present one: it
// has the present id, or the one before and used that up (its request is a retry).
func (t *transaction) belongs(producerID int64, epoch int16) bool {
	return producerID == t.producerID || producerID == t.previousProducerID && epoch >= lastClientEpoch
}

// bump raises the epoch, unless the request is a retry of the one that did so. It is
// false if the producer has been replaced.
func (t *transaction) bump(known bool, epoch int16) bool {
	switch {
	case !known:
		t.previousProducerID, t.lastEpoch = t.producerID, noProducerEpoch
		t.epoch++
	case epoch == t.epoch && epoch < lastClientEpoch:
		t.previousProducerID, t.lastEpoch = t.producerID, t.epoch
		t.epoch++
	case epoch == t.lastEpoch:
		// A new instance would have erased the last epoch, so this one is the owner.
	default:
		return false
	}
	return true
}

func (c *core) initNew(e env, call *initCall) protocol.ErrorCode {
	req := call.Request
	if len(c.ids) >= MaxIDsPerPartition {
		return protocol.PolicyViolation
	}
	id, ok := call.fresh.take()
	if !ok {
		return protocol.None
	}
	t := &transaction{
		id: strings.Clone(*req.TransactionalId), producerID: id, previousProducerID: noProducerID, nextProducerID: noProducerID,
		epoch: 0, lastEpoch: noProducerEpoch, timeoutMs: req.TransactionTimeoutMs, state: Empty, startMs: noTime,
		partitions: make(map[TopicPartition]struct{}),
	}
	c.ids[t.id] = t
	c.write(e, t)
	call.Response.ProducerId, call.Response.ProducerEpoch = t.producerID, t.epoch
	return protocol.None
}

// fenceOngoing aborts the transaction of a producer that is being replaced. Its epoch
// is raised once; the new instance gets another when it asks again.
func (c *core) fenceOngoing(e env, t *transaction, known bool, epoch int16) protocol.ErrorCode {
	if known && epoch != t.epoch {
		return protocol.ProducerFenced
	}
	fenced := t.epoch
	c.abortFenced(e, t)
	if known {
		// The owner itself wants to start afresh: asking again is a retry of this.
		t.lastEpoch = fenced
	}
	return protocol.ConcurrentTransactions
}

// abortFenced aborts an ongoing transaction against the will of its producer, whose
// epoch becomes too old by that.
func (c *core) abortFenced(e env, t *transaction) {
	t.epoch++ // at most to the highest value: no producer was given that
	t.lastEpoch = noProducerEpoch
	t.state = PrepareAbort
	c.write(e, t)
	c.sendMarkers(e, t)
}

func refuseInit(_ *protocol.InitProducerIdRequest, r *protocol.InitProducerIdResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ProducerId, r.ProducerEpoch, r.ErrorCode = noProducerID, noProducerEpoch, code
}
