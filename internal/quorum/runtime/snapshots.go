package runtime

import (
	"sync"
	"time"

	"github.com/naru-stream/naru/internal/quorum/controller"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/quorum/metalog"
)

// snapshotsKept is how many snapshots stay: the newest and one to fall back to.
const snapshotsKept = 2

// replayLimitBytes is how much log a start may leave to be replayed again by the
// next one: beyond, it takes a snapshot at once.
const replayLimitBytes = 1 << 20

// A start replays about 60 MB of log a second. So that it never takes long, a
// snapshot is taken before the setting asks for one: after eagerBytes, or in a
// large cluster after as many bytes as the snapshot itself will have.
const (
	eagerBytes        = 4 << 20
	bytesPerPartition = 128
)

// snapshotter decides when to write a snapshot and lets one goroutine at a time
// write it. An image never changes, so the controller goes on meanwhile.
type snapshotter struct {
	maxBytes     int
	intervalMs   int64
	bytes        int // appended since the last snapshot
	lastMs       int64
	lastOffset   int64 // of the image in the last snapshot
	writing      bool
	writer       sync.WaitGroup
	latest       *metadata.Image
	latestTimeMs int64
}

type snapshotDone struct {
	offset int64
	oldest int64
	err    error
}

func (s *snapshotter) begin(cfg Config, recovered *metalog.Recovered) {
	s.maxBytes = int(cfg.Settings.Int64("metadata.log.max.record.bytes.between.snapshots"))
	s.intervalMs = cfg.Settings.Int64("metadata.log.max.snapshot.interval.ms")
	s.lastMs, s.bytes = cfg.Now().UnixMilli(), recovered.LogBytes
	if s.bytes > replayLimitBytes {
		s.bytes = s.maxBytes
	}
	s.lastOffset = recovered.Snapshot.EndOffset - 1
	s.latest, s.latestTimeMs = recovered.Image, recovered.TimestampMs
}

// dueMs returns when a snapshot is due by time, in milliseconds since 1970.
func (s *snapshotter) dueMs() int64 {
	if s.intervalMs <= 0 || s.writing {
		return s.lastMs + int64(time.Hour/time.Millisecond)
	}
	return s.lastMs + s.intervalMs
}

// wait waits for a snapshot that is being written.
func (s *snapshotter) wait() { s.writer.Wait() }

// considerSnapshot takes note of a committed image and starts a snapshot if one
// is due.
func (c *Controller) considerSnapshot(img *metadata.Image, appended int, nowMs int64) {
	s := &c.snapshotter
	if img.Offset > s.latest.Offset {
		s.latest, s.latestTimeMs = img, nowMs
	}
	s.bytes += appended
	limit := min(s.maxBytes, max(eagerBytes, bytesPerPartition*img.PartitionCount()))
	due := s.bytes >= limit || s.intervalMs > 0 && nowMs >= s.lastMs+s.intervalMs
	if !due || s.writing {
		return
	}
	s.lastMs, s.bytes = nowMs, 0
	if s.latest.Offset <= s.lastOffset {
		return
	}
	s.writing = true
	latest, timeMs := s.latest, s.latestTimeMs
	s.writer.Go(func() {
		done := snapshotDone{offset: latest.Offset}
		if _, done.err = c.cfg.Snapshots.Write(latest, timeMs, controller.RecordVersion); done.err == nil {
			done.oldest, done.err = c.cfg.Snapshots.Retain(snapshotsKept)
		}
		c.snapshot <- done // has room for the only one
	})
}

// snapshotFinished lets the log go of what the oldest snapshot contains.
func (c *Controller) snapshotFinished(done snapshotDone) {
	c.snapshotter.writing = false
	if done.err != nil {
		c.cfg.Logger.Error("metadata snapshot failed", "error", done.err)
		return
	}
	c.snapshotter.lastOffset = done.offset
	if err := c.cfg.Log.Trim(done.oldest); err != nil {
		c.cfg.Logger.Warn("metadata log not trimmed", "error", err)
	}
}
