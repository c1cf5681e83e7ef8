package storage

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// TestProducersReadersAndBackgroundWorkTogether runs everything at once on the
// operating system's files; with -race it is about the locks, without about the
// outcome.
func TestProducersReadersAndBackgroundWorkTogether(t *testing.T) {
	dir := t.TempDir()
	topic := config.DefaultTopic()
	topic.SegmentBytes = 64 << 10
	topic.IndexIntervalBytes = 512
	topic.FileDeleteDelayMs = 1
	cfg := Config{
		Dirs: []string{dir}, NodeID: 1, Logger: slog.New(slog.DiscardHandler),
		Topic:        func(string) config.Topic { return topic },
		MaxOpenFiles: 3, SyncInterval: 5 * time.Millisecond, CheckpointInterval: 20 * time.Millisecond,
	}
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const producers, each = 8, 60
	logs := make([]*Log, 3)
	for i := range logs {
		if logs[i], err = m.Create("t", topicID, int32(i), topic); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			logs[i].SetDurability(DurabilityGroup)
		}
	}
	var appended [3]atomic.Int64
	var work sync.WaitGroup
	for p := range producers {
		work.Go(func() {
			spec := record.DefaultSpec()
			spec.ProducerID, spec.ProducerEpoch = int64(p), 0
			for i := range each {
				for n, l := range logs {
					spec.BaseSequence = int32(i)
					done := make(chan struct{})
					a := &Append{Batches: batchOf(t, spec, 1, 300, time.Now().UnixMilli()), Done: func(*Append) { close(done) }}
					l.Append(a)
					<-done
					if a.Err != nil || a.Duplicate {
						t.Errorf("producer %d, batch %d: duplicate %v, %v", p, i, a.Duplicate, a.Err)
						return
					}
					appended[n].Add(1)
				}
			}
		})
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() { readUntil(t, logs, stop) })
	}
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				start, _, end := logs[0].Offsets()
				if _, err := logs[0].DeleteRecordsBefore(start + (end-start)/2); err != nil {
					t.Errorf("delete records: %v", err)
				}
				m.EnforceRetention()
			}
		}
	})
	work.Wait()
	close(stop)
	readers.Wait()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	for n := range logs {
		l := m.Log("t", int32(n))
		if l.LogEndOffset() != producers*each || appended[n].Load() != producers*each {
			t.Fatalf("log %d ends at %d, %d were appended", n, l.LogEndOffset(), appended[n].Load())
		}
		checkContiguous(t, l)
		known, err := l.Producers()
		if err != nil || len(known) != producers {
			t.Fatalf("log %d knows %d producers, %v", n, len(known), err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func readUntil(t *testing.T, logs []*Log, stop chan struct{}) {
	rng := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 1<<20)
	for {
		select {
		case <-stop:
			return
		default:
		}
		l := logs[rng.IntN(len(logs))]
		start, _, end := l.Offsets()
		at := start + rng.Int64N(end-start+1)
		s, err := l.Read(at, 8000, end, true)
		var out *OffsetRangeError
		if errors.As(err, &out) {
			continue // deleted meanwhile
		}
		if err != nil {
			t.Errorf("read at %d: %v", at, err)
			return
		}
		b := buf[:s.Length]
		if _, err := s.ReadAt(b, 0); err != nil {
			t.Errorf("read at %d: %v", at, err)
		}
		s.Release()
		for len(b) > 0 {
			bt, rest, err := record.Next(b)
			if err == nil {
				err = bt.CheckCRC()
			}
			if err != nil {
				t.Errorf("read at %d: %v", at, err)
				return
			}
			b = rest
		}
	}
}
