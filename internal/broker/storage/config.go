package storage

import (
	"errors"
	"log/slog"
	"time"

	"github.com/naru-stream/naru/internal/broker/storage/cleaner"
	"github.com/naru-stream/naru/internal/broker/storage/pace"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/vfs"
)

// Config configures a Manager. Fields that are zero take the default named.
type Config struct {
	// FS is the file system; default vfs.OS.
	FS vfs.FS
	// Dirs are the log directories (log.dirs), at least one.
	Dirs []string
	// ClusterID is the cluster's id; empty takes that of the directories, or a new
	// one if they are all new. See Manager.ClusterID.
	ClusterID string
	// NodeID is the node's id.
	NodeID int32
	// Topic gives the settings of a topic found on disk, until SetConfig; default
	// config.DefaultTopic for each.
	Topic func(topic string) config.Topic
	// Logger takes the reports; default slog.Default.
	Logger *slog.Logger
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Manual starts no goroutines and no timers: the caller calls Tick. For tests
	// and simulation.
	Manual bool

	// MaxOpenFiles bounds the idle open segment files; default 1024.
	MaxOpenFiles int
	// MaxFilesInUse bounds the segment files open at once, those that wait for a sync
	// included; default 0, none.
	MaxFilesInUse int
	// MaxIndexCacheBytes bounds the loaded indexes of sealed segments; default 16 MiB.
	MaxIndexCacheBytes int64
	// MaxParallelSyncs bounds the fdatasync calls at once for a directory; default 16.
	MaxParallelSyncs int
	// JournalFileBytes is how large each of a directory's two journal files gets;
	// default 16 MiB. A sync that logs share takes an eighth of it.
	JournalFileBytes int
	// SyncInterval is how long written data stays unsynced in mode os; default 1 s.
	SyncInterval time.Duration
	// SyncBytes is how much of a partition stays unsynced in mode os; default 64 MiB.
	SyncBytes int64
	// CheckpointInterval is how often the manifest is synced and producer state is
	// saved while there are appends; default 10 s.
	CheckpointInterval time.Duration
	// RetentionInterval is log.retention.check.interval.ms; default 5 min.
	RetentionInterval time.Duration
	// ReserveBytes is the space set aside in each directory for the manifest and an
	// orderly close when the disk is full; default 0, none.
	ReserveBytes int64
	// MinFreeBytes is the free space below which clients' appends are refused while reads,
	// deletion and retention go on; default 0: only a full disk refuses.
	MinFreeBytes int64
	// ProducerIDExpiration is producer.id.expiration.ms; default 1 day.
	ProducerIDExpiration time.Duration
	// ProducerIDExpirationCheck is producer.id.expiration.check.interval.ms; default 10 min.
	ProducerIDExpirationCheck time.Duration
	// MoveThreads is how many logs are moved between directories at once
	// (num.replica.alter.log.dirs.threads); default as many as there are directories.
	MoveThreads int
	// MoveBytesPerSecond is what the moves keep to together
	// (replica.alter.log.dirs.io.max.bytes.per.second); default 0, no limit.
	MoveBytesPerSecond float64
	// RecoveryThreads bounds the partitions recovered at once; default GOMAXPROCS.
	RecoveryThreads int
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Dirs) == 0 {
		return c, errors.New("log.dirs names no directory")
	}
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.Topic == nil {
		def := config.DefaultTopic()
		c.Topic = func(string) config.Topic { return def }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	orDefault(&c.MaxOpenFiles, 1024)
	orDefault(&c.MaxIndexCacheBytes, 16<<20)
	orDefault(&c.MaxParallelSyncs, 16)
	orDefault(&c.JournalFileBytes, 16<<20)
	orDefault(&c.SyncInterval, time.Second)
	orDefault(&c.SyncBytes, 64<<20)
	orDefault(&c.CheckpointInterval, 10*time.Second)
	orDefault(&c.RetentionInterval, 5*time.Minute)
	orDefault(&c.ProducerIDExpiration, 24*time.Hour)
	orDefault(&c.ProducerIDExpirationCheck, 10*time.Minute)
	orDefault(&c.MoveThreads, len(c.Dirs))
	return c, nil
}

// Durability says when an append counts as durable.
type Durability int8

const (
	// DurabilityOS is Kafka's default bargain: the page cache holds the data and a
	// background sync follows within a second or 64 MiB.
	DurabilityOS Durability = iota
	// DurabilityGroup syncs appends as they come, many with one fdatasync.
	DurabilityGroup
)

// String returns the mode's name.
func (d Durability) String() string {
	if d == DurabilityGroup {
		return "group"
	}
	return "os"
}

// settings is what a log needs of its topic's configuration.
type settings struct {
	segmentBytes      int64
	segmentMs         int64
	segmentJitterMs   int64
	indexInterval     int64
	retentionMs       int64
	retentionBytes    int64
	fileDeleteDelayMs int64
	flushMessages     int64
	deletes           bool
	compacts          bool
	logAppendTime     bool
	cleaning          cleaner.Policy
}

func newSettings(t *config.Topic) *settings {
	segmentMs := t.SegmentMs
	if t.Compacts() {
		// The cleaner leaves the active segment alone: what must be compacted by a time
		// must have left it by then.
		segmentMs = min(segmentMs, t.MaxCompactionLagMs)
	}
	return &settings{
		segmentBytes:      int64(t.SegmentSize()),
		segmentMs:         segmentMs,
		segmentJitterMs:   t.SegmentJitterMs,
		indexInterval:     int64(t.IndexIntervalBytes),
		retentionMs:       t.RetentionMs,
		retentionBytes:    t.RetentionBytes,
		fileDeleteDelayMs: t.FileDeleteDelayMs,
		flushMessages:     t.FlushMessages,
		deletes:           t.Deletes(),
		compacts:          t.Compacts(),
		logAppendTime:     t.LogAppendTime(),
		cleaning: cleaner.Policy{
			MinCleanableRatio:  t.MinCleanableDirtyRatio,
			MinCompactionLagMs: t.MinCompactionLagMs,
			MaxCompactionLagMs: t.MaxCompactionLagMs,
			DeleteRetentionMs:  t.DeleteRetentionMs,
			SegmentBytes:       int64(t.SegmentSize()),
		},
	}
}

// rules says how long and how much of a topic's log may wait for the background.
func (c *Config) rules(t *config.Topic) pace.Rules {
	syncMs := c.SyncInterval.Milliseconds()
	return pace.Rules{
		SyncMs: min(syncMs, max(t.FlushMs, 1)), SyncBytes: c.SyncBytes, SyncMessages: t.FlushMessages,
		ManifestMs: syncMs, CheckpointMs: c.CheckpointInterval.Milliseconds(),
	}
}
