package txn

import (
	"maps"
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// firstVersion2EndTxn is the first version of EndTxn of which the client understands
// that the epoch rises (KIP-890).
const firstVersion2EndTxn = 5

// endCall is an EndTxn request.
type endCall struct {
	runtime.Exchange[protocol.EndTxnRequest, protocol.EndTxnResponse]
	fresh freshID
	again func(*endCall)
}

// Reply implements runtime.Call.
func (x *endCall) Reply() {
	if x.fresh.asked {
		x.fresh.asked = false
		x.again(x)
		return
	}
	x.Exchange.Reply()
}

func (c *core) endTxn(e env, call *endCall) {
	t := c.ids[call.Request.TransactionalId]
	var code protocol.ErrorCode
	switch {
	case t == nil:
		code = protocol.InvalidProducerIdMapping
	case call.Context.Version >= firstVersion2EndTxn:
		code = c.endVersion2(e, t, call)
	default:
		code = c.endVersion1(e, t, call)
	}
	if code != protocol.None {
		refuseEnd(call.Request, &call.Response, code)
	}
	e.out.Answer(call)
}

func refuseEnd(_ *protocol.EndTxnRequest, r *protocol.EndTxnResponse, code protocol.ErrorCode) {
	r.SetDefaults()
	r.ErrorCode = code
}

// endVersion1 ends a transaction of a client that knows nothing of KIP-890: the epoch
// stays, so a retry looks like the request that it repeats.
func (c *core) endVersion1(e env, t *transaction, call *endCall) protocol.ErrorCode {
	req := call.Request
	switch {
	case t.producerID != req.ProducerId:
		return protocol.InvalidProducerIdMapping
	case t.epoch != req.ProducerEpoch:
		return protocol.ProducerFenced
	}
	wants := outcome(req.Committed)
	switch {
	case t.state == Ongoing:
		t.version = 0
		c.decide(e, t, wants)
		return protocol.None
	case t.decided() != wants:
		return protocol.InvalidTxnState
	case t.state.preparing():
		return protocol.ConcurrentTransactions
	default:
		return protocol.None
	}
}

// outcome is the state that decides for an end.
func outcome(commit bool) State {
	if commit {
		return PrepareCommit
	}
	return PrepareAbort
}

// decided returns the outcome of a transaction that is decided, or Empty.
func (t *transaction) decided() State {
	switch t.state {
	case PrepareCommit, CompleteCommit:
		return PrepareCommit
	case PrepareAbort, CompleteAbort:
		return PrepareAbort
	default:
		return Empty
	}
}

// endVersion2 ends a transaction and raises the epoch.
func (c *core) endVersion2(e env, t *transaction, call *endCall) protocol.ErrorCode {
	req := call.Request
	// The client repeats a request whose answer, with a new epoch or id, was lost.
	retry := t.producerID == req.ProducerId && t.epoch == req.ProducerEpoch+1 ||
		t.previousProducerID == req.ProducerId && req.ProducerEpoch == lastClientEpoch && t.epoch == 0
	complete := t.state == CompleteCommit || t.state == CompleteAbort
	wants := outcome(req.Committed)
	switch {
	case t.state.preparing():
		return protocol.ConcurrentTransactions
	case t.producerID != req.ProducerId && !retry:
		return protocol.InvalidProducerIdMapping
	case t.epoch != req.ProducerEpoch && (!retry || !complete), req.ProducerEpoch > lastClientEpoch:
		return protocol.ProducerFenced
	case retry && complete:
		if t.decided() != wants {
			return protocol.InvalidTxnState
		}
	case t.state == Ongoing, !req.Committed:
		// Aborting a transaction to which nothing was added is allowed: the client
		// cannot know whether its first produce request arrived.
		return c.decideVersion2(e, t, call, wants)
	default:
		return protocol.InvalidTxnState
	}
	call.Response.ProducerId, call.Response.ProducerEpoch = t.producerID, t.epoch
	return protocol.None
}

// decideVersion2 takes the decision and tells the client with which id and epoch the
// next transaction begins.
func (c *core) decideVersion2(e env, t *transaction, call *endCall, wants State) protocol.ErrorCode {
	if t.exhausted() {
		id, ok := call.fresh.take()
		if !ok {
			return protocol.None
		}
		t.nextProducerID = id
	}
	if t.state != Ongoing {
		t.startMs = e.nowMs
	}
	t.version = version2
	t.previousProducerID, t.lastEpoch = t.producerID, t.epoch
	t.epoch++
	next, epoch := t.producerID, t.epoch
	if t.nextProducerID != noProducerID {
		next, epoch = t.nextProducerID, 0
	}
	c.decide(e, t, wants)
	call.Response.ProducerId, call.Response.ProducerEpoch = next, epoch
	return protocol.None
}

// decide writes the decision and has the markers written. A transaction without
// partitions is over at once.
func (c *core) decide(e env, t *transaction, wants State) {
	t.state = wants
	if len(t.partitions) == 0 {
		c.finish(e, t)
		return
	}
	c.write(e, t)
	c.sendMarkers(e, t)
}

// finish writes that all markers are written.
func (c *core) finish(e env, t *transaction) {
	t.state += CompleteCommit - PrepareCommit
	if t.nextProducerID != noProducerID {
		t.previousProducerID, t.producerID, t.nextProducerID = t.producerID, t.nextProducerID, noProducerID
		t.epoch = 0
	}
	clear(t.partitions)
	t.ending = nil
	c.write(e, t)
	c.release(e, t)
}

// Ending is a transaction that is decided: its markers are to be written.
type Ending struct {
	// TransactionalID names it, ProducerID and Epoch are those of the markers.
	TransactionalID string
	ProducerID      int64
	Epoch           int16
	// Commit is the decision.
	Commit bool
	// Version is the transaction version that the client uses.
	Version int16
	// Partitions are those that get a marker.
	Partitions []TopicPartition

	token *token
}

// token tells one ending of a transactional id from all others: under version 1 neither
// id nor epoch do.
type token struct{ _ byte }

// sendMarkers starts the writing of markers once the decision is committed.
func (c *core) sendMarkers(e env, t *transaction) {
	t.ending = new(token)
	e.out.Answer(c.end(Ending{
		TransactionalID: t.id, ProducerID: t.producerID, Epoch: t.epoch, Commit: t.state == PrepareCommit,
		Version: t.version, Partitions: t.sorted(), token: t.ending,
	}))
}

// completeCall tells the core that all markers of a transaction are written.
type completeCall struct {
	ending *Ending
	failed func(protocol.ErrorCode)
}

// Reply implements runtime.Call.
func (*completeCall) Reply() {}

// Fail implements runtime.Call.
func (x *completeCall) Fail(code protocol.ErrorCode) { x.failed(code) }

func (c *core) complete(e env, call *completeCall) {
	if t := c.unfinished(call.ending); t != nil {
		c.finish(e, t)
	}
	e.out.Answer(call)
}

// unfinished returns the transaction that an Ending is about, nil if it is over.
func (c *core) unfinished(ending *Ending) *transaction {
	t := c.ids[ending.TransactionalID]
	if t == nil || t.ending != ending.token {
		return nil
	}
	return t
}

// resumeCall asks the core whether the writing of markers is still to go on.
type resumeCall struct {
	ending *Ending
	// resume goes on with it, failed takes what kept the core from answering.
	resume func()
	failed func(protocol.ErrorCode)

	current bool
}

// Reply implements runtime.Call.
func (x *resumeCall) Reply() {
	if x.current {
		x.resume()
	}
}

// Fail implements runtime.Call.
func (x *resumeCall) Fail(code protocol.ErrorCode) { x.failed(code) }

func (c *core) resume(e env, call *resumeCall) {
	call.current = c.unfinished(call.ending) != nil
	e.out.Answer(call)
}

// abortTimedOut aborts the transactions that took longer than their producer asked for.
func (c *core) abortTimedOut(e env) {
	for _, id := range slices.Sorted(maps.Keys(c.ongoing)) {
		if t := c.ids[id]; e.nowMs-t.startMs > int64(t.timeoutMs) {
			c.abortFenced(e, t)
		}
	}
}

// forgetExpired forgets transactional ids that have not been used for long.
func (c *core) forgetExpired(e env) {
	for _, id := range slices.Sorted(maps.Keys(c.ids)) {
		t := c.ids[id]
		if t.state == Ongoing || t.state.preparing() || e.nowMs-t.updateMs < c.settings.IDExpirationMs {
			continue
		}
		delete(c.ids, id)
		c.key = appendKey(c.key[:0], id)
		e.out.Write(c.key, nil)
	}
}
