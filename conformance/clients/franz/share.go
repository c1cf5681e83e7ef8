package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sharer is a member of a share group; poll after poll it asks for records anew.
type sharer struct {
	*kgo.Client
	mu      sync.Mutex
	refused error // why what it acknowledged was not taken
}

func (s suite) sharer(topic string, opts ...kgo.Opt) *sharer {
	m := &sharer{}
	m.Client = s.client(append([]kgo.Opt{kgo.ShareGroup(topic), kgo.ConsumeTopics(topic), kgo.ShareAckCallback(
		func(_ *kgo.Client, results kgo.ShareAckResults) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.refused = errors.Join(m.refused, results.Error())
		})}, opts...)...)
	return m
}

// poll returns the records that come within d.
func (m *sharer) poll(ctx context.Context, d time.Duration) ([]*kgo.Record, error) {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	fetches := m.PollFetches(limited)
	if limited.Err() != nil {
		return nil, ctx.Err()
	}
	return fetches.Records(), fetches.Err()
}

// flush waits until what was acknowledged is answered.
func (m *sharer) flush(ctx context.Context) error {
	err := m.FlushAcks(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(err, m.refused)
}

// sharing makes a topic of one partition with n records, and the settings of the share
// group of its name.
func (s suite) sharing(ctx context.Context, name string, n int, settings ...string) (topic string, err error) {
	if topic, err = s.newTopic(ctx, name, 1, nil); err != nil {
		return "", err
	}
	group := kmsg.NewIncrementalAlterConfigsRequestResource()
	group.ResourceType, group.ResourceName = kmsg.ConfigResourceTypeGroupConfig, topic
	for pair := range slices.Chunk(append(settings, "share.auto.offset.reset", "earliest"), 2) {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = pair[0], &pair[1]
		group.Configs = append(group.Configs, c)
	}
	change := kmsg.NewPtrIncrementalAlterConfigsRequest()
	change.Resources = append(change.Resources, group)
	cl := s.client()
	defer cl.Close()
	altered, err := change.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(altered.Resources[0].ErrorCode)
	}
	if err != nil {
		return "", fmt.Errorf("configuring group %s: %w", topic, err)
	}
	return topic, s.produce(ctx, topic, 0, n, 1)
}

// share has two members share a partition: every record comes to one of them, once.
func (s suite) share(ctx context.Context) error {
	topic, err := s.sharing(ctx, "share", 400)
	if err != nil {
		return err
	}
	members := []*sharer{s.sharer(topic), s.sharer(topic)}
	defer members[0].Close()
	defer members[1].Close()
	seen := map[int64]int{}
	for len(seen) < 400 {
		for _, m := range members {
			got, err := m.poll(ctx, 200*time.Millisecond)
			if err != nil {
				return fmt.Errorf("%d of 400 records: %w", len(seen), err)
			}
			for _, r := range got {
				if seen[r.Offset]++; seen[r.Offset] > 1 || string(r.Value) != string(value(int(r.Offset))) {
					return fmt.Errorf("offset %d came %d times: %.20q", r.Offset, seen[r.Offset], r.Value)
				}
			}
		}
	}
	for _, m := range members {
		m.MarkAcks(kgo.AckAccept)
		if err := m.flush(ctx); err != nil {
			return fmt.Errorf("acknowledging: %w", err)
		}
	}
	return nil
}

// shareExplicit accepts, releases, rejects and renews; what is released too often is given
// up.
func (s suite) shareExplicit(ctx context.Context) error {
	topic, err := s.sharing(ctx, "share-explicit", 40, "share.delivery.count.limit", "3")
	if err != nil {
		return err
	}
	m := s.sharer(topic)
	defer m.Close()
	seen := map[int64][]int32{}
	for idle := 0; idle < 4 || len(seen) == 0; idle++ {
		got, err := m.poll(ctx, 400*time.Millisecond)
		if err != nil {
			return fmt.Errorf("no end: %v: %w", seen, err)
		}
		for _, r := range got {
			idle = -1
			seen[r.Offset] = append(seen[r.Offset], r.DeliveryCount())
			if r.Offset%10 == 9 { // a lock that is renewed is still held
				r.Ack(kgo.AckRenew)
			}
		}
		if err := m.flush(ctx); err != nil {
			return fmt.Errorf("renewing: %w", err)
		}
		for _, r := range got {
			r.Ack(decide(r))
		}
		if err := m.flush(ctx); err != nil {
			return fmt.Errorf("acknowledging: %w", err)
		}
	}
	for offset := range int64(40) {
		want := []int32{1}
		switch offset % 10 {
		case 7:
			want = []int32{1, 2, 3}
		case 5:
			want = []int32{1, 2}
		}
		if !slices.Equal(seen[offset], want) {
			return fmt.Errorf("deliveries of offset %d: %v, want %v", offset, seen[offset], want)
		}
	}
	return nil
}

func decide(r *kgo.Record) kgo.AckStatus {
	switch {
	case r.Offset%10 == 3:
		return kgo.AckReject
	case r.Offset%10 == 7, r.Offset%10 == 5 && r.DeliveryCount() == 1:
		return kgo.AckRelease
	}
	return kgo.AckAccept
}

// shareRedelivery leaves records with a member that does not acknowledge them: they go to
// another when its time is up, and to a third when that one releases them.
func (s suite) shareRedelivery(ctx context.Context) error {
	topic, err := s.sharing(ctx, "share-redelivery", 20, "share.record.lock.duration.ms", "15000")
	if err != nil {
		return err
	}
	for i, status := range []kgo.AckStatus{kgo.AckRenew, kgo.AckRelease, kgo.AckAccept} {
		// The limit has the client fetch when it is polled only, else it would fetch what it
		// gave back.
		m := s.sharer(topic, kgo.ShareMaxRecordsStrict(), kgo.ShareMaxRecords(20))
		defer m.Close()
		counts := map[int64]int32{}
		for len(counts) < 20 {
			got, err := m.poll(ctx, 400*time.Millisecond)
			if err != nil {
				return fmt.Errorf("%d of 20 records, delivery %d: %w", len(counts), i+1, err)
			}
			for _, r := range got {
				counts[r.Offset] = r.DeliveryCount()
				r.Ack(status)
			}
			if err := m.flush(ctx); err != nil {
				return fmt.Errorf("acknowledging, delivery %d: %w", i+1, err)
			}
		}
		for offset, count := range counts {
			if count != int32(i+1) {
				return fmt.Errorf("offset %d was delivered %d times, want %d", offset, count, i+1)
			}
		}
	}
	return nil
}
