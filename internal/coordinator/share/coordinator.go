package share

import (
	"log/slog"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// TopicName is the internal topic in which the state of share partitions is kept.
const TopicName = "__share_group_state"

// Limits that no setting names.
const (
	// MaxPerPartition is how many share partitions one partition of the topic may hold.
	MaxPerPartition = 1_000_000

	// MaxStateBatches is how many batches of offsets a share partition may have: with
	// more its snapshot would not fit into a record. A share partition has at most
	// share.partition.max.record.locks records in flight, far fewer.
	MaxStateBatches = 40_000

	// A request that comes while its partition is loaded is tried again, first after
	// firstRetryMs, then after twice as long, up to lastRetryMs.
	firstRetryMs = 10
	lastRetryMs  = 2_560
)

// Settings are the settings of the share coordinator, named in the config table.
type Settings struct {
	// UpdatesPerSnapshot is share.coordinator.snapshot.update.records.per.snapshot.
	UpdatesPerSnapshot int32
	// ColdSnapshotIntervalMs is share.coordinator.cold.partition.snapshot.interval.ms.
	ColdSnapshotIntervalMs int64
	// PruneIntervalMs is share.coordinator.state.topic.prune.interval.ms.
	PruneIntervalMs int64
	// WriteTimeoutMs is share.coordinator.write.timeout.ms.
	WriteTimeoutMs int64
	// LoadBufferBytes is share.coordinator.load.buffer.size.
	LoadBufferBytes int
	// MaxBatchBytes is max.message.bytes of the topic.
	MaxBatchBytes int
}

// DefaultSettings returns Kafka's defaults.
func DefaultSettings() Settings {
	return Settings{
		UpdatesPerSnapshot:     500,
		ColdSnapshotIntervalMs: 300_000,
		PruneIntervalMs:        300_000,
		WriteTimeoutMs:         5_000,
		LoadBufferBytes:        5 << 20,
		MaxBatchBytes:          1_048_588,
	}
}

// Log is the topic, whose old records can be deleted.
type Log interface {
	runtime.Log

	// Committed returns an offset of the partition below which everything is committed.
	Committed(partition int32) int64

	// DeleteBefore deletes what is below a committed offset; where it cannot, what is
	// left stays for the next time.
	DeleteBefore(partition int32, offset int64) error
}

// Config is what a Coordinator needs.
type Config struct {
	// Settings are the settings; they do not change later.
	Settings Settings
	// Partitions is how many partitions __share_group_state has
	// (share.coordinator.state.topic.num.partitions until it exists, see SetPartitions).
	Partitions int32
	// Log is the topic.
	Log Log
	// Clock is the time.
	Clock runtime.Clock
	// TopicPartitions returns how many partitions a topic has, 0 if there is none.
	TopicPartitions func(topic protocol.UUID) int32
	// Go starts work that may block; see runtime.Config.
	Go func(f func())
	// Logger takes log lines.
	Logger *slog.Logger
}

// Coordinator serves the share state APIs for the partitions of __share_group_state
// that this node leads. Its methods may be called from any goroutine and do not block,
// Close excepted. A callback is called exactly once, perhaps before the method returns,
// on any goroutine; it must not block, and takes the response over. The request and
// what its strings alias must stay as they are until then.
type Coordinator struct {
	cfg        Config
	partitions atomic.Int32
	rt         *runtime.Runtime
	closed     atomic.Bool
}

// New returns a coordinator that leads no partition yet.
func New(cfg Config) *Coordinator {
	return build(cfg, func(_ int32, c *core) runtime.Core { return c })
}

func build(cfg Config, wrap func(int32, *core) runtime.Core) *Coordinator {
	if cfg.Go == nil {
		cfg.Go = func(f func()) { go f() }
	}
	c := &Coordinator{cfg: cfg}
	c.partitions.Store(cfg.Partitions)
	c.rt = runtime.New(runtime.Config{
		Topic: TopicName, Log: cfg.Log, Clock: cfg.Clock, Go: cfg.Go,
		NewCore:         func(partition int32) runtime.Core { return wrap(partition, c.newCore(partition)) },
		WriteTimeoutMs:  cfg.Settings.WriteTimeoutMs,
		LoadBufferBytes: cfg.Settings.LoadBufferBytes,
		MaxBatchBytes:   cfg.Settings.MaxBatchBytes,
		Logger:          cfg.Logger,
	})
	return c
}

func (c *Coordinator) newCore(partition int32) *core {
	return &core{
		settings: &c.cfg.Settings, partitions: c.cfg.TopicPartitions, states: make(map[key]*state),
		committed: func() int64 { return c.cfg.Log.Committed(partition) },
		prune:     func(offset int64) runtime.Call { return &pruning{c, partition, offset} },
	}
}

// pruning has old records deleted once everything that makes them old is committed.
type pruning struct {
	c         *Coordinator
	partition int32
	offset    int64
}

// Reply implements runtime.Call.
func (p *pruning) Reply() {
	p.c.cfg.Go(func() {
		if err := p.c.cfg.Log.DeleteBefore(p.partition, p.offset); err != nil {
			p.c.cfg.Logger.Warn("old share state was not deleted", "partition", p.partition, "offset", p.offset, "error", err)
		}
	})
}

// Fail implements runtime.Call.
func (*pruning) Fail(protocol.ErrorCode) {}

// SetPartitions tells how many partitions the topic really has.
func (c *Coordinator) SetPartitions(n int32) { c.partitions.Store(n) }

// OnElected tells that this node leads the partition of the topic in leaderEpoch.
func (c *Coordinator) OnElected(partition, leaderEpoch int32) { c.rt.Elect(partition, leaderEpoch) }

// OnResigned tells that this node does not lead the partition since leaderEpoch.
func (c *Coordinator) OnResigned(partition, leaderEpoch int32) { c.rt.Resign(partition, leaderEpoch) }

// OnTopicsDeleted has the share partitions of topics forgotten that are gone.
func (c *Coordinator) OnTopicsDeleted(topics []protocol.UUID) {
	for _, partition := range c.rt.Partitions() {
		c.rt.Submit(partition, &topicsCall{
			Request: &topics, Done: func(*struct{}) {},
			Refuse: func(*[]protocol.UUID, *struct{}, protocol.ErrorCode) {},
		})
	}
}

// Close resigns every partition and waits until nothing runs any more. Whoever waits
// for an answer gets NOT_COORDINATOR.
func (c *Coordinator) Close() {
	c.closed.Store(true)
	c.rt.Close()
}

// gather calls finish when as many parts are done as were begun.
type gather struct {
	left   atomic.Int64
	finish func()
}

func newGather(finish func()) *gather {
	g := &gather{finish: finish}
	g.left.Store(1)
	return g
}

func (g *gather) begin() { g.left.Add(1) }

func (g *gather) done() {
	if g.left.Add(-1) == 0 {
		g.finish()
	}
}

// submit asks the core about one share partition and puts its answer into out.
func submit[P, R any](c *Coordinator, ctx runtime.Context, k key, data *P, out *R, code *protocol.ErrorCode, text **string, all *gather,
	refuse func(q *one[P], r *R, code protocol.ErrorCode)) {
	all.begin()
	retryMs := int64(firstRetryMs)
	call := &runtime.Exchange[one[P], R]{Request: &one[P]{k, data}, Context: ctx, Refuse: refuse, Response: *out}
	try := func() { c.rt.Submit(runtime.PartitionFor(k.String(), c.partitions.Load()), call) }
	call.Done = func(r *R) {
		*out = *r
		if *code == protocol.CoordinatorLoadInProgress && retryMs <= lastRetryMs && !c.closed.Load() {
			// Soon it is loaded; whoever asks has somebody waiting.
			*code = protocol.None
			call.Response = *out
			c.cfg.Clock.AfterFunc(retryMs, try)
			retryMs *= 2
			return
		}
		if *code != protocol.None && *text == nil {
			why := "The share coordinator cannot answer: " + code.String()
			*text = &why
		}
		all.done()
	}
	try()
}

// InitializeShareGroupState begins share partitions.
func (c *Coordinator) InitializeShareGroupState(ctx runtime.Context, req *protocol.InitializeShareGroupStateRequest, done func(*protocol.InitializeShareGroupStateResponse)) {
	res := &protocol.InitializeShareGroupStateResponse{}
	if req.GroupId == "" {
		done(res)
		return
	}
	res.Results = make([]protocol.InitializeShareGroupStateResponseInitializeStateResult, len(req.Topics))
	all := newGather(func() { done(res) })
	for i := range req.Topics {
		asked, result := &req.Topics[i], &res.Results[i]
		result.TopicId = asked.TopicId
		result.Partitions = make([]protocol.InitializeShareGroupStateResponsePartitionResult, len(asked.Partitions))
		for j := range asked.Partitions {
			p, out := &asked.Partitions[j], &result.Partitions[j]
			out.Partition = p.Partition
			submit(c, ctx, key{req.GroupId, asked.TopicId, p.Partition}, p, out, &out.ErrorCode, &out.ErrorMessage, all,
				func(_ *one[protocol.InitializeShareGroupStateRequestPartitionData], r *protocol.InitializeShareGroupStateResponsePartitionResult, code protocol.ErrorCode) {
					*r = protocol.InitializeShareGroupStateResponsePartitionResult{Partition: r.Partition, ErrorCode: code}
				})
		}
	}
	all.done()
}

// ReadShareGroupState tells what is remembered of share partitions.
func (c *Coordinator) ReadShareGroupState(ctx runtime.Context, req *protocol.ReadShareGroupStateRequest, done func(*protocol.ReadShareGroupStateResponse)) {
	res := &protocol.ReadShareGroupStateResponse{}
	if req.GroupId == "" {
		done(res)
		return
	}
	res.Results = make([]protocol.ReadShareGroupStateResponseReadStateResult, len(req.Topics))
	all := newGather(func() { done(res) })
	for i := range req.Topics {
		asked, result := &req.Topics[i], &res.Results[i]
		result.TopicId = asked.TopicId
		result.Partitions = make([]protocol.ReadShareGroupStateResponsePartitionResult, len(asked.Partitions))
		for j := range asked.Partitions {
			p, out := &asked.Partitions[j], &result.Partitions[j]
			out.Partition = p.Partition
			submit(c, ctx, key{req.GroupId, asked.TopicId, p.Partition}, p, out, &out.ErrorCode, &out.ErrorMessage, all,
				func(_ *one[protocol.ReadShareGroupStateRequestPartitionData], r *protocol.ReadShareGroupStateResponsePartitionResult, code protocol.ErrorCode) {
					*r = protocol.ReadShareGroupStateResponsePartitionResult{Partition: r.Partition, ErrorCode: code}
				})
		}
	}
	all.done()
}

// WriteShareGroupState takes in what became of records.
func (c *Coordinator) WriteShareGroupState(ctx runtime.Context, req *protocol.WriteShareGroupStateRequest, done func(*protocol.WriteShareGroupStateResponse)) {
	res := &protocol.WriteShareGroupStateResponse{}
	if req.GroupId == "" {
		done(res)
		return
	}
	res.Results = make([]protocol.WriteShareGroupStateResponseWriteStateResult, len(req.Topics))
	all := newGather(func() { done(res) })
	for i := range req.Topics {
		asked, result := &req.Topics[i], &res.Results[i]
		result.TopicId = asked.TopicId
		result.Partitions = make([]protocol.WriteShareGroupStateResponsePartitionResult, len(asked.Partitions))
		for j := range asked.Partitions {
			p, out := &asked.Partitions[j], &result.Partitions[j]
			out.Partition = p.Partition
			submit(c, ctx, key{req.GroupId, asked.TopicId, p.Partition}, p, out, &out.ErrorCode, &out.ErrorMessage, all,
				func(_ *one[protocol.WriteShareGroupStateRequestPartitionData], r *protocol.WriteShareGroupStateResponsePartitionResult, code protocol.ErrorCode) {
					*r = protocol.WriteShareGroupStateResponsePartitionResult{Partition: r.Partition, ErrorCode: code}
				})
		}
	}
	all.done()
}

// DeleteShareGroupState forgets share partitions.
func (c *Coordinator) DeleteShareGroupState(ctx runtime.Context, req *protocol.DeleteShareGroupStateRequest, done func(*protocol.DeleteShareGroupStateResponse)) {
	res := &protocol.DeleteShareGroupStateResponse{}
	if req.GroupId == "" {
		done(res)
		return
	}
	res.Results = make([]protocol.DeleteShareGroupStateResponseDeleteStateResult, len(req.Topics))
	all := newGather(func() { done(res) })
	for i := range req.Topics {
		asked, result := &req.Topics[i], &res.Results[i]
		result.TopicId = asked.TopicId
		result.Partitions = make([]protocol.DeleteShareGroupStateResponsePartitionResult, len(asked.Partitions))
		for j := range asked.Partitions {
			p, out := &asked.Partitions[j], &result.Partitions[j]
			out.Partition = p.Partition
			submit(c, ctx, key{req.GroupId, asked.TopicId, p.Partition}, p, out, &out.ErrorCode, &out.ErrorMessage, all,
				func(_ *one[protocol.DeleteShareGroupStateRequestPartitionData], r *protocol.DeleteShareGroupStateResponsePartitionResult, code protocol.ErrorCode) {
					*r = protocol.DeleteShareGroupStateResponsePartitionResult{Partition: r.Partition, ErrorCode: code}
				})
		}
	}
	all.done()
}

// ReadShareGroupStateSummary tells where share partitions begin.
func (c *Coordinator) ReadShareGroupStateSummary(ctx runtime.Context, req *protocol.ReadShareGroupStateSummaryRequest, done func(*protocol.ReadShareGroupStateSummaryResponse)) {
	res := &protocol.ReadShareGroupStateSummaryResponse{}
	if req.GroupId == "" {
		done(res)
		return
	}
	res.Results = make([]protocol.ReadShareGroupStateSummaryResponseReadStateSummaryResult, len(req.Topics))
	all := newGather(func() { done(res) })
	for i := range req.Topics {
		asked, result := &req.Topics[i], &res.Results[i]
		result.TopicId = asked.TopicId
		result.Partitions = make([]protocol.ReadShareGroupStateSummaryResponsePartitionResult, len(asked.Partitions))
		for j := range asked.Partitions {
			p, out := &asked.Partitions[j], &result.Partitions[j]
			out.Partition, out.DeliveryCompleteCount = p.Partition, noCount
			submit(c, ctx, key{req.GroupId, asked.TopicId, p.Partition}, p, out, &out.ErrorCode, &out.ErrorMessage, all,
				func(_ *one[protocol.ReadShareGroupStateSummaryRequestPartitionData], r *protocol.ReadShareGroupStateSummaryResponsePartitionResult, code protocol.ErrorCode) {
					*r = protocol.ReadShareGroupStateSummaryResponsePartitionResult{Partition: r.Partition, ErrorCode: code, DeliveryCompleteCount: noCount}
				})
		}
	}
	all.done()
}
