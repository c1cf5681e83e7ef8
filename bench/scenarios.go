package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// scenario is one row of the table: what is done, and which figure decides.
type scenario struct {
	name, what string
	// durability is the mode the broker runs in: "os" or "group".
	durability string
	// target is the ratio Naru ÷ Kafka that the row must reach: at most it, or at
	// least it where more is better.
	target float64
	more   bool
	unit   string
	run    func(ctx context.Context, b *broker, o options) (measurement, error)
}

// measurement is one run of a scenario.
type measurement struct {
	value  float64 // the figure that decides
	detail string
}

// options are common to all scenarios.
type options struct {
	duration time.Duration
	load     int64 // how many bytes a load of large batches writes
	crash    int64 // how many bytes are on disk before a crash
	compact  int64 // how many bytes are compacted
	run      int   // counts the runs, so that topics have names of their own
}

func scenarios() []scenario {
	return []scenario{
		{"produce-1k", "1 KB records, 16 partitions, acks=1, 64 KB batches: broker CPU-s per GB", "os", 0.4, false, "CPU-s/GB",
			perGB(load{partitions: 16, connections: 4, inFlight: 5, acks: 1, recordSize: 1000, batch: 64})},
		{"produce-100b", "100 B records, idempotent, acks=all, 160 a batch: broker CPU µs per record", "os", 0.4, false, "µs/record",
			perRecord(load{partitions: 16, connections: 4, inFlight: 5, acks: -1, recordSize: 100, batch: 160, idempotent: true})},
		{"produce-lz4", "1 KB records, lz4, 64 KB batches: broker CPU-s per GB of uncompressed data", "os", 0.4, false, "CPU-s/GB",
			perGB(load{partitions: 16, connections: 4, inFlight: 5, acks: 1, recordSize: 1000, batch: 64, codec: compress.Lz4})},
		{"small-requests", "one 100 B record a request, 16 connections, acks=1: requests a second", "os", 2, true, "requests/s",
			perSecond(load{partitions: 16, connections: 16, inFlight: 1, acks: 1, recordSize: 100, batch: 1})},
		{"pipelined", "one 100 B record a request, 16 connections, 5 in flight: requests a second", "os", 2, true, "requests/s",
			perSecond(load{partitions: 16, connections: 16, inFlight: 5, acks: 1, recordSize: 100, batch: 1})},
		{"small-requests-synced", "the same as small-requests with an fsync before each answer", "group", 3, true, "requests/s",
			perSecond(load{partitions: 16, connections: 16, inFlight: 1, acks: 1, recordSize: 100, batch: 1})},
		{"pipelined-synced", "the same as pipelined with an fsync before each answer", "group", 3, true, "requests/s",
			perSecond(load{partitions: 16, connections: 16, inFlight: 5, acks: 1, recordSize: 100, batch: 1})},
		{"many-partitions-synced", "the same as pipelined-synced over 256 partitions", "group", 3, true, "requests/s",
			perSecond(load{partitions: 256, connections: 16, inFlight: 5, acks: 1, recordSize: 100, batch: 1})},
		{"share", "a share group of 8 members takes and acknowledges 400 MB of 1 KB records in 64 KB batches: broker CPU µs per record", "os", 0.5, false, "µs/record",
			share(load{batch: 64, bytes: 400_000_000})},
		{"share-small", "the same of 100 MB with one record a batch", "os", 0.5, false, "µs/record",
			share(load{batch: 1, bytes: 100_000_000})},
		{"share-synced", "the same of 100 MB in 64 KB batches with an fsync before each answer", "group", 0.5, false, "µs/record",
			share(load{batch: 64, bytes: 100_000_000})},
		{"compaction", "5 GB of 1 KB records, a tenth of them alive, compacted while producers write 20 MB/s elsewhere: CPU-s of the cleaner per GB", "os", 0.5, false, "CPU-s/GB", compaction},
		{"crash", "time from start to the first fetch of every partition after kill −9, 16 partitions", "os", 0.05, false, "s", crash},
		{"idle-memory", "resident memory after a start on an empty directory", "os", 0.1, false, "MB", idleMemory},
		{"idle-cpu", "CPU when idle, 20 s measured 20 s after that start: % of a core", "os", 0.1, false, "%", idleCPU},
	}
}

func (l load) measure(b *broker, o options) (result, error) {
	l.topic = fmt.Sprintf("bench-%d", o.run)
	l.duration = o.duration
	if err := createTopic(b.addr, l.topic, int32(l.partitions)); err != nil {
		return result{}, err
	}
	// Both brokers write the same amount of data, however fast they are: what it
	// costs depends on how much memory and disk was used before.
	if l.batch > 1 && o.load > 0 {
		l.duration, l.bytes = 10*time.Minute, o.load
	}
	return l.run(b)
}

