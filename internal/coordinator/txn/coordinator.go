package txn

import (
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// TopicName is the internal topic in which transactions are kept.
const TopicName = "__transaction_state"

// Limits that no setting names.
const (
	// MaxIDsPerPartition is how many transactional ids one partition of the topic may
	// hold.
	MaxIDsPerPartition = 1_000_000

	// MaxPartitionsPerTransaction is how many partitions may take part in a
	// transaction.
	MaxPartitionsPerTransaction = 10_000

	// MaxIDBytes bounds a transactional id.
	MaxIDBytes = 16 << 10

	// maxHeld is how many requests wait for the markers of one transaction.
	maxHeld = 64

	// retryMarkersMs is the pause before markers that could not be written are tried
	// again.
	retryMarkersMs = 100
)

// Settings are the settings of the transaction coordinator, named in the config table.
type Settings struct {
	// MaxTimeoutMs is transaction.max.timeout.ms.
	MaxTimeoutMs int32
	// AbortTimedOutIntervalMs is
	// transaction.abort.timed.out.transaction.cleanup.interval.ms.
	AbortTimedOutIntervalMs int64
	// RemoveExpiredIntervalMs is
	// transaction.remove.expired.transaction.cleanup.interval.ms.
	RemoveExpiredIntervalMs int64
	// IDExpirationMs is transactional.id.expiration.ms.
	IDExpirationMs int64
	// HoldMaxMs is add.partitions.to.txn.retry.backoff.max.ms.
	HoldMaxMs int64
	// WriteTimeoutMs is how long a request waits for its record to be committed.
	WriteTimeoutMs int64
	// LoadBufferBytes is transaction.state.log.load.buffer.size.
	LoadBufferBytes int
	// MaxBatchBytes is max.message.bytes of the topic.
	MaxBatchBytes int
}

// DefaultSettings returns Kafka's defaults.
func DefaultSettings() Settings {
	return Settings{
		MaxTimeoutMs:            900_000,
		AbortTimedOutIntervalMs: 10_000,
		RemoveExpiredIntervalMs: 3_600_000,
		IDExpirationMs:          604_800_000,
		HoldMaxMs:               100,
		WriteTimeoutMs:          5_000,
		LoadBufferBytes:         5 << 20,
		MaxBatchBytes:           1_048_588,
	}
}

// Marker ends a producer's transaction in one partition.
type Marker struct {
	// ProducerID and Epoch are the producer's.
	ProducerID int64
	Epoch      int16
	// CoordinatorEpoch is the leader epoch of the transactional id's partition.
	CoordinatorEpoch int32
	// Commit is the decision.
	Commit bool
	// Version is the transaction version that the client uses.
	Version int16
}

// Participants are the partitions that take part in transactions, wherever they are.
type Participants interface {
	// WriteMarkers writes the marker into each partition and calls done once for each,
	// from any goroutine and perhaps at once: nil when it is committed, or when the
	// partition does not exist any more; else an error that carries Kafka's code.
	WriteMarkers(m Marker, partitions []TopicPartition, done func(p TopicPartition, err error))
}

// Config is what a Coordinator needs.
type Config struct {
	// Settings are the settings; they do not change later.
	Settings Settings
	// Partitions is how many partitions __transaction_state has
	// (transaction.state.log.num.partitions until it exists, see SetPartitions).
	Partitions int32
	// Log is the topic.
	Log runtime.Log
	// Clock is the time.
	Clock runtime.Clock
	// NewProducerID makes a producer id that nobody has had. It may block.
	NewProducerID func() (int64, error)
	// Participants get the markers.
	Participants Participants
	// Go starts work that may block; see runtime.Config.
	Go func(f func())
	// Logger takes log lines.
	Logger *slog.Logger
}

// Coordinator serves the transaction APIs for the partitions of __transaction_state
// that this node leads. Its methods may be called from any goroutine and do not block,
// Close excepted. A callback is called exactly once, perhaps before the method returns,
// on any goroutine; it must not block, and takes the response over. The request and
// what its strings alias must stay as they are until then.
type Coordinator struct {
	cfg        Config
	partitions atomic.Int32
	rt         *runtime.Runtime

	mu     sync.Mutex
	epochs map[int32]int32 // the leader epochs of the partitions that this node leads
	closed bool
}

// New returns a coordinator that leads no partition yet.
func New(cfg Config) *Coordinator {
	return build(cfg, func(c *core) runtime.Core { return c })
}

func build(cfg Config, wrap func(*core) runtime.Core) *Coordinator {
	if cfg.Go == nil {
		cfg.Go = func(f func()) { go f() }
	}
	c := &Coordinator{cfg: cfg, epochs: make(map[int32]int32)}
	c.partitions.Store(cfg.Partitions)
	c.rt = runtime.New(runtime.Config{
		Topic: TopicName, Log: cfg.Log, Clock: cfg.Clock, Go: cfg.Go,
		NewCore: func(partition int32) runtime.Core {
			return wrap(newCore(&c.cfg.Settings, func(e Ending) runtime.Call { return c.newSender(partition, e) }))
		},
		WriteTimeoutMs:  cfg.Settings.WriteTimeoutMs,
		LoadBufferBytes: cfg.Settings.LoadBufferBytes,
		MaxBatchBytes:   cfg.Settings.MaxBatchBytes,
		Logger:          cfg.Logger,
	})
	return c
}

// SetPartitions tells how many partitions the topic really has.
func (c *Coordinator) SetPartitions(n int32) { c.partitions.Store(n) }

// PartitionFor returns the partition of __transaction_state whose leader coordinates
// the transactional id.
func (c *Coordinator) PartitionFor(id string) int32 {
	return runtime.PartitionFor(id, c.partitions.Load())
}

// OnElected tells that this node leads the partition of the topic in leaderEpoch.
func (c *Coordinator) OnElected(partition, leaderEpoch int32) {
	c.mu.Lock()
	if !c.closed {
		c.epochs[partition] = max(leaderEpoch, c.epochs[partition])
	}
	c.mu.Unlock()
	c.rt.Elect(partition, leaderEpoch)
}

// OnResigned tells that this node does not lead the partition since leaderEpoch.
func (c *Coordinator) OnResigned(partition, leaderEpoch int32) {
	c.mu.Lock()
	if epoch, ok := c.epochs[partition]; ok && epoch <= leaderEpoch {
		delete(c.epochs, partition)
	}
	c.mu.Unlock()
	c.rt.Resign(partition, leaderEpoch)
}

// epoch returns the leader epoch of a partition; ok is false if this node does not lead
// it.
func (c *Coordinator) epoch(partition int32) (epoch int32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch, ok = c.epochs[partition]
	return epoch, ok
}

// Close resigns every partition and waits until nothing runs any more. Whoever waits
// for an answer gets NOT_COORDINATOR.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	clear(c.epochs)
	c.mu.Unlock()
	c.rt.Close()
}

