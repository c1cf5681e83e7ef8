package txn

import (
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Add asks to let partitions take part in a producer's transaction, or whether they do.
type Add struct {
	// TransactionalID, ProducerID and Epoch are the producer's.
	TransactionalID string
	ProducerID      int64
	Epoch           int16
	// Partitions are those asked for. They belong to the coordinator until Done.
	Partitions []TopicPartition
	// VerifyOnly asks and changes nothing.
	VerifyOnly bool
	// Version is the transaction version that the client uses: 2 for KIP-890, else 0.
	Version int16
	// Done gets the answer, once: a code for all partitions, and for a verification
	// that succeeded the partitions that do not take part.
	Done func(code protocol.ErrorCode, absent []TopicPartition)

	absent []TopicPartition
}

// addCall is an Add on its way. It implements runtime.Call.
type addCall struct {
	Add
	code   protocol.ErrorCode
	waited bool
}

// Reply implements runtime.Call.
func (x *addCall) Reply() { x.Done(x.code, x.absent) }

// Fail implements runtime.Call.
func (x *addCall) Fail(code protocol.ErrorCode) { x.Done(code, nil) }

func (c *core) add(e env, call *addCall) {
	t, code := c.check(call.TransactionalID, call.ProducerID, call.Epoch)
	if code == protocol.ConcurrentTransactions && c.hold(e, t, call) {
		return
	}
	switch {
	case code != protocol.None:
		call.code = code
	case call.VerifyOnly:
		call.absent = t.absent(call.Partitions)
	default:
		call.code = c.addPartitions(e, t, call)
	}
	e.out.Answer(call)
}

// absent returns the partitions that take no part in an ongoing transaction.
func (t *transaction) absent(partitions []TopicPartition) (out []TopicPartition) {
	for _, p := range partitions {
		if _, ok := t.partitions[p]; !ok || t.state != Ongoing {
			out = append(out, p)
		}
	}
	return out
}

func (c *core) addPartitions(e env, t *transaction, call *addCall) protocol.ErrorCode {
	added := t.absent(call.Partitions)
	if t.state == Ongoing && len(added) == 0 {
		return protocol.None
	}
	if len(t.partitions)+len(added) > MaxPartitionsPerTransaction {
		return protocol.PolicyViolation
	}
	if t.state != Ongoing {
		t.state, t.startMs = Ongoing, e.nowMs
	}
	t.version = call.Version
	for _, p := range added {
		t.partitions[TopicPartition{strings.Clone(p.Topic), p.Index}] = struct{}{}
	}
	c.write(e, t)
	return protocol.None
}

// hold keeps a request until the markers of the transaction before are written, which
// takes a moment: answering CONCURRENT_TRANSACTIONS would make the client wait longer.
// A verification waits too. It is false if the request has waited, or too many do.
func (c *core) hold(e env, t *transaction, call *addCall) bool {
	if call.waited || c.settings.HoldMaxMs <= 0 || len(t.held) >= maxHeld {
		return false
	}
	call.waited = true
	if len(t.held) == 0 {
		e.out.Schedule(heldKey(t), e.nowMs+c.settings.HoldMaxMs)
	}
	t.held = append(t.held, call)
	return true
}

func heldKey(t *transaction) runtime.TimerKey { return runtime.TimerKey{Kind: timerHeld, Name: t.id} }

// release handles what waited for the markers.
func (c *core) release(e env, t *transaction) {
	held := t.held
	if len(held) == 0 {
		return
	}
	t.held = nil
	e.out.Cancel(heldKey(t))
	for _, call := range held {
		c.add(e, call)
	}
}

func (c *core) refuseHeld(e env, t *transaction) {
	for _, call := range t.held {
		call.code = protocol.ConcurrentTransactions
		e.out.Answer(call)
	}
	t.held = nil
}
