package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

const (
	shareMembers    = 8
	sharePartitions = 4
	sharePatience   = 2 * time.Minute
)

// share lets the members of a share group take and acknowledge every record of a topic.
// The members are franz-go's: they cost more than the broker, so that records a second
// tell little, and the broker's CPU time a record decides.
func share(l load) func(context.Context, *broker, options) (measurement, error) {
	return func(ctx context.Context, b *broker, o options) (measurement, error) {
		l.topic, l.partitions, l.connections, l.inFlight, l.acks = fmt.Sprintf("bench-%d", o.run), sharePartitions, 4, 5, 1
		l.recordSize, l.duration = 1000, 10*time.Minute
		if err := createTopic(b.addr, l.topic, sharePartitions); err != nil {
			return measurement{}, err
		}
		filled, err := l.run(b)
		if err != nil {
			return measurement{}, err
		}
		if err := shareFromTheStart(b.addr, l.topic); err != nil {
			return measurement{}, err
		}
		before, err := usageOf(b.cmd.Process.Pid)
		if err != nil {
			return measurement{}, err
		}
		begin := time.Now()
		joined, err := shareOut(ctx, b.addr, l.topic, filled.records)
		if err != nil {
			return measurement{}, err
		}
		seconds := time.Since(begin).Seconds()
		after, err := usageOf(b.cmd.Process.Pid)
		if err != nil {
			return measurement{}, err
		}
		cpu := after.cpuSeconds - before.cpuSeconds
		return measurement{cpu / float64(filled.records) * 1e6, fmt.Sprintf(
			"%d records in %.1f s, of which %.1f s until the first came; %.2f CPU-s, %d MB resident",
			filled.records, seconds, joined.Seconds(), cpu, after.rssBytes>>20)}, nil
	}
}

// shareFromTheStart has the share group that is named as its topic begin with the first
// record.
func shareFromTheStart(addr, name string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	earliest := "earliest"
	request := &protocol.IncrementalAlterConfigsRequest{Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{{
		ResourceType: 32, ResourceName: name,
		Configs: []protocol.IncrementalAlterConfigsRequestAlterableConfig{{Name: "share.auto.offset.reset", Value: &earliest}},
	}}}
	response := &protocol.IncrementalAlterConfigsResponse{}
	if err := c.ask(request, 1, response); err != nil {
		return err
	}
	if code := response.Responses[0].ErrorCode; code != protocol.None {
		return fmt.Errorf("setting up share group %s: %w", name, code)
	}
	return nil
}

// shareOut has members share a topic's records until each was had once, and acknowledges
// them. It returns after how long the first came.
func shareOut(ctx context.Context, addr, topic string, records int64) (first time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, sharePatience)
	defer cancel()
	begin := time.Now()
	var had, firstNs atomic.Int64
	var members sync.WaitGroup
	for range shareMembers {
		client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.ShareGroup(topic))
		if err != nil {
			return 0, err
		}
		members.Go(func() {
			for had.Load() < records && ctx.Err() == nil {
				poll, stop := context.WithTimeout(ctx, 100*time.Millisecond)
				n := int64(client.PollFetches(poll).NumRecords())
				stop()
				if n > 0 {
					firstNs.CompareAndSwap(0, int64(time.Since(begin)))
					had.Add(n)
				}
			}
			client.Close() // acknowledges the last
		})
	}
	members.Wait()
	if n := had.Load(); n < records {
		return 0, errors.Join(ctx.Err(), fmt.Errorf("%d of %d records were had", n, records))
	}
	return time.Duration(firstNs.Load()), nil
}
