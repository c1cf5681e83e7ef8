package txn

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// State is where a transactional id is in its life. The numbers are those of the
// records.
type State int8

// The states. Dead and PrepareEpochFence are names that the tools know; no
// transactional id is ever seen in them, because what they stand for in Kafka, a
// change that is not yet committed, is not visible here.
const (
	Empty State = iota
	Ongoing
	PrepareCommit
	PrepareAbort
	CompleteCommit
	CompleteAbort
	Dead
	PrepareEpochFence
)

var stateNames = [...]string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

// String returns the state as the tools print it.
func (s State) String() string { return stateNames[s] }

// preparing says that the transaction is decided and its markers are on their way.
func (s State) preparing() bool { return s == PrepareCommit || s == PrepareAbort }

const (
	noProducerID    = -1
	noProducerEpoch = -1
	noTime          = -1

	// lastClientEpoch is the highest epoch a producer is given: one more is needed to
	// fence it.
	lastClientEpoch = math.MaxInt16 - 1

	// version2 is the transaction version of KIP-890.
	version2 = 2
)

// TopicPartition is a partition that takes part in a transaction.
type TopicPartition struct {
	Topic string
	Index int32
}

func comparePartitions(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Index, b.Index))
}

// transaction is one transactional id.
type transaction struct {
	id         string
	producerID int64
	// previousProducerID is the id before the last change, by which a retry of the
	// request that changed it is recognized.
	previousProducerID int64
	// nextProducerID is the id that takes over when the markers are written, because
	// the epoch is used up.
	nextProducerID int64
	epoch          int16
	// lastEpoch is the epoch before the present one if the same producer went on.
	lastEpoch  int16
	timeoutMs  int32
	state      State
	partitions map[TopicPartition]struct{}
	startMs    int64 // of the present or last transaction
	updateMs   int64
	// version is the transaction version that the client uses.
	version int16

	held   []*addCall // wait for the markers
	ending *token     // of the markers that are on their way, nil if none are
}

func (t *transaction) exhausted() bool { return t.epoch >= lastClientEpoch }

// sorted returns the partitions of the transaction in order.
func (t *transaction) sorted() []TopicPartition {
	return slices.SortedFunc(maps.Keys(t.partitions), comparePartitions)
}

// String prints what a replay must give back.
func (t *transaction) String() string {
	return fmt.Sprintf("%s %s producer %d:%d previous %d next %d timeout %d start %d updated %d version %d %v",
		t.id, t.state, t.producerID, t.epoch, t.previousProducerID, t.nextProducerID, t.timeoutMs, t.startMs, t.updateMs, t.version, t.sorted())
}

const (
	recordType   = 0
	valueVersion = 1
)

func appendKey(dst []byte, id string) []byte {
	key := coordrecord.TransactionLogKey{TransactionalId: id}
	return key.Append(wire.AppendInt16(dst, recordType), 0)
}

func (t *transaction) appendValue(dst []byte) []byte {
	var value coordrecord.TransactionLogValue
	value.SetDefaults()
	value.ProducerId, value.ProducerEpoch = t.producerID, t.epoch
	value.PreviousProducerId, value.NextProducerId = t.previousProducerID, t.nextProducerID
	value.TransactionTimeoutMs = t.timeoutMs
	value.TransactionStatus = int8(t.state)
	value.TransactionLastUpdateTimestampMs, value.TransactionStartTimestampMs = t.updateMs, t.startMs
	value.ClientTransactionVersion = t.version
	if t.state != Empty {
		value.TransactionPartitions = topics(t.sorted())
	}
	return value.Append(wire.AppendInt16(dst, valueVersion), valueVersion)
}

// topics groups partitions, which are in order, by topic.
func topics(partitions []TopicPartition) []coordrecord.TransactionLogValuePartitionsSchema {
	out := []coordrecord.TransactionLogValuePartitionsSchema{}
	for _, p := range partitions {
		if n := len(out); n == 0 || out[n-1].Topic != p.Topic {
			out = append(out, coordrecord.TransactionLogValuePartitionsSchema{Topic: p.Topic})
		}
		last := &out[len(out)-1]
		last.PartitionIds = append(last.PartitionIds, p.Index)
	}
	return out
}

// decodeKey reads a record's key. ok is false for a record of a kind that came later.
func decodeKey(b []byte) (id string, ok bool, err error) {
	r := wire.NewReader(b)
	kind := r.Int16()
	if err := r.Err(); err != nil {
		return "", false, fmt.Errorf("decoding the type of a key of %d bytes: %w", len(b), err)
	}
	if kind != recordType {
		return "", false, nil
	}
	var key coordrecord.TransactionLogKey
	if err := key.Decode(b[2:], 0); err != nil {
		return "", false, fmt.Errorf("decoding the key of a transaction: %w", err)
	}
	return key.TransactionalId, true, nil
}

func decodeValue(id string, b []byte) (*transaction, error) {
	r := wire.NewReader(b)
	version := r.Int16()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("decoding the version of transaction %q: %w", id, err)
	}
	var value coordrecord.TransactionLogValue
	if lo, hi := value.Versions(); version < lo || version > hi {
		return nil, fmt.Errorf("decoding transaction %q: version %d, known are %d to %d", id, version, lo, hi)
	}
	if err := value.Decode(b[2:], version); err != nil {
		return nil, fmt.Errorf("decoding transaction %q: %w", id, err)
	}
	if value.TransactionStatus < 0 || value.TransactionStatus > int8(CompleteAbort) {
		return nil, fmt.Errorf("decoding transaction %q: status %d", id, value.TransactionStatus)
	}
	t := &transaction{
		id: strings.Clone(id), producerID: value.ProducerId, epoch: value.ProducerEpoch, lastEpoch: noProducerEpoch,
		previousProducerID: value.PreviousProducerId, nextProducerID: value.NextProducerId,
		timeoutMs: value.TransactionTimeoutMs, state: State(value.TransactionStatus),
		startMs: value.TransactionStartTimestampMs, updateMs: value.TransactionLastUpdateTimestampMs,
		version: value.ClientTransactionVersion, partitions: map[TopicPartition]struct{}{},
	}
	for i := range value.TransactionPartitions {
		topic := strings.Clone(value.TransactionPartitions[i].Topic)
		for _, index := range value.TransactionPartitions[i].PartitionIds {
			t.partitions[TopicPartition{topic, index}] = struct{}{}
		}
	}
	return t, nil
}
