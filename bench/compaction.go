package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

const (
	compactSegmentBytes = 100_000_000
	compactRecordSize   = 1000
	compactBatch        = 64
	// compactVersions is how often each key was written: a tenth of the topic lives.
	compactVersions = 10
	// compactProduce is what producers write to another topic all the while.
	compactProduce = 20_000_000
	// compactPatience is how long a topic that does not shrink any more is watched.
	compactPatience = 5 * time.Second
)

// compaction fills a topic in which a tenth of the records lives, has it compacted
// while others produce, and tells what the cleaner cost: the broker's CPU time less
// what the same producers cost afterwards, when a JVM has compiled their road.
func compaction(ctx context.Context, b *broker, o options) (measurement, error) {
	b.stop()
	if err := b.set("log.cleaner.threads=1", "log.cleaner.backoff.ms=100"); err != nil {
		return measurement{}, err
	}
	if _, err := b.start(ctx); err != nil {
		return measurement{}, err
	}
	other := load{topic: fmt.Sprintf("bench-%d-other", o.run), partitions: 4, connections: 2, inFlight: 2, acks: 1,
		recordSize: 1000, batch: 64, bytesPerSecond: compactProduce}
	if err := createTopic(b.addr, other.topic, int32(other.partitions)); err != nil {
		return measurement{}, err
	}
	// The cleaner's own warm-up is not counted.
	if _, err := b.compact(fmt.Sprintf("bench-%d-warm", o.run), o.compact/10); err != nil {
		return measurement{}, err
	}
	var stop atomic.Bool
	other.duration, other.stop = time.Hour, &stop
	busy, failed := make(chan result, 1), make(chan error, 1)
	produce := func() {
		r, err := other.run(b)
		busy <- r
		failed <- err
	}
	c, err := b.compactBeside(fmt.Sprintf("bench-%d", o.run), o.compact, produce)
	stop.Store(true)
	if err != nil {
		return measurement{}, err
	}
	meanwhile := <-busy
	if err := <-failed; err != nil {
		return measurement{}, err
	}
	other.duration, other.stop = 15*time.Second, nil
	alone, err := other.run(b)
	if err != nil {
		return measurement{}, err
	}
	cpu := c.cpuSeconds - alone.cpuSeconds/alone.seconds*c.seconds
	gb := float64(c.before) / 1e9
	return measurement{cpu / gb, fmt.Sprintf(
		"%.2f GB became %.2f GB in %.1f s, %.1f CPU-s of the cleaner; producers beside it %.1f MB/s, p99 %s (alone %.1f MB/s, p99 %s, %.2f CPU-s a second), %d MB resident",
		gb, float64(c.after)/1e9, c.seconds, cpu, float64(meanwhile.bytes)/meanwhile.seconds/1e6, meanwhile.p99.Round(10*time.Microsecond),
		float64(alone.bytes)/alone.seconds/1e6, alone.p99.Round(10*time.Microsecond), alone.cpuSeconds/alone.seconds, c.rss>>20)}, nil
}

// compacted is what became of a topic.
type compacted struct {
	before, after       int64
	seconds, cpuSeconds float64
	rss                 int64
}

func (b *broker) compact(topic string, size int64) (compacted, error) {
	return b.compactBeside(topic, size, func() {})
}

