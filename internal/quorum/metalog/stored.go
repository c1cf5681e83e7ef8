package metalog

import (
	"errors"
	"fmt"
	"math"
	"path"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// Topic is the name of the metadata log's topic; it has the one partition 0.
const Topic = "__cluster_metadata"

// TopicConfig returns the settings of the metadata log's partition: durable at
// each append, rolled as metadata.log.segment.bytes and metadata.log.segment.ms
// say, and nothing deleted but what Trim lets go.
func TopicConfig(settings config.Values) config.Topic {
	t := config.DefaultTopic()
	t.CleanupPolicy = []string{"delete"}
	t.RetentionMs, t.RetentionBytes = -1, -1
	t.SegmentBytes = settings.Int32("metadata.log.segment.bytes")
	t.SegmentMs = settings.Int64("metadata.log.segment.ms")
	t.MaxMessageBytes = math.MaxInt32
	t.FlushMessages = 1
	t.MessageTimestampType = "CreateTime"
	return t
}

// Stored is the Log in a partition of the storage.
type Stored struct {
	log *storage.Log

	mu      sync.Mutex
	durable int64
	failed  error
	changed chan struct{} // holds a token after a change
}

// OpenStored opens the metadata log of a storage manager, creating it in a new
// one. It returns the directory for the snapshots as well, which lies beside the
// segments as in Kafka.
func OpenStored(m *storage.Manager, settings config.Values) (log *Stored, snapshotDir string, err error) {
	l, err := m.Create(Topic, TopicID, 0, TopicConfig(settings))
	if err != nil {
		return nil, "", fmt.Errorf("opening the metadata log: %w", err)
	}
	s := &Stored{log: l, durable: l.DurableOffset(), changed: make(chan struct{}, 1)}
	l.SetListener(s)
	return s, path.Join(l.Dir(), l.String()), nil
}

// Appended implements storage.Listener.
func (s *Stored) Appended(int64) {}

// Durable implements storage.Listener.
func (s *Stored) Durable(offset int64) {
	s.note(func() { s.durable = max(s.durable, offset) })
}

// Failed implements storage.Listener.
func (s *Stored) Failed(err error) {
	s.note(func() { s.failed = err })
}

func (s *Stored) note(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Append implements Log.
func (s *Stored) Append(batches []byte, leaderEpoch int32) error {
	first, _, err := record.Next(batches)
	if err != nil {
		return fmt.Errorf("appending to the metadata log: %w", err)
	}
	expected := first.BaseOffset()
	done := make(chan struct{})
	a := &storage.Append{
		Batches: batches, LeaderEpoch: leaderEpoch, Origin: storage.OriginCoordinator, Vital: true,
		Done: func(*storage.Append) { close(done) },
	}
	s.log.Append(a)
	<-done
	if a.Err != nil {
		return fmt.Errorf("appending to the metadata log: %w", a.Err)
	}
	if a.BaseOffset != expected {
		return fmt.Errorf("appending to the metadata log: records for offset %d went to %d; something else writes to it", expected, a.BaseOffset)
	}
	return s.waitDurable(a.LastOffset + 1)
}

// waitDurable waits until everything below offset survives a power cut.
func (s *Stored) waitDurable(offset int64) error {
	for {
		s.mu.Lock()
		durable, failed := s.durable, s.failed
		s.mu.Unlock()
		switch {
		case durable >= offset:
			return nil
		case failed != nil:
			return fmt.Errorf("appending to the metadata log: %w", failed)
		}
		<-s.changed
	}
}

// Read implements Log.
func (s *Stored) Read(offset int64, maxBytes int) ([]byte, error) {
	slice, err := s.log.Read(offset, int32(min(maxBytes, math.MaxInt32)), math.MaxInt64, true)
	if err != nil {
		return nil, err
	}
	if slice.Length == 0 {
		return nil, nil
	}
	defer slice.Release()
	b := make([]byte, slice.Length)
	if n, err := slice.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("reading the metadata log at offset %d: %w", offset, err)
	}
	return b, nil
}

// Bounds implements Log. After an unclean stop the end may lie behind what is
// durable; the first append of a start, which the controller waits for before it
// tells anybody anything, makes all of it durable.
func (s *Stored) Bounds() (start, end int64) {
	return s.log.LogStartOffset(), s.log.LogEndOffset()
}

// Trim implements Log.
func (s *Stored) Trim(before int64) error {
	_, err := s.log.DeleteRecordsBefore(before)
	if outside := (*storage.OffsetRangeError)(nil); errors.As(err, &outside) {
		return nil
	}
	return err
}
