package group

import (
	"log/slog"
	"math"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// TopicName is the internal topic in which groups and offsets are kept.
const TopicName = "__consumer_offsets"

// Limits that no setting names.
const (
	// MaxGroupsPerPartition is how many groups one partition of the topic may hold.
	MaxGroupsPerPartition = 1_000_000

	// MaxOffsetsPerGroup is how many partitions a group may have offsets for.
	MaxOffsetsPerGroup = 1_000_000

	// notReadyRetryMs is the pause before a partition that was not ready is told
	// again what has changed in the cluster.
	notReadyRetryMs = 1000

	// recordReserveBytes is what a batch needs beside its largest record.
	recordReserveBytes = 512
)

// Settings are the settings of the group coordinator, named in the config table.
type Settings struct {
	// MinSessionTimeoutMs and MaxSessionTimeoutMs bound the session timeout of
	// members (group.min.session.timeout.ms, group.max.session.timeout.ms).
	MinSessionTimeoutMs, MaxSessionTimeoutMs int32

	// MaxSize is how many members a group may have (group.max.size).
	MaxSize int

	// InitialRebalanceDelayMs is group.initial.rebalance.delay.ms.
	InitialRebalanceDelayMs int64

	// OffsetMetadataMaxBytes is offset.metadata.max.bytes.
	OffsetMetadataMaxBytes int

	// OffsetsRetentionMs is offsets.retention.minutes, in milliseconds.
	OffsetsRetentionMs int64

	// RetentionCheckIntervalMs is offsets.retention.check.interval.ms.
	RetentionCheckIntervalMs int64

	// CommitTimeoutMs is offsets.commit.timeout.ms.
	CommitTimeoutMs int64

	// LoadBufferBytes is offsets.load.buffer.size.
	LoadBufferBytes int

	// MaxBatchBytes is max.message.bytes of the topic.
	MaxBatchBytes int

	// Codec is offsets.topic.compression.codec.
	Codec compress.Codec

	// Consumer are the settings of consumer groups.
	Consumer consumer.Config

	// Share are the settings of share groups.
	Share share.Config

	// Streams are the settings of streams groups.
	Streams streams.Config

	classic classic.Config
}

// DefaultSettings returns Kafka's defaults.
func DefaultSettings() Settings {
	return Settings{
		MinSessionTimeoutMs:      6_000,
		MaxSessionTimeoutMs:      1_800_000,
		MaxSize:                  math.MaxInt32,
		InitialRebalanceDelayMs:  3_000,
		OffsetMetadataMaxBytes:   4_096,
		OffsetsRetentionMs:       10_080 * 60_000,
		RetentionCheckIntervalMs: 600_000,
		CommitTimeoutMs:          5_000,
		LoadBufferBytes:          5 << 20,
		MaxBatchBytes:            1_048_588,
		Consumer: consumer.Config{
			SessionTimeoutMs:     45_000,
			HeartbeatIntervalMs:  5_000,
			AssignmentIntervalMs: 1_000,
			MaxSize:              math.MaxInt32,
			Migration:            consumer.MigrationPolicy{Upgrade: true, Downgrade: true},
			Assignors:            []string{"uniform", "range"},
		},
		Share: share.Config{
			SessionTimeoutMs:          45_000,
			HeartbeatIntervalMs:       5_000,
			AssignmentIntervalMs:      1_000,
			MaxSize:                   200,
			InitializeRetryIntervalMs: 30_000,
		},
		Streams: streams.Config{
			SessionTimeoutMs:        45_000,
			HeartbeatIntervalMs:     5_000,
			AssignmentIntervalMs:    1_000,
			InitialRebalanceDelayMs: 3_000,
			MaxSize:                 math.MaxInt32,
		},
	}
}

// Config is what a Coordinator needs.
type Config struct {
	// Settings are the settings; they do not change later.
	Settings Settings

	// Partitions is how many partitions __consumer_offsets has
	// (offsets.topic.num.partitions until the topic exists, see SetPartitions).
	Partitions int32

	// Log is the topic.
	Log runtime.Log

	// Clock is the time.
	Clock runtime.Clock

	// Persister keeps the state of share partitions.
	Persister Persister

	// EndOffset returns the high watermark of a partition, for the lag of share groups.
	EndOffset func(topic string, partition int32) (int64, error)

	// Current returns this broker's settings as they are with an image, for those that
	// change while it runs. nil: none does.
	Current func(*metadata.Image) config.Values

	// NewUUID makes a random UUID in its usual form, for member ids.
	NewUUID func() string

	// Go starts the work of a partition; see runtime.Config.
	Go func(f func())

	// Logger takes log lines.
	Logger *slog.Logger
}

// Coordinator serves the group APIs for the partitions of __consumer_offsets that this
// node leads. Its methods may be called from any goroutine and do not block, Close
// excepted. A callback is called exactly once, perhaps before the method returns, on
// any goroutine; it must not block, and takes the response over. The request and what
// its strings alias must stay as they are until then.
type Coordinator struct {
	settings   Settings
	newUUID    func() string
	clock      runtime.Clock
	partitions atomic.Int32
	metadata   atomic.Pointer[published]
	rt         *runtime.Runtime
	persister  Persister
	current    func(*metadata.Image) config.Values
	endOffset  func(topic string, partition int32) (int64, error)
}

// New returns a coordinator that leads no partition yet.
func New(cfg Config) *Coordinator {
	return build(cfg, func(_ int32, settings *Settings, view clusterView) runtime.Core {
		return newCore(settings, view)
	})
}

func build(cfg Config, makeCore func(partition int32, settings *Settings, view clusterView) runtime.Core) *Coordinator {
	c := &Coordinator{
		settings: cfg.Settings, newUUID: cfg.NewUUID, clock: cfg.Clock, persister: cfg.Persister, endOffset: cfg.EndOffset,
		current: cfg.Current,
	}
	c.settings.classic = classic.Config{
		MaxSize:                 cfg.Settings.MaxSize,
		InitialRebalanceDelayMs: cfg.Settings.InitialRebalanceDelayMs,
		MaxRecordBytes:          cfg.Settings.MaxBatchBytes - classic.MaxNameBytes - recordReserveBytes,
	}
	c.partitions.Store(cfg.Partitions)
	c.metadata.Store(&published{image{of: metadata.NewImage()}})
	c.rt = runtime.New(runtime.Config{
		Topic: TopicName,
		Log:   cfg.Log,
		Clock: cfg.Clock,
		NewCore: func(partition int32) runtime.Core {
			return makeCore(partition, &c.settings, c.metadata.Load().clusterView)
		},
		Go:              cfg.Go,
		WriteTimeoutMs:  cfg.Settings.CommitTimeoutMs,
		LoadBufferBytes: cfg.Settings.LoadBufferBytes,
		MaxBatchBytes:   cfg.Settings.MaxBatchBytes,
		Codec:           cfg.Settings.Codec,
		Logger:          cfg.Logger,
	})
	return c
}

// SetPartitions tells how many partitions the topic really has.
func (c *Coordinator) SetPartitions(n int32) { c.partitions.Store(n) }

// PartitionFor returns the partition of __consumer_offsets, which has n partitions,
// whose leader coordinates the group.
func (c *Coordinator) PartitionFor(groupID string) int32 {
	return PartitionFor(groupID, c.partitions.Load())
}

// PartitionFor returns which of n partitions of __consumer_offsets holds the group:
// the hash that Java gives the id, made positive, modulo n.
func PartitionFor(groupID string, n int32) int32 { return runtime.PartitionFor(groupID, n) }

// OnElected tells that this node leads the partition of the topic in leaderEpoch.
func (c *Coordinator) OnElected(partition, leaderEpoch int32) { c.rt.Elect(partition, leaderEpoch) }

// OnResigned tells that this node does not lead the partition since leaderEpoch.
func (c *Coordinator) OnResigned(partition, leaderEpoch int32) { c.rt.Resign(partition, leaderEpoch) }

// OnTopicDeleted forgets all offsets committed for the topic, and what share groups have
// of it.
func (c *Coordinator) OnTopicDeleted(topic string, id protocol.UUID) {
	for _, partition := range c.rt.Partitions() {
		c.tellTopicDeleted(partition, topic, id)
	}
}

func (c *Coordinator) tellTopicDeleted(partition int32, topic string, id protocol.UUID) {
	call := &topicDeleted{topic: topic, id: id}
	call.retry = func() {
		c.clock.AfterFunc(notReadyRetryMs, func() { c.tellTopicDeleted(partition, topic, id) })
	}
	c.rt.Submit(partition, call)
}

// Close resigns every partition and waits until nothing runs any more. Whoever waits
// for an answer gets NOT_COORDINATOR.
func (c *Coordinator) Close() { c.rt.Close() }

// checkID tells what is wrong with the id of a group that is to have members.
func checkID(id string) protocol.ErrorCode {
	if id == "" || len(id) > classic.MaxNameBytes {
		return protocol.InvalidGroupId
	}
	return protocol.None
}
