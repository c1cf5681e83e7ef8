package storage

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/broker/storage/lookup"
	"github.com/naru-stream/naru/internal/kafka/config"
)

func benchManager(b testing.TB) *Manager {
	m, err := Open(Config{Dirs: []string{b.TempDir()}, NodeID: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close() })
	return m
}

func benchLog(b testing.TB, m *Manager, d Durability) *Log {
	cfg := config.DefaultTopic()
	cfg.SegmentBytes = 256 << 20
	cfg.RetentionBytes = 512 << 20
	cfg.FileDeleteDelayMs = 0
	l, err := m.Create("bench", topicID, 0, cfg)
	if err != nil {
		b.Fatal(err)
	}
	l.SetDurability(d)
	return l
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("os/%d", size), func(b *testing.B) {
			m := benchManager(b)
			l := benchLog(b, m, DurabilityOS)
			data := batch(b, 1, size, time.Now().UnixMilli())
			a := &Append{Batches: data, Done: func(*Append) {}}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				l.Append(a)
				if a.Err != nil {
					b.Fatal(a.Err)
				}
				if n += len(data); n > 1<<30 {
					n = 0
					m.EnforceRetention()
				}
			}
		})
	}
}

// durableWaiter lets appends wait for their sync.
type durableWaiter struct {
	mu     sync.Mutex
	moved  *sync.Cond
	offset int64
}

func (w *durableWaiter) Appended(int64) {}
func (w *durableWaiter) Failed(error)   {}
func (w *durableWaiter) Durable(offset int64) {
	w.mu.Lock()
	w.offset = offset
	w.mu.Unlock()
	w.moved.Broadcast()
}

func (w *durableWaiter) wait(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.offset <= offset {
		w.moved.Wait()
	}
}

func BenchmarkAppendGroup16Producers(b *testing.B) {
	m := benchManager(b)
	l := benchLog(b, m, DurabilityGroup)
	w := &durableWaiter{}
	w.moved = sync.NewCond(&w.mu)
	l.SetListener(w)
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		a := &Append{Batches: batch(b, 1, 4096, time.Now().UnixMilli())}
		done := make(chan struct{}, 1)
		a.Done = func(*Append) { done <- struct{}{} }
		for pb.Next() {
			l.Append(a)
			<-done
			w.wait(a.LastOffset)
		}
	})
}

func BenchmarkReadTail(b *testing.B) {
	m := benchManager(b)
	l := benchLog(b, m, DurabilityOS)
	for range 1000 {
		append1(l, batch(b, 1, 1024, 0), 0)
	}
	end := l.LogEndOffset()
	b.ReportAllocs()
	for b.Loop() {
		s, err := l.Read(end-1, 1<<20, end, true)
		if err != nil || s.Length == 0 {
			b.Fatal(err)
		}
		s.Release()
	}
}

func BenchmarkReadMiddle(b *testing.B) {
	m := benchManager(b)
	l := benchLog(b, m, DurabilityOS)
	for range 10000 {
		append1(l, batch(b, 1, 1024, 0), 0)
	}
	end := l.LogEndOffset()
	b.ReportAllocs()
	at := int64(0)
	for b.Loop() {
		at = (at + 7919) % (end - 100)
		s, err := l.Read(at, 64<<10, end, true)
		if err != nil || s.Length == 0 {
			b.Fatal(err)
		}
		s.Release()
	}
}

func BenchmarkIndexLookup(b *testing.B) {
	m := benchManager(b)
	l := benchLog(b, m, DurabilityOS)
	for range 20000 {
		append1(l, batch(b, 1, 1024, 0), 0)
	}
	l.mu.Lock()
	seg := l.segs[0]
	l.mu.Unlock()
	b.ReportAllocs()
	at := int64(0)
	for b.Loop() {
		at = (at + 7919) % 20000
		if _, err := seg.Floor(lookup.ByOffset(at)); err != nil {
			b.Fatal(err)
		}
	}
}