// InitProducerID answers an InitProducerId request that has a transactional id.
func (c *Coordinator) InitProducerID(ctx runtime.Context, req *protocol.InitProducerIdRequest, done func(*protocol.InitProducerIdResponse)) {
	partition := c.PartitionFor(*req.TransactionalId)
	call := &initCall{fresh: freshID{id: noProducerID}}
	call.Exchange = runtime.Exchange[protocol.InitProducerIdRequest, protocol.InitProducerIdResponse]{
		Request: req, Context: ctx, Done: done, Refuse: refuseInit,
	}
	call.Response.SetDefaults()
	call.again = func(call *initCall) {
		c.withProducerID(&call.fresh, call, func() { c.rt.Submit(partition, call) })
	}
	switch id := *req.TransactionalId; {
	case id == "" || len(id) > MaxIDBytes, (req.ProducerId == noProducerID) != (req.ProducerEpoch == noProducerEpoch):
		call.Fail(protocol.InvalidRequest)
	case req.TransactionTimeoutMs <= 0 || req.TransactionTimeoutMs > c.cfg.Settings.MaxTimeoutMs:
		call.Fail(protocol.InvalidTransactionTimeout)
	default:
		c.rt.Submit(partition, call)
	}
}

// withProducerID gets a producer id for a call and goes on with it.
func (c *Coordinator) withProducerID(fresh *freshID, call runtime.Call, next func()) {
	c.cfg.Go(func() {
		id, err := c.cfg.NewProducerID()
		if err != nil {
			c.cfg.Logger.Warn("no producer id for a transaction", "error", err)
			call.Fail(protocol.CoordinatorNotAvailable)
			return
		}
		fresh.id = id
		next()
	})
}

