package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/naru-stream/naru/conformance/internal/arena"
)

const (
	partitions = 3
	members    = 4
	deadTopic  = "dlq.work"
	// quiet is how long the members go on when every record is done with.
	quiet = 3 * time.Second
)

// world is one run.
type world struct {
	*arena.Arena
	options
	ctx     context.Context
	r       *result
	letters bool // there is a dead-letter topic
	client  *kgo.Client
	sure    atomic.Int64 // records about which the members are sure

	mu   sync.Mutex
	said []said
}

// settings let members that were killed be missed soon, and records be given to others.
var settings = []string{
	"group.share.min.session.timeout.ms=2000", "group.share.session.timeout.ms=3000",
	"group.share.min.heartbeat.interval.ms=500", "group.share.heartbeat.interval.ms=500",
	"group.share.min.record.lock.duration.ms=1000", "share.coordinator.state.topic.num.partitions=3",
}

// chaos has records produced and shared while processes are killed, until every record
// is done with.
func (w *world) chaos() error {
	if err := w.setUp(); err != nil {
		return err
	}
	for n := range members {
		w.Employ(w.member(n))
	}
	if err := w.feed(500); err != nil {
		return err
	}
	for range w.kills {
		w.Await(w.sure.Load, 100)
		if err := w.Strike(300 * time.Millisecond); err != nil {
			return err
		}
		if err := w.feed(200); err != nil {
			return err
		}
	}
	if err := w.drain(); err != nil {
		return err
	}
	time.Sleep(quiet)
	return nil
}

// setUp makes the topics and the group's settings.
func (w *world) setUp() error {
	admin := kadm.NewClient(w.client)
	if _, err := admin.CreateTopic(w.ctx, partitions, 1, nil, topic); err != nil {
		return err
	}
	set := [][2]string{
		{"share.auto.offset.reset", "earliest"}, {"share.record.lock.duration.ms", strconv.Itoa(lockMs)},
		{"share.delivery.count.limit", strconv.Itoa(maxDeliveries)},
	}
	if w.letters {
		enabled := "true"
		if _, err := admin.CreateTopic(w.ctx, partitions, 1, map[string]*string{"errors.deadletterqueue.group.enable": &enabled}, deadTopic); err != nil {
			return err
		}
		set = append(set, [2]string{"errors.deadletterqueue.topic.name", deadTopic}, [2]string{"errors.deadletterqueue.copy.record.enable", "true"})
	}
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceType(32), group
	for _, s := range set {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = s[0], &s[1]
		resource.Configs = append(resource.Configs, c)
	}
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(w.ctx, w.client)
	if err != nil {
		return err
	}
	if r := answer.Resources[0]; r.ErrorCode != 0 {
		return fmt.Errorf("setting up the group: error %d: %s", r.ErrorCode, *r.ErrorMessage)
	}
	return nil
}

// value is what the n-th record holds.
func value(n int) string { return strconv.Itoa(n) }

// feed produces n more records.
func (w *world) feed(n int) error {
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(w.r.Records % partitions), Value: []byte(value(w.r.Records))})
		w.r.Records++
	}
	if err := w.client.ProduceSync(w.ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("producing: %w", err)
	}
	return nil
}

// member is the n-th member.
func (w *world) member(n int) arena.Worker {
	return arena.Worker{
		Argv: func(generation int) []string {
			return []string{os.Args[0], "member", w.Addr, fmt.Sprint(w.seed*1_000_000 + uint64(1000*n+generation))}
		},
		Hear:   w.hear,
		Stderr: os.Stderr,
	}
}

// hear notes what a member says.
func (w *world) hear(line string) {
	var s said
	if json.Unmarshal([]byte(line), &s) != nil {
		return // it was killed within the line
	}
	if w.verbose {
		fmt.Fprintln(os.Stderr, line)
	}
	if s.Event == "sure" {
		w.sure.Add(int64(len(s.Records)))
	}
	w.mu.Lock()
	w.said = append(w.said, s)
	w.mu.Unlock()
}

// drain waits until the group is done with every record. What a group starts with is
// written down along with the next change, so that a few more records have to follow.
func (w *world) drain() error {
	ends, err := kadm.NewClient(w.client).ListEndOffsets(w.ctx, topic)
	if err != nil {
		return err
	}
	defer func(n int) { w.r.Records = n }(w.r.Records)
	var starts map[int32]int64
	for ; w.ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		if starts, err = w.startOffsets(); err == nil && len(starts) == partitions {
			done := true
			ends.Each(func(o kadm.ListedOffset) { done = done && starts[o.Partition] >= o.Offset })
			if done {
				return nil
			}
		}
		if err := w.feed(partitions); err != nil {
			return err
		}
	}
	return fmt.Errorf("waiting until every record is done with, the last answer was %v, %s: %w", starts, fmt.Sprint(err), w.ctx.Err())
}

// startOffsets returns the first offset of each partition that is not done with.
func (w *world) startOffsets() (map[int32]int64, error) {
	request := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	of := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	of.GroupID = group
	request.Groups = append(request.Groups, of)
	answer, err := request.RequestWith(w.ctx, w.client)
	if err != nil {
		return nil, err
	}
	starts := map[int32]int64{}
	for _, g := range answer.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				starts[p.Partition] = p.StartOffset
			}
		}
	}
	return starts, nil
}

// readLetters reads the dead-letter topic.
func (w *world) readLetters() ([]letter, error) {
	if !w.letters {
		return nil, nil
	}
	ends, err := kadm.NewClient(w.client).ListEndOffsets(w.ctx, deadTopic)
	if err != nil {
		return nil, err
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	reader, err := kgo.NewClient(kgo.SeedBrokers(w.Addr), kgo.ConsumeTopics(deadTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var letters []letter
	for int64(len(letters)) < left && w.ctx.Err() == nil {
		reader.PollFetches(w.ctx).EachRecord(func(r *kgo.Record) {
			l := letter{Value: string(r.Value), Offset: -1, Partition: -1}
			for _, h := range r.Headers {
				switch h.Key {
				case "__dlq.errors.partition":
					n, _ := strconv.ParseInt(string(h.Value), 10, 32) // what is no number is nobody's
					l.Partition = int32(n)
				case "__dlq.errors.offset":
					l.Offset, _ = strconv.ParseInt(string(h.Value), 10, 64)
				case "__dlq.errors.message":
					l.Reason = string(h.Value)
				}
			}
			letters = append(letters, l)
		})
	}
	return letters, w.ctx.Err()
}