// compactBeside fills a topic that is not compacted, starts beside, makes the topic
// compacted and waits until it does not shrink any more.
func (b *broker) compactBeside(topic string, size int64, beside func()) (compacted, error) {
	if err := createTopic(b.addr, topic, 1); err != nil {
		return compacted{}, err
	}
	if err := alterTopic(b.addr, topic, map[string]string{"segment.bytes": fmt.Sprint(compactSegmentBytes), "min.cleanable.dirty.ratio": "0.01"}); err != nil {
		return compacted{}, err
	}
	if err := fillWithKeys(b.addr, topic, size); err != nil {
		return compacted{}, err
	}
	before, err := b.logBytes(topic)
	if err != nil {
		return compacted{}, err
	}
	go beside()
	begin := time.Now()
	used, err := usageOf(b.cmd.Process.Pid)
	if err != nil {
		return compacted{}, err
	}
	if err := alterTopic(b.addr, topic, map[string]string{"cleanup.policy": "compact"}); err != nil {
		return compacted{}, err
	}
	c := compacted{before: before, after: before}
	for changed := begin; c.after > before/2 || time.Since(changed) < compactPatience; {
		<-time.After(50 * time.Millisecond)
		now, err := b.logBytes(topic)
		if err != nil {
			return c, err
		}
		if now != c.after {
			u, err := usageOf(b.cmd.Process.Pid)
			if err != nil {
				return c, err
			}
			changed = time.Now()
			c.after, c.seconds, c.cpuSeconds, c.rss = now, changed.Sub(begin).Seconds(), u.cpuSeconds-used.cpuSeconds, u.rssBytes
		}
		if time.Since(changed) > 5*time.Minute {
			return c, fmt.Errorf("%s has %d of %d bytes and is not compacted", topic, now, before)
		}
	}
	return c, nil
}

// logBytes is the size of the segments of a topic's only partition; what is deleted
// later or not finished does not count.
func (b *broker) logBytes(topic string) (int64, error) {
	files, err := filepath.Glob(filepath.Join(b.dir, "data", topic+"-0", "*.log"))
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	for _, name := range files {
		info, err := os.Stat(name)
		if os.IsNotExist(err) {
			continue // replaced meanwhile
		}
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}

// fillWithKeys writes records with random keys, of which there are so many that a
// tenth of the records is the last of its key.
func fillWithKeys(addr, topic string, size int64) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	rng := rand.New(rand.NewPCG(1, 2))
	keys := int(size / compactRecordSize / compactVersions)
	value := words(rng, compactRecordSize)
	var builder record.Builder
	response := &protocol.ProduceResponse{}
	for range size / compactRecordSize / compactBatch {
		builder.Reset(record.DefaultSpec())
		for range compactBatch {
			if err := builder.Append(time.Now().UnixMilli(), fmt.Appendf(nil, "key-%09d", rng.IntN(keys)), value); err != nil {
				return err
			}
		}
		batch, err := builder.Build(nil)
		if err != nil {
			return err
		}
		request := &protocol.ProduceRequest{Acks: 1, TimeoutMs: 30000, TopicData: []protocol.ProduceRequestTopicProduceData{{
			Name:          topic,
			PartitionData: []protocol.ProduceRequestPartitionProduceData{{Records: batch}},
		}}}
		if err := c.ask(request, produceVersion, response); err != nil {
			return err
		}
		if code := response.Responses[0].PartitionResponses[0].ErrorCode; code != protocol.None {
			return fmt.Errorf("filling %s: %w", topic, code)
		}
	}
	return nil
}

// alterTopic sets settings of a topic.
func alterTopic(addr, topic string, settings map[string]string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	resource := protocol.IncrementalAlterConfigsRequestAlterConfigsResource{ResourceType: 2, ResourceName: topic}
	for name, value := range settings {
		resource.Configs = append(resource.Configs, protocol.IncrementalAlterConfigsRequestAlterableConfig{Name: name, Value: &value})
	}
	response := &protocol.IncrementalAlterConfigsResponse{}
	request := &protocol.IncrementalAlterConfigsRequest{Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{resource}}
	if err := c.ask(request, 1, response); err != nil {
		return err
	}
	if code := response.Responses[0].ErrorCode; code != protocol.None {
		return fmt.Errorf("altering %s: %w", topic, code)
	}
	return nil
}

// set gives the broker settings for its next start.
func (b *broker) set(settings ...string) error {
	if b.properties == "" {
		for _, s := range settings {
			b.command = append(b.command, "--override", s)
		}
		return nil
	}
	text, err := os.ReadFile(b.properties)
	if err != nil {
		return err
	}
	return os.WriteFile(b.properties, append(text, strings.Join(append(settings, ""), "\n")...), 0o644)
}
