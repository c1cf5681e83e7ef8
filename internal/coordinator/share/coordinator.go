package share

import (
	"log/slog"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/compress"
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
	// Codec is share.coordinator.state.topic.compression.codec.
	Codec compress.Codec
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
		Codec:           cfg.Settings.Codec,
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

// asking is a request that is asked share partition by share partition.
type asking struct {
	*runtime.Gather
	c     *Coordinator
	ctx   runtime.Context
	group string
}

// asking has finish called when Done was and the last partition has its answer.
func (c *Coordinator) asking(ctx runtime.Context, group string, finish func()) *asking {
	return &asking{runtime.NewGather(1, finish), c, ctx, group}
}

// answer points to what every result says of its partition.
type answer struct {
	partition *int32
	code      *protocol.ErrorCode
	text      **string
}

// named returns the topics of a request; one without group asks for nothing.
func named[T any](group string, topics []T) []T {
	if group == "" {
		return nil
	}
	return topics
}

// each asks about partitions of a topic. It returns their results, which are complete when
// the whole request is. Blank is a result that says nothing.
func each[P, R any](a *asking, topic protocol.UUID, partitions []P, number func(p *P) int32, blank R, of func(r *R) answer) []R {
	results := make([]R, len(partitions))
	for i := range partitions {
		results[i] = blank
		*of(&results[i]).partition = number(&partitions[i])
		a.Add()
		submit(a, key{a.group, topic, number(&partitions[i])}, &partitions[i], &results[i], of)
	}
	return results
}

// submit asks the core about one share partition and puts its answer into out.
func submit[P, R any](a *asking, k key, data *P, out *R, of func(r *R) answer) {
	blank, retryMs := *out, int64(firstRetryMs)
	call := &runtime.Exchange[one[P], R]{Request: &one[P]{k, data}, Context: a.ctx, Response: blank}
	call.Refuse = func(_ *one[P], r *R, code protocol.ErrorCode) {
		*r = blank
		*of(r).code = code
	}
	try := func() { a.c.rt.Submit(runtime.PartitionFor(k.String(), a.c.partitions.Load()), call) }
	call.Done = func(r *R) {
		*out = *r
		told := of(out)
		if *told.code == protocol.CoordinatorLoadInProgress && retryMs <= lastRetryMs && !a.c.closed.Load() {
			// Soon it is loaded; whoever asks has somebody waiting.
			call.Response = blank
			a.c.cfg.Clock.AfterFunc(retryMs, try)
			retryMs *= 2
			return
		}
		if *told.code != protocol.None && *told.text == nil {
			why := "The share coordinator cannot answer: " + told.code.String()
			*told.text = &why
		}
		a.Done()
	}
	try()
}

// InitializeShareGroupState begins share partitions.
func (c *Coordinator) InitializeShareGroupState(ctx runtime.Context, req *protocol.InitializeShareGroupStateRequest, done func(*protocol.InitializeShareGroupStateResponse)) {
	res := &protocol.InitializeShareGroupStateResponse{}
	a := c.asking(ctx, req.GroupId, func() { done(res) })
	for _, t := range named(req.GroupId, req.Topics) {
		res.Results = append(res.Results, protocol.InitializeShareGroupStateResponseInitializeStateResult{TopicId: t.TopicId, Partitions: each(a, t.TopicId, t.Partitions,
			func(p *protocol.InitializeShareGroupStateRequestPartitionData) int32 { return p.Partition },
			protocol.InitializeShareGroupStateResponsePartitionResult{},
			func(r *protocol.InitializeShareGroupStateResponsePartitionResult) answer {
				return answer{&r.Partition, &r.ErrorCode, &r.ErrorMessage}
			},
		)})
	}
	a.Done()
}

// ReadShareGroupState tells what is remembered of share partitions.
func (c *Coordinator) ReadShareGroupState(ctx runtime.Context, req *protocol.ReadShareGroupStateRequest, done func(*protocol.ReadShareGroupStateResponse)) {
	res := &protocol.ReadShareGroupStateResponse{}
	a := c.asking(ctx, req.GroupId, func() { done(res) })
	for _, t := range named(req.GroupId, req.Topics) {
		res.Results = append(res.Results, protocol.ReadShareGroupStateResponseReadStateResult{TopicId: t.TopicId, Partitions: each(a, t.TopicId, t.Partitions,
			func(p *protocol.ReadShareGroupStateRequestPartitionData) int32 { return p.Partition },
			protocol.ReadShareGroupStateResponsePartitionResult{},
			func(r *protocol.ReadShareGroupStateResponsePartitionResult) answer {
				return answer{&r.Partition, &r.ErrorCode, &r.ErrorMessage}
			},
		)})
	}
	a.Done()
}

// WriteShareGroupState takes in what became of records.
func (c *Coordinator) WriteShareGroupState(ctx runtime.Context, req *protocol.WriteShareGroupStateRequest, done func(*protocol.WriteShareGroupStateResponse)) {
	res := &protocol.WriteShareGroupStateResponse{}
	a := c.asking(ctx, req.GroupId, func() { done(res) })
	for _, t := range named(req.GroupId, req.Topics) {
		res.Results = append(res.Results, protocol.WriteShareGroupStateResponseWriteStateResult{TopicId: t.TopicId, Partitions: each(a, t.TopicId, t.Partitions,
			func(p *protocol.WriteShareGroupStateRequestPartitionData) int32 { return p.Partition },
			protocol.WriteShareGroupStateResponsePartitionResult{},
			func(r *protocol.WriteShareGroupStateResponsePartitionResult) answer {
				return answer{&r.Partition, &r.ErrorCode, &r.ErrorMessage}
			},
		)})
	}
	a.Done()
}

// DeleteShareGroupState forgets share partitions.
func (c *Coordinator) DeleteShareGroupState(ctx runtime.Context, req *protocol.DeleteShareGroupStateRequest, done func(*protocol.DeleteShareGroupStateResponse)) {
	res := &protocol.DeleteShareGroupStateResponse{}
	a := c.asking(ctx, req.GroupId, func() { done(res) })
	for _, t := range named(req.GroupId, req.Topics) {
		res.Results = append(res.Results, protocol.DeleteShareGroupStateResponseDeleteStateResult{TopicId: t.TopicId, Partitions: each(a, t.TopicId, t.Partitions,
			func(p *protocol.DeleteShareGroupStateRequestPartitionData) int32 { return p.Partition },
			protocol.DeleteShareGroupStateResponsePartitionResult{},
			func(r *protocol.DeleteShareGroupStateResponsePartitionResult) answer {
				return answer{&r.Partition, &r.ErrorCode, &r.ErrorMessage}
			},
		)})
	}
	a.Done()
}

// ReadShareGroupStateSummary tells where share partitions begin.
func (c *Coordinator) ReadShareGroupStateSummary(ctx runtime.Context, req *protocol.ReadShareGroupStateSummaryRequest, done func(*protocol.ReadShareGroupStateSummaryResponse)) {
	res := &protocol.ReadShareGroupStateSummaryResponse{}
	a := c.asking(ctx, req.GroupId, func() { done(res) })
	for _, t := range named(req.GroupId, req.Topics) {
		res.Results = append(res.Results, protocol.ReadShareGroupStateSummaryResponseReadStateSummaryResult{TopicId: t.TopicId, Partitions: each(a, t.TopicId, t.Partitions,
			func(p *protocol.ReadShareGroupStateSummaryRequestPartitionData) int32 { return p.Partition },
			protocol.ReadShareGroupStateSummaryResponsePartitionResult{DeliveryCompleteCount: noCount},
			func(r *protocol.ReadShareGroupStateSummaryResponsePartitionResult) answer {
				return answer{&r.Partition, &r.ErrorCode, &r.ErrorMessage}
			},
		)})
	}
	a.Done()
}
