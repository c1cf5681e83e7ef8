package runtime

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Limits of one shard that no setting names.
const (
	// maxQueuedCalls is how many calls may wait in one mailbox; more are refused
	// with COORDINATOR_NOT_AVAILABLE, which clients retry.
	maxQueuedCalls = 16384

	// maxCallsPerRound is how many calls are handled between two writes.
	maxCallsPerRound = 4096

	// maxAppendsInFlight is how many batches may be written but not yet committed.
	// While so many are, calls gather and the next batch becomes larger.
	maxAppendsInFlight = 8

	// maxKeptCalls is how many places for calls an idle shard keeps.
	maxKeptCalls = 64

	// maxLoads is how many partitions are loaded at once, each with a buffer of
	// LoadBufferBytes.
	maxLoads = 4

	// reloadBackoffMs is the pause before a partition that could not be loaded is
	// tried again, and the least time between two loads for failed writes.
	reloadBackoffMs = 1000
)

// Log is the internal topic as the runtime sees it. Its methods may do I/O; the
// runtime calls them from the goroutines of its shards only. Errors carry Kafka's
// code (protocol.CodeOf).
type Log interface {
	// Range returns the log start offset and the log end offset of the partition.
	Range(partition int32) (start, end int64, err error)

	// Read returns whole batches, the first of which contains offset or is the next
	// one after it, at least one batch if there is any before the log end offset,
	// committed or not, and not many more than maxBytes. The bytes are the caller's.
	Read(partition int32, offset int64, maxBytes int) ([]byte, error)

	// Append writes batches as leader in leaderEpoch and returns the offset after
	// the last record. After an error the runtime reads the partition again, so it
	// does not matter whether something was written. The log may patch the bytes,
	// and does not keep them.
	Append(partition, leaderEpoch int32, batches []byte) (endOffset int64, err error)

	// AwaitCommitted calls done once, from any goroutine and perhaps at once: with
	// nil when the high watermark has reached endOffset, with an error when that
	// can no longer be known because the leadership ended or the log failed.
	AwaitCommitted(partition, leaderEpoch int32, endOffset int64, done func(err error))
}

// Clock is the time in which a runtime lives, real or virtual.
type Clock interface {
	// NowMs is the time in milliseconds since 1970.
	NowMs() int64

	// AfterFunc calls f once, from any goroutine, delayMs from now unless stop is
	// called before.
	AfterFunc(delayMs int64, f func()) (stop func())
}

// Config is what a Runtime needs.
type Config struct {
	// Topic is the internal topic's name, for log lines.
	Topic string

	// Log holds the records.
	Log Log

	// Clock is the time.
	Clock Clock

	// NewCore makes the empty state machine of a partition.
	NewCore func(partition int32) Core

	// Go runs f soon, on another goroutine or, in a simulation, on the same.
	// nil: a new goroutine.
	Go func(f func())

	// WriteTimeoutMs is how long a call waits for its records to be committed
	// before it is answered COORDINATOR_NOT_AVAILABLE (offsets.commit.timeout.ms).
	WriteTimeoutMs int64

	// LoadBufferBytes is how much is read from the log at once while a partition is
	// loaded (offsets.load.buffer.size).
	LoadBufferBytes int

	// MaxBatchBytes is the largest batch to write (max.message.bytes of the topic).
	MaxBatchBytes int

	// Codec compresses the batches (offsets.topic.compression.codec).
	Codec compress.Codec

	// Logger takes the runtime's log lines.
	Logger *slog.Logger
}

// Runtime runs the coordinators of all partitions that this node leads. Its methods
// may be called from any goroutine, do no I/O and do not wait, Close excepted.
type Runtime struct {
	cfg Config

	mu     sync.RWMutex
	shards map[int32]*shard
	closed bool

	running sync.WaitGroup
	scratch sync.Pool     // of *scratch
	loads   chan struct{} // holds a token for each load that is on
}

// New returns a runtime that leads no partition yet.
func New(cfg Config) *Runtime {
	if cfg.Go == nil {
		cfg.Go = func(f func()) { go f() }
	}
	return &Runtime{
		cfg:     cfg,
		shards:  make(map[int32]*shard),
		scratch: sync.Pool{New: func() any { return new(scratch) }},
		loads:   make(chan struct{}, maxLoads),
	}
}

// Elect tells that this node leads the partition in leaderEpoch. The partition is
// loaded; until that is done its calls are refused with COORDINATOR_LOAD_IN_PROGRESS.
func (r *Runtime) Elect(partition, leaderEpoch int32) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	s := r.shards[partition]
	if s == nil {
		s = newShard(r, partition)
		r.shards[partition] = s
	}
	r.mu.Unlock()
	s.elect(leaderEpoch)
}

// Resign tells that this node does not lead the partition since leaderEpoch. All
// calls that wait are refused with NOT_COORDINATOR.
func (r *Runtime) Resign(partition, leaderEpoch int32) {
	r.mu.Lock()
	s := r.shards[partition]
	if s == nil || !s.supersededBy(leaderEpoch) {
		r.mu.Unlock()
		return
	}
	delete(r.shards, partition)
	r.mu.Unlock()
	s.resign()
}

// Submit puts the call into the partition's mailbox. The call is failed before
// Submit returns if the partition is not led by this node, is being loaded, or has
// too many calls waiting.
func (r *Runtime) Submit(partition int32, call Call) {
	r.mu.RLock()
	s := r.shards[partition]
	r.mu.RUnlock()
	if s == nil {
		call.Fail(protocol.NotCoordinator)
		return
	}
	s.submit(call)
}

// Partitions lists the partitions that this node leads, in order.
func (r *Runtime) Partitions() []int32 {
	r.mu.RLock()
	out := make([]int32, 0, len(r.shards))
	for p := range r.shards {
		out = append(out, p)
	}
	r.mu.RUnlock()
	slices.Sort(out)
	return out
}

// Close resigns every partition and waits until nothing of the runtime runs any more.
func (r *Runtime) Close() {
	r.mu.Lock()
	r.closed = true
	shards := r.shards
	r.shards = make(map[int32]*shard)
	r.mu.Unlock()
	for _, s := range shards {
		s.resign()
	}
	r.running.Wait()
}
