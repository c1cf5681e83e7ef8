package group

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/coordinator/runtime/runtimetest"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
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

// BenchmarkHeartbeat is one of 1,000 members after the other saying that it lives.
func BenchmarkHeartbeat(b *testing.B) {
	settings := DefaultSettings()
	settings.classic.MaxSize = settings.MaxSize
	c := newCore(&settings, &cluster{})
	value := coordrecord.GroupMetadataValue{ProtocolType: "consumer", Generation: 1, Protocol: ptr("range")}
	var calls []*classic.HeartbeatCall
	for i := range 1000 {
		id := fmt.Sprint("consumer-", i)
		value.Members = append(value.Members, coordrecord.GroupMetadataValueMemberMetadata{MemberId: id, SessionTimeout: 45_000})
		calls = append(calls, &classic.HeartbeatCall{Request: &protocol.HeartbeatRequest{GroupId: "g", MemberId: id, GenerationId: 1}})
	}
	if err := c.Apply(classic.AppendKey(nil, "g"), value.Append([]byte{0, 3}, 3), runtime.Origin{}); err != nil {
		b.Fatal(err)
	}
	w := runtimetest.NewWorld(0)
	rt := runtime.New(runtime.Config{
		Log: sink{}, Clock: w, Go: w.Go, NewCore: func(int32) runtime.Core { return c }, MaxBatchBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler),
	})
	rt.Elect(0, 1)
	w.Run()
	answers := 0
	for _, call := range calls {
		call.Done = func(r *protocol.HeartbeatResponse) {
			if r.ErrorCode == protocol.None {
				answers++
			}
		}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		rt.Submit(0, calls[n%len(calls)])
		w.Run()
		n++
	}
	if answers != n {
		b.Fatalf("%d of %d heartbeats were taken", answers, n)
	}
}
