package runtime

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// Core is the pure state machine of one partition of an internal topic. The
// runtime calls it from one goroutine at a time. A core must not keep out, nor the
// key and value given to Apply, after the method has returned.
type Core interface {
	// Handle applies one call to the memory. It answers the call through
	// out.Answer, now or while handling a later event.
	Handle(call Call, nowMs int64, out *Effects)

	// Expire tells that the timer key, set through out.Schedule, has fallen due.
	// The timer is gone; set it again to have it again.
	Expire(key TimerKey, nowMs int64, out *Effects)

	// Apply takes in one record while the partition is loaded. A nil value is a
	// tombstone. An error ends the load: the partition stays unavailable.
	Apply(key, value []byte, origin Origin) error

	// ApplyMarker takes in the end of a transaction while the partition is loaded.
	ApplyMarker(origin Origin, commit bool) error

	// Loaded tells that the log has been read to its end: the place to set timers.
	Loaded(nowMs int64, out *Effects)

	// Unload ends the life of the core and returns the calls that it holds
	// unanswered. The runtime fails them.
	Unload() []Call
}

// Call is one request on its way through a shard. Exactly one of its methods is
// called, once, on any goroutine, with no lock held. Neither may block.
type Call interface {
	// Reply sends the answer that the core has put into the call.
	Reply()

	// Fail sends the answer that says code instead of what the core decided.
	Fail(code protocol.ErrorCode)
}

// Exchange is the Call of one request and its response. Q and R are the messages.
type Exchange[Q, R any] struct {
	// Request is what was asked. Its strings and bytes belong to the caller and are
	// valid until the call is answered.
	Request *Q

	// Response is what the core answers; it starts with the schema's defaults.
	Response R

	// Context is who asked.
	Context Context

	// Refuse writes the response that carries code and nothing else.
	Refuse func(q *Q, r *R, code protocol.ErrorCode)

	// Done takes the response.
	Done func(r *R)
}

// Context tells who sent a request, and how.
type Context struct {
	// Version is the version of the request's API.
	Version int16

	// ClientID is the client id of the request header, or empty.
	ClientID string

	// ClientHost is the address of the peer as Kafka prints it: "/127.0.0.1".
	ClientHost string
}

// Reply implements Call.
func (x *Exchange[Q, R]) Reply() { x.Done(&x.Response) }

// Fail implements Call.
func (x *Exchange[Q, R]) Fail(code protocol.ErrorCode) {
	x.Refuse(x.Request, &x.Response, code)
	x.Done(&x.Response)
}

// Origin tells where a record that is replayed came from.
type Origin struct {
	// Offset is the record's offset in the partition.
	Offset int64

	// TimestampMs is the record's timestamp.
	TimestampMs int64

	// ProducerID and ProducerEpoch are those of the batch, -1 without a producer.
	ProducerID    int64
	ProducerEpoch int16

	// Transactional tells that the record counts only once the marker of its
	// producer's transaction says so.
	Transactional bool

	// CoordinatorEpoch is that of a marker.
	CoordinatorEpoch int32
}

// TimerKey names one timer of a core. Setting a timer that is set moves it.
type TimerKey struct {
	// Kind is the core's own number of what the timer is for.
	Kind uint8

	// Name and Member tell whose timer it is.
	Name, Member string
}

// Effects collects what a core wants done. It belongs to the runtime and is reused.
type Effects struct {
	arena   []byte
	records []span
	marks   []int // records[marks[i]:marks[i+1]] were written by one event
	answers []Call
	timers  []timerOp
}

type span struct {
	keyAt    int // where in the arena the key starts; the value follows it
	keyLen   int
	valueLen int       // -1: tombstone
	txn      *Producer // nil: not in a transaction
	marker   *record.EndTxnMarker
}

// Producer is the transactional producer in whose name a core writes.
type Producer struct {
	ID    int64
	Epoch int16
}

type timerOp struct {
	key    TimerKey
	atMs   int64
	cancel bool
}

// Write appends one record to the partition. A nil value writes a tombstone. Key
// and value are copied.
func (e *Effects) Write(key, value []byte) {
	s := span{keyAt: len(e.arena), keyLen: len(key), valueLen: -1}
	e.arena = append(e.arena, key...)
	if value != nil {
		s.valueLen = len(value)
		e.arena = append(e.arena, value...)
	}
	e.records = append(e.records, s)
}

// WriteInTransaction appends one record that counts when the producer's transaction is
// committed.
func (e *Effects) WriteInTransaction(p *Producer, key, value []byte) {
	e.Write(key, value)
	e.records[len(e.records)-1].txn = p
}

// WriteMarker appends the marker that ends the producer's transaction in the partition.
func (e *Effects) WriteMarker(p *Producer, commit bool, coordinatorEpoch int32) {
	marker := &record.EndTxnMarker{Type: record.ControlAbort, CoordinatorEpoch: coordinatorEpoch}
	if commit {
		marker.Type = record.ControlCommit
	}
	e.records = append(e.records, span{keyAt: len(e.arena), txn: p, marker: marker})
}

// Answer sends the call's reply once everything written so far is committed.
func (e *Effects) Answer(call Call) { e.answers = append(e.answers, call) }

// Schedule sets or moves the timer key to atMs.
func (e *Effects) Schedule(key TimerKey, atMs int64) {
	e.timers = append(e.timers, timerOp{key: key, atMs: atMs})
}

// Cancel removes the timer key if it is set.
func (e *Effects) Cancel(key TimerKey) {
	e.timers = append(e.timers, timerOp{key: key, cancel: true})
}

// mark notes that an event ends here.
func (e *Effects) mark() { e.marks = append(e.marks, len(e.records)) }

func (e *Effects) keyValue(s span) (key, value []byte) {
	valueAt := s.keyAt + s.keyLen
	key = e.arena[s.keyAt:valueAt:valueAt]
	if s.valueLen >= 0 {
		value = e.arena[valueAt : valueAt+s.valueLen : valueAt+s.valueLen]
	}
	return key, value
}

func (e *Effects) reset() {
	clear(e.answers)
	clear(e.timers)
	clear(e.records)
	e.arena, e.records, e.marks = e.arena[:0], e.records[:0], e.marks[:0]
	e.answers, e.timers = e.answers[:0], e.timers[:0]
}
