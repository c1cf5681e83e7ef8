package txn

import (
	"maps"
	"slices"

	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Kinds of timers.
const (
	// timerTimeouts looks for transactions that take too long.
	timerTimeouts uint8 = iota + 1
	// timerExpiry looks for transactional ids that are not used any more.
	timerExpiry
	// timerHeld ends the patience of the requests that wait for one id's markers.
	timerHeld
)

// core is the transactional ids of one partition of __transaction_state.
type core struct {
	settings *Settings
	// end starts the writing of markers; it is called through an Effects answer, so
	// that it happens when the decision is committed.
	end func(Ending) runtime.Call

	ids      map[string]*transaction
	ongoing  map[string]*transaction // those of ids that are Ongoing
	watching map[uint8]bool          // the timers that are set

	key, value []byte // scratch for records
}

func newCore(settings *Settings, end func(Ending) runtime.Call) *core {
	return &core{
		settings: settings, end: end, ids: make(map[string]*transaction), ongoing: make(map[string]*transaction),
		watching: make(map[uint8]bool),
	}
}

// env is one event's surroundings.
type env struct {
	nowMs int64
	out   *runtime.Effects
}

// Handle implements runtime.Core.
func (c *core) Handle(call runtime.Call, nowMs int64, out *runtime.Effects) {
	e := env{nowMs, out}
	switch call := call.(type) {
	case *initCall:
		c.init(e, call)
	case *addCall:
		c.add(e, call)
	case *endCall:
		c.endTxn(e, call)
	case *completeCall:
		c.complete(e, call)
	case *resumeCall:
		c.resume(e, call)
	case *describeCall:
		c.describe(e, call)
	case *listCall:
		c.list(e, call)
	default:
		assert.That(false, "the transaction coordinator has no handler for %T", call)
	}
	c.watch(e)
}

// Expire implements runtime.Core.
func (c *core) Expire(key runtime.TimerKey, nowMs int64, out *runtime.Effects) {
	e := env{nowMs, out}
	switch key.Kind {
	case timerTimeouts:
		c.watching[key.Kind] = false
		c.abortTimedOut(e)
	case timerExpiry:
		c.watching[key.Kind] = false
		c.forgetExpired(e)
	case timerHeld:
		if t := c.ids[key.Name]; t != nil {
			c.refuseHeld(e, t)
		}
	}
	c.watch(e)
}

// watch has the timers set for which there is something to watch.
func (c *core) watch(e env) {
	set := func(kind uint8, needed bool, afterMs int64) {
		if needed && !c.watching[kind] {
			c.watching[kind] = true
			e.out.Schedule(runtime.TimerKey{Kind: kind}, e.nowMs+afterMs)
		}
	}
	set(timerTimeouts, len(c.ongoing) > 0, c.settings.AbortTimedOutIntervalMs)
	set(timerExpiry, len(c.ids) > 0, c.settings.RemoveExpiredIntervalMs)
}

// Apply implements runtime.Core.
func (c *core) Apply(key, value []byte, _ runtime.Origin) error {
	id, ok, err := decodeKey(key)
	if err != nil || !ok {
		return err
	}
	if value == nil {
		delete(c.ids, id)
		delete(c.ongoing, id)
		return nil
	}
	t, err := decodeValue(id, value)
	if err != nil {
		return err
	}
	c.ids[t.id] = t
	c.index(t)
	return nil
}

// ApplyMarker implements runtime.Core. Nobody writes __transaction_state in a
// transaction.
func (c *core) ApplyMarker(runtime.Origin, bool) error { return nil }

// Loaded implements runtime.Core: what was decided and not finished goes on.
func (c *core) Loaded(nowMs int64, out *runtime.Effects) {
	e := env{nowMs, out}
	for _, id := range slices.Sorted(maps.Keys(c.ids)) {
		if t := c.ids[id]; t.state.preparing() {
			c.sendMarkers(e, t)
		}
	}
	c.watch(e)
}

// Unload implements runtime.Core.
func (c *core) Unload() []runtime.Call {
	var out []runtime.Call
	for _, id := range slices.Sorted(maps.Keys(c.ids)) {
		for _, call := range c.ids[id].held {
			out = append(out, call)
		}
	}
	return out
}

// write puts the transaction into the log as it is now.
func (c *core) write(e env, t *transaction) {
	t.updateMs = e.nowMs
	c.index(t)
	c.key, c.value = appendKey(c.key[:0], t.id), t.appendValue(c.value[:0])
	e.out.Write(c.key, c.value)
}

// index keeps ongoing in step.
func (c *core) index(t *transaction) {
	if t.state == Ongoing {
		c.ongoing[t.id] = t
	} else {
		delete(c.ongoing, t.id)
	}
}

// check says what is wrong with a request of a producer that must be the present one
// of its id. While a transaction ends nothing can be said yet: the producer may already
// use the id and epoch that come after.
func (c *core) check(id string, producerID int64, epoch int16) (*transaction, protocol.ErrorCode) {
	t := c.ids[id]
	switch {
	case t == nil:
		return nil, protocol.InvalidProducerIdMapping
	case t.state.preparing():
		return t, protocol.ConcurrentTransactions
	case t.producerID != producerID:
		return t, protocol.InvalidProducerIdMapping
	case t.epoch != epoch, epoch > lastClientEpoch:
		return t, protocol.ProducerFenced
	default:
		return t, protocol.None
	}
}
