package runtime

import (
	"errors"
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

var errAborted = errors.New("the leadership ended while loading")

// load reads the partition into a new core and opens the mailbox.
func (s *shard) load(incarnation uint64) {
	cfg := &s.rt.cfg
	startedMs := cfg.Clock.NowMs()
	core := cfg.NewCore(s.partition)
	s.rt.loads <- struct{}{}
	records, end, err := s.replay(incarnation, core)
	<-s.rt.loads
	if errors.Is(err, errAborted) {
		return
	}
	nowMs := cfg.Clock.NowMs()
	s.mu.Lock()
	if incarnation != s.incarnation {
		s.mu.Unlock()
		return
	}
	if err != nil {
		s.state = stateFailed
		s.armAt(nowMs, nowMs+reloadBackoffMs)
		s.mu.Unlock()
		cfg.Logger.Error("coordinator partition could not be loaded", "topic", cfg.Topic,
			"partition", s.partition, "error", err, "retry_ms", reloadBackoffMs)
		return
	}
	s.core, s.timers, s.loadedMs = core, timers{}, nowMs
	s.state = stateActive
	leaderEpoch := s.leaderEpoch
	// Nothing that was read may be told before it is committed.
	if end > 0 {
		s.waiting = append(s.waiting, pending{end: end, deadlineMs: nowMs + cfg.WriteTimeoutMs, appended: true})
		s.inFlight++
	}
	s.mu.Unlock()
	if end > 0 {
		s.await(incarnation, leaderEpoch, end)
	}
	cfg.Logger.Debug("coordinator partition loaded", "topic", cfg.Topic, "partition", s.partition,
		"leader_epoch", leaderEpoch, "records", records, "duration_ms", nowMs-startedMs)
	s.out.reset()
	core.Loaded(nowMs, &s.out)
	if s.eventDone(incarnation, nowMs) {
		s.flush(incarnation, nowMs)
	}
}

// replay applies every record from the log start offset to the log end offset.
func (s *shard) replay(incarnation uint64, core Core) (records int, end int64, err error) {
	log := s.rt.cfg.Log
	start, end, err := log.Range(s.partition)
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the offsets of partition %d: %w", s.partition, err)
	}
	var scratch record.Scratch
	for offset := start; offset < end; {
		if s.stale(incarnation) {
			return 0, 0, errAborted
		}
		buf, err := log.Read(s.partition, offset, s.rt.cfg.LoadBufferBytes)
		if err != nil {
			return 0, 0, fmt.Errorf("reading partition %d from offset %d: %w", s.partition, offset, err)
		}
		next := offset
		for len(buf) > 0 {
			var batch record.Batch
			if batch, buf, err = record.Next(buf); err != nil {
				return 0, 0, fmt.Errorf("reading partition %d after offset %d: %w", s.partition, next, err)
			}
			n, err := applyBatch(core, batch, offset, &scratch)
			if err != nil {
				return 0, 0, fmt.Errorf("replaying the batch at offset %d of partition %d: %w", batch.BaseOffset(), s.partition, err)
			}
			records += n
			next = max(next, batch.NextOffset())
		}
		if next == offset {
			return 0, 0, fmt.Errorf("reading partition %d at offset %d of %d: the log gave no batch: %w",
				s.partition, offset, end, protocol.KafkaStorageError)
		}
		offset = next
	}
	return records, end, nil
}

func (s *shard) stale(incarnation uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return incarnation != s.incarnation
}

// unload throws memory away and answers the calls it held.
func (s *shard) unload(code protocol.ErrorCode) {
	core := s.core
	s.core, s.timers = nil, timers{}
	s.out.reset()
	failAll(core.Unload(), code)
}

// recover throws memory away that the log does not carry, answers everybody who
// waits with the error, and leaves the shard to be loaded again: at once, unless that
// has just been done, for a log that refuses every write shall not be read all the time.
func (s *shard) recover() {
	nowMs := s.rt.cfg.Clock.NowMs()
	s.mu.Lock()
	if s.state != stateActive {
		s.mu.Unlock()
		return
	}
	err := s.failure
	s.state = stateLoading
	s.incarnation++
	s.disarm()
	if againMs := s.loadedMs + reloadBackoffMs; nowMs < againMs {
		s.state = statePaused
		s.armAt(nowMs, againMs)
	}
	queue, waiting := s.takeAll()
	s.mu.Unlock()
	s.rt.cfg.Logger.Warn("coordinator partition is read again after a failed write",
		"topic", s.rt.cfg.Topic, "partition", s.partition, "error", err)
	failPending(waiting, codeFor(err))
	failAll(queue, protocol.CoordinatorLoadInProgress)
	s.unload(codeFor(err))
}
