package storage

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/broker/storage/epochs"
	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/pace"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Listener is told about a log's progress. Its methods are called without any
// lock held, in order, by the goroutine that made the progress; they must not
// block and must not call methods of the log that wait (TruncateTo,
// DeleteRecordsBefore, …), but may call Append.
type Listener interface {
	// Appended says that the log now ends at endOffset.
	Appended(endOffset int64)
	// Durable says that everything below offset survives a power cut.
	Durable(offset int64)
	// Failed says that the log's directory failed: nothing more is appended.
	Failed(err error)
}

// Log is one partition on this node. All methods may be called concurrently.
type Log struct {
	m         *Manager
	topic     string
	topicID   wire.UUID
	partition int32
	// at is where the log's files are. It changes when the log is moved, by who holds the
	// structural token, the writer's token and mu.
	at atomic.Pointer[place]

	queue appendQueue
	// structural is held by what changes the list of segments or seals them, over
	// its I/O: a token, not a lock, and never taken by appends.
	structural chan struct{}
	producers  producers

	mu         sync.Mutex
	set        *settings
	durability Durability
	listener   Listener
	segs       []*segment  // ascending, never empty; the last one is written to
	tail       *index.Tail // nil until the first append
	epochs     epochs.Cache
	logStart   int64
	end        int64 // log end offset
	durable    int64
	cleaned    int64 // everything below was compacted
	// highWatermark is what OnHighWatermark was told last.
	highWatermark int64
	// active describes the last segment as far as it is synced.
	active manifest.Segment
	// generation counts truncations, which make a sync that runs tell nothing.
	generation int
	// namesMade counts new names in the partition's directory, namesSynced those
	// that are durable.
	namesMade, namesSynced int
	onDisk                 bool // the directory exists
	closed                 error
	rules                  pace.Rules
	pace                   pace.Pace
	snapshots              snapshots
	epochsChanged          bool // since the manifest was told
	// sealedAborted says that segments with aborted transactions were sealed and the
	// manifest that tells it may not be synced.
	sealedAborted bool
}

// place is where a log's files are: in a log directory, under a path, and known to the
// directory's manifest by an id.
type place struct {
	dir  *directory
	id   uint32
	path string
}

func (l *Log) dir() *directory { return l.at.Load().dir }

func (l *Log) id() uint32 { return l.at.Load().id }

func (l *Log) path() string { return l.at.Load().path }

// snapshots are the saved states of the producers. Guarded by Log.mu.
type snapshots struct {
	newest snapshotPoint
	older  snapshotPoint // the one before, kept for a truncation
	swept  bool          // those of earlier runs are gone
}

// snapshotPoint is a saved state of the producers.
type snapshotPoint struct {
	offset  int64
	hasFile bool
}

func newLog(d *directory, id uint32, topic string, topicID wire.UUID, partition int32, cfg *config.Topic) *Log {
	l := &Log{m: d.m, topic: topic, topicID: topicID, partition: partition, structural: make(chan struct{}, 1)}
	l.at.Store(&place{dir: d, id: id, path: d.partitionPath(topic, partition)})
	l.segs = []*segment{l.newSegment(0)}
	l.applyConfig(cfg)
	return l
}

func (l *Log) applyConfig(cfg *config.Topic) {
	l.set = newSettings(cfg)
	l.rules = l.m.cfg.rules(cfg)
	if l.set.flushMessages == 1 {
		l.durability = DurabilityGroup
	}
}

// Topic returns the topic's name.
func (l *Log) Topic() string { return l.topic }

// TopicID returns the topic's id.
func (l *Log) TopicID() wire.UUID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.topicID
}

// Partition returns the partition's number.
func (l *Log) Partition() int32 { return l.partition }

// Dir returns the log directory that holds the partition.
func (l *Log) Dir() string { return l.dir().path }

// String returns <topic>-<partition>.
func (l *Log) String() string { return segmentfile.DirName(l.topic, l.partition) }

// SetListener sets who is told about progress, nil for nobody.
func (l *Log) SetListener(listener Listener) {
	l.mu.Lock()
	l.listener = listener
	l.mu.Unlock()
	if err := l.dir().health.Failure(); err != nil && listener != nil {
		listener.Failed(err)
	}
}

