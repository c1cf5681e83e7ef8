package group

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// sink is a log that forgets at once what is written to it.
type sink struct{}

func (sink) Range(int32) (start, end int64, err error)         { return 0, 0, nil }
func (sink) Read(int32, int64, int) ([]byte, error)            { return nil, nil }
func (sink) Append(_, _ int32, batch []byte) (int64, error)    { return 1, nil }
func (sink) AwaitCommitted(_, _ int32, _ int64, f func(error)) { f(nil) }

type wallClock struct{}

func (wallClock) NowMs() int64 { return time.Now().UnixMilli() }

func (wallClock) AfterFunc(delayMs int64, f func()) func() {
	t := time.AfterFunc(time.Duration(delayMs)*time.Millisecond, f)
	return func() { t.Stop() }
}

func commitRequest() *protocol.OffsetCommitRequest {
	req := &protocol.OffsetCommitRequest{}
	req.SetDefaults()
	req.GroupId = "group"
	req.GenerationIdOrMemberEpoch = -1
	req.Topics = []protocol.OffsetCommitRequestTopic{{Name: "topic"}}
	for p := range int32(10) {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, protocol.OffsetCommitRequestPartition{
			PartitionIndex: p, CommittedOffset: 123456, CommittedLeaderEpoch: 1,
		})
	}
	return req
}

// BenchmarkOffsetCommit is one client after the other committing ten partitions, from
// the call to the answer, over a log that costs nothing.
func BenchmarkOffsetCommit(b *testing.B) {
	c := New(Config{
		Settings: DefaultSettings(), Partitions: 1, Log: sink{}, Clock: wallClock{}, NewUUID: func() string { return "u" },
		Logger: slog.New(slog.DiscardHandler),
	})
	c.OnElected(0, 1)
	defer c.Close()
	for !loaded(c) {
		time.Now()
	}
	req, done := commitRequest(), make(chan struct{}, 1)
	b.ReportAllocs()
	for b.Loop() {
		c.OffsetCommit(runtime.Context{Version: 9}, req, func(*protocol.OffsetCommitResponse) { done <- struct{}{} })
		<-done
	}
}

// BenchmarkOffsetCommitConcurrent is many clients at once: their commits share batches.
func BenchmarkOffsetCommitConcurrent(b *testing.B) {
	c := New(Config{
		Settings: DefaultSettings(), Partitions: 1, Log: sink{}, Clock: wallClock{}, NewUUID: func() string { return "u" },
		Logger: slog.New(slog.DiscardHandler),
	})
	c.OnElected(0, 1)
	defer c.Close()
	for !loaded(c) {
		time.Now()
	}
	req := commitRequest()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 1000)
	b.ReportAllocs()
	for b.Loop() {
		slots <- struct{}{}
		wg.Add(1)
		c.OffsetCommit(runtime.Context{Version: 9}, req, func(*protocol.OffsetCommitResponse) {
			<-slots
			wg.Done()
		})
	}
	wg.Wait()
}

func loaded(c *Coordinator) bool {
	answer := make(chan protocol.ErrorCode, 1)
	c.SyncGroup(runtime.Context{}, &protocol.SyncGroupRequest{GroupId: "g"}, func(r *protocol.SyncGroupResponse) { answer <- r.ErrorCode })
	return <-answer != protocol.CoordinatorLoadInProgress
}

// BenchmarkReplay is the start of a partition with 100,000 committed offsets.
func BenchmarkReplay(b *testing.B) {
	w := newWorld(b, nil)
	req := commitRequest()
	for p := range int32(10_000) {
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionIndex = p*10 + int32(i)
		}
		w.c.OffsetCommit(runtime.Context{Version: 9}, req, func(*protocol.OffsetCommitResponse) {})
		w.Run()
	}
	b.ReportAllocs()
	for b.Loop() {
		w.start()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/record")
}