func (r result) detail() string {
	return fmt.Sprintf("%.0f MB/s, %.0f requests/s, p50 %s, p99 %s, %.1f CPU-s, %d MB resident",
		float64(r.bytes)/r.seconds/1e6, float64(r.requests)/r.seconds,
		r.p50.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond), r.cpuSeconds, r.rss>>20)
}

func perGB(l load) func(context.Context, *broker, options) (measurement, error) {
	return func(_ context.Context, b *broker, o options) (measurement, error) {
		r, err := l.measure(b, o)
		return measurement{r.cpuSeconds / (float64(r.bytes) / 1e9), r.detail()}, err
	}
}

func perRecord(l load) func(context.Context, *broker, options) (measurement, error) {
	return func(_ context.Context, b *broker, o options) (measurement, error) {
		r, err := l.measure(b, o)
		return measurement{r.cpuSeconds / float64(r.records) * 1e6, r.detail()}, err
	}
}

func perSecond(l load) func(context.Context, *broker, options) (measurement, error) {
	return func(_ context.Context, b *broker, o options) (measurement, error) {
		r, err := l.measure(b, o)
		return measurement{float64(r.requests) / r.seconds, r.detail()}, err
	}
}

// crash fills partitions, kills the broker and times its start until every
// partition answers a fetch of its first record.
func crash(ctx context.Context, b *broker, o options) (measurement, error) {
	l := load{topic: fmt.Sprintf("bench-%d", o.run), partitions: 16, connections: 2, inFlight: 4, acks: 1,
		recordSize: 1000, batch: 512, duration: 10 * time.Minute, bytes: o.crash}
	if err := createTopic(b.addr, l.topic, 16); err != nil {
		return measurement{}, err
	}
	if _, err := l.run(b); err != nil {
		return measurement{}, err
	}
	if err := b.kill(); err != nil {
		return measurement{}, err
	}
	begin := time.Now()
	if _, err := b.start(ctx); err != nil {
		return measurement{}, err
	}
	for partition := range int32(16) {
		if err := awaitFetch(b.addr, l.topic, partition); err != nil {
			return measurement{}, err
		}
	}
	took := time.Since(begin)
	return measurement{took.Seconds(), fmt.Sprintf("%.1f GB written before", float64(o.crash)/1e9)}, nil
}

// awaitFetch asks for a partition's first record until it is served.
func awaitFetch(addr, topic string, partition int32) error {
	deadline := time.Now().Add(3 * time.Minute)
	for {
		c, err := dial(addr)
		if err == nil {
			request := &protocol.FetchRequest{}
			request.SetDefaults()
			request.MaxBytes, request.MinBytes = 1<<20, 1
			request.Topics = []protocol.FetchRequestFetchTopic{{Topic: topic, Partitions: []protocol.FetchRequestFetchPartition{{
				Partition: partition, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1, PartitionMaxBytes: 4096,
			}}}}
			response := &protocol.FetchResponse{}
			err = c.ask(request, 11, response)
			c.close()
			if err == nil && len(response.Responses) == 1 && len(response.Responses[0].Partitions[0].Records) > 0 {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s-%d served no fetch within 3 minutes: %w", topic, partition, err)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// idleCPU measures a broker that nobody talks to.
func idleCPU(_ context.Context, b *broker, o options) (measurement, error) {
	const settle, wait = 20 * time.Second, 20 * time.Second
	<-time.After(settle)
	before, err := usageOf(b.cmd.Process.Pid)
	if err != nil {
		return measurement{}, err
	}
	<-time.After(wait)
	after, err := usageOf(b.cmd.Process.Pid)
	percent := (after.cpuSeconds - before.cpuSeconds) / wait.Seconds() * 100
	return measurement{percent, fmt.Sprintf("%d MB resident", after.rssBytes>>20)}, err
}

// idleMemory starts the broker anew on an empty directory.
func idleMemory(ctx context.Context, b *broker, o options) (measurement, error) {
	b.stop()
	if err := os.RemoveAll(filepath.Join(b.dir, "data")); err != nil {
		return measurement{}, err
	}
	b.formatted = false
	took, err := b.start(ctx)
	if err != nil {
		return measurement{}, err
	}
	<-time.After(2 * time.Second)
	u, err := usageOf(b.cmd.Process.Pid)
	return measurement{float64(u.rssBytes) / 1e6, fmt.Sprintf("ready after %s", took.Round(time.Millisecond))}, err
}