// AddPartitions lets partitions take part in a transaction, or tells whether they do.
func (c *Coordinator) AddPartitions(add Add) {
	call := &addCall{Add: add}
	if add.TransactionalID == "" || len(add.TransactionalID) > MaxIDBytes {
		call.Fail(protocol.InvalidRequest)
		return
	}
	c.rt.Submit(c.PartitionFor(add.TransactionalID), call)
}

// EndTxn answers an EndTxn request.
func (c *Coordinator) EndTxn(ctx runtime.Context, req *protocol.EndTxnRequest, done func(*protocol.EndTxnResponse)) {
	partition := c.PartitionFor(req.TransactionalId)
	call := &endCall{fresh: freshID{id: noProducerID}}
	call.Exchange = runtime.Exchange[protocol.EndTxnRequest, protocol.EndTxnResponse]{
		Request: req, Context: ctx, Done: done, Refuse: refuseEnd,
	}
	call.Response.SetDefaults()
	call.again = func(call *endCall) {
		c.withProducerID(&call.fresh, call, func() { c.rt.Submit(partition, call) })
	}
	if req.TransactionalId == "" || len(req.TransactionalId) > MaxIDBytes {
		call.Fail(protocol.InvalidRequest)
		return
	}
	c.rt.Submit(partition, call)
}

// Describe answers a DescribeTransactions request.
func (c *Coordinator) Describe(ctx runtime.Context, req *protocol.DescribeTransactionsRequest, done func(*protocol.DescribeTransactionsResponse)) {
	res := &protocol.DescribeTransactionsResponse{}
	res.TransactionStates = make([]protocol.DescribeTransactionsResponseTransactionState, len(req.TransactionalIds))
	all := runtime.NewGather(len(req.TransactionalIds), func() { done(res) })
	for i := range req.TransactionalIds {
		id := &req.TransactionalIds[i]
		call := &describeCall{Request: id, Context: ctx, Refuse: refuseDescribe}
		call.Done = func(r *protocol.DescribeTransactionsResponseTransactionState) {
			res.TransactionStates[i] = *r
			all.Done()
		}
		if *id == "" || len(*id) > MaxIDBytes {
			call.Fail(protocol.InvalidRequest)
			continue
		}
		c.rt.Submit(c.PartitionFor(*id), call)
	}
}

// List answers a ListTransactions request with the transactional ids of the partitions
// that this node leads.
func (c *Coordinator) List(ctx runtime.Context, req *protocol.ListTransactionsRequest, done func(*protocol.ListTransactionsResponse)) {
	res := &protocol.ListTransactionsResponse{}
	f := &filter{producers: req.ProducerIdFilters, longerMs: req.DurationFilter, anyPattern: true}
	for _, state := range req.StateFilters {
		if slices.Contains(stateNames[:], state) {
			f.states = append(f.states, state)
		} else {
			res.UnknownStateFilters = append(res.UnknownStateFilters, state)
		}
	}
	if len(req.StateFilters) > 0 && len(f.states) == 0 {
		done(res) // of the states asked for none is known
		return
	}
	if p := req.TransactionalIdPattern; p != nil && *p != "" {
		pattern, err := regexp.Compile(`^(?:` + *p + `)$`)
		if err != nil || len(*p) > MaxIDBytes {
			res.ErrorCode = protocol.InvalidRegularExpression
			done(res)
			return
		}
		f.idPattern, f.anyPattern = pattern, false
	}
	c.gatherLists(ctx, f, res, done)
}

func (c *Coordinator) gatherLists(ctx runtime.Context, f *filter, res *protocol.ListTransactionsResponse, done func(*protocol.ListTransactionsResponse)) {
	partitions := c.rt.Partitions()
	parts := make([]protocol.ListTransactionsResponse, len(partitions))
	all := runtime.NewGather(len(partitions), func() {
		for i := range parts {
			if code := parts[i].ErrorCode; code == protocol.CoordinatorLoadInProgress {
				res.ErrorCode, res.TransactionStates = code, nil
				break
			}
			res.TransactionStates = append(res.TransactionStates, parts[i].TransactionStates...)
		}
		done(res)
	})
	for i, partition := range partitions {
		c.rt.Submit(partition, &listCall{Request: f, Context: ctx, Refuse: refuseList, Done: func(r *protocol.ListTransactionsResponse) {
			parts[i] = *r
			all.Done()
		}})
	}
}