// SetConfig applies the topic's settings from the next append on. A topic with
// flush.messages=1 becomes durable in mode group.
func (l *Log) SetConfig(cfg config.Topic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applyConfig(&cfg)
}

// SetDurability chooses the mode. Group makes what is unsynced durable at once.
func (l *Log) SetDurability(d Durability) {
	l.mu.Lock()
	if l.set.flushMessages == 1 {
		d = DurabilityGroup
	}
	l.durability = d
	behind := d == DurabilityGroup && l.durable < l.end
	l.mu.Unlock()
	if behind {
		l.dir().schedule(l, true)
	}
}

// Durability returns the mode.
func (l *Log) Durability() Durability {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durability
}

// LogStartOffset returns the first offset that may be read.
func (l *Log) LogStartOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logStart
}

// LogEndOffset returns the offset that the next record will get.
func (l *Log) LogEndOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// DurableOffset returns the offset below which everything survives a power cut.
func (l *Log) DurableOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Offsets returns the log start, the durable and the log end offset of one moment.
func (l *Log) Offsets() (start, durable, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logStart, l.durable, l.end
}

// Size returns the bytes of all segments.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, s := range l.segs {
		n += s.Size
	}
	return n
}

// SegmentInfo describes one segment of a log.
type SegmentInfo struct {
	// BaseOffset names the file.
	BaseOffset int64
	// NextOffset is the offset after its last batch.
	NextOffset int64
	// SizeBytes is the length of the file.
	SizeBytes int64
	// MaxTimestamp is the largest record timestamp, math.MinInt64 without records.
	MaxTimestamp int64
}

// Segments describes the segments, the active one last.
func (l *Log) Segments() []SegmentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := make([]SegmentInfo, len(l.segs))
	for i, s := range l.segs {
		infos[i] = SegmentInfo{s.BaseOffset, s.NextOffset, s.Size, s.MaxTimestamp}
	}
	return infos
}

// describe returns the partition as the manifest keeps it.
func (l *Log) describe() *manifest.Partition {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &manifest.Partition{
		ID: l.id(), Topic: l.topic, TopicID: l.topicID, Partition: l.partition,
		Point: l.point(), Epochs: l.epochs.All(),
	}
	for i, s := range l.segs {
		switch {
		case s.Sealed:
			p.Segments = append(p.Segments, s.Segment)
		case i == len(l.segs)-1 && l.activeKnown():
			p.Segments = append(p.Segments, l.active)
		}
	}
	return p
}

// point returns the log's checkpoint. l.mu is held.
func (l *Log) point() manifest.Point {
	return manifest.Point{
		LogStartOffset: l.logStart, RecoveryPoint: l.durable, LogEndOffset: l.end, CleanedOffset: l.cleaned,
		SnapshotOffset: l.snapshots.newest.offset, HasSnapshot: l.snapshots.newest.hasFile,
	}
}

// activeKnown tells whether l.active describes the present active segment. l.mu
// is held.
func (l *Log) activeKnown() bool {
	s := l.last()
	return s.handle != nil && l.active.BaseOffset == s.BaseOffset && (l.active.Size > 0 || s.synced == s.Size)
}

// last returns the active segment. l.mu is held.
func (l *Log) last() *segment { return l.segs[len(l.segs)-1] }

// activeSegment returns the active segment to the writer: only the writer replaces
// it.
func (l *Log) activeSegment() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last()
}

// find returns the segment that holds an offset: the last one that begins at or
// before it, and its place. l.mu is held.
func (l *Log) find(offset int64) (*segment, int) {
	lo, hi := 0, len(l.segs)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; l.segs[mid].BaseOffset <= offset {
			lo = mid
		} else {
			hi = mid
		}
	}
	return l.segs[lo], lo
}

// holdStructural takes the structural token.
func (l *Log) holdStructural() { l.structural <- struct{}{} }

// tryStructural takes the structural token if it is free.
func (l *Log) tryStructural() bool {
	select {
	case l.structural <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *Log) releaseStructural() { <-l.structural }

func storageError(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, protocol.KafkaStorageError, err)
}
