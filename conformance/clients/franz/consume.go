package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (s suite) assign(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "assign", partitions, nil)
	if err != nil {
		return err
	}
	if err := s.produce(ctx, topic, 0, records, partitions); err != nil {
		return err
	}
	cl := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {1: kgo.NewOffset().At(40), 2: kgo.NewOffset().AtEnd().Relative(-10)}}))
	defer cl.Close()
	got, err := poll(ctx, cl, 60+10)
	if err != nil {
		return err
	}
	next := map[int32]int64{1: 40, 2: 90}
	for _, r := range got {
		if r.Offset != next[r.Partition] || string(r.Value) != string(value(int(r.Offset)*partitions+int(r.Partition))) {
			return fmt.Errorf("partition %d: offset %d value %.20q, want offset %d", r.Partition, r.Offset, r.Value, next[r.Partition])
		}
		next[r.Partition]++
	}
	if next[1] != 100 || next[2] != 100 {
		return fmt.Errorf("ended at %v, want 100 and 100", next)
	}
	return nil
}

func (s suite) member(group, topic string, opts ...kgo.Opt) *kgo.Client {
	return s.client(append([]kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(10 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond), kgo.DisableAutoCommit()}, opts...)...)
}

func (s suite) group(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "group", partitions, nil)
	if err != nil {
		return err
	}
	if err := s.produce(ctx, topic, 0, records, partitions); err != nil {
		return err
	}
	group := topic
	cl := s.member(group, topic)
	defer cl.Close()
	got, err := poll(ctx, cl, records)
	if err != nil {
		return err
	}
	if err := verify(got, records, partitions); err != nil {
		return err
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	for p := range int32(partitions) {
		if o, ok := committed.Lookup(topic, p); !ok || o.At != records/partitions {
			return fmt.Errorf("committed offset of partition %d: %+v, want %d", p, o.Offset, records/partitions)
		}
	}
	return nil
}

// seen collects what the members of one group got, and what each owns.
type seen struct {
	mu     sync.Mutex
	values map[string]int
	owned  map[string]map[int32]bool
	errs   []error
}

func (w *seen) wait(ctx context.Context, what string, ready func() bool) error {
	for {
		w.mu.Lock()
		ok, errs, state := ready(), errors.Join(w.errs...), fmt.Sprintf("%d values, owned %v", len(w.values), w.owned)
		w.mu.Unlock()
		if errs != nil {
			return errs
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w (%s)", what, ctx.Err(), state)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// join runs a member until the returned function is called, which leaves the group.
func (s suite) join(ctx context.Context, w *seen, name, group, topic string, opts ...kgo.Opt) (leave func()) {
	track := func(add bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(ctx context.Context, cl *kgo.Client, m map[string][]int32) {
			if !add {
				_ = cl.CommitUncommittedOffsets(ctx)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, p := range m[topic] {
				if add {
					w.owned[name][p] = true
				} else {
					delete(w.owned[name], p)
				}
			}
		}
	}
	w.mu.Lock()
	w.owned[name] = map[int32]bool{}
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	cl := s.member(group, topic, append([]kgo.Opt{kgo.OnPartitionsAssigned(track(true)), kgo.OnPartitionsRevoked(track(false)), kgo.OnPartitionsLost(track(false))}, opts...)...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			fs := cl.PollFetches(ctx)
			w.mu.Lock()
			for _, e := range fs.Errors() {
				if ctx.Err() == nil {
					w.errs = append(w.errs, e.Err)
				}
			}
			for _, r := range fs.Records() {
				w.values[string(r.Value)]++
			}
			w.mu.Unlock()
		}
	}()
	return func() {
		_ = cl.CommitUncommittedOffsets(context.Background())
		cancel()
		<-ended
		cl.Close()
	}
}

func (s suite) rebalance(ctx context.Context) error { return s.rebalanceAs(ctx, "rebalance") }

// rebalanceAs has two members of a group share a topic and hand it over.
func (s suite) rebalanceAs(ctx context.Context, name string, opts ...kgo.Opt) error {
	const parts = 4
	topic, err := s.newTopic(ctx, name, parts, nil)
	if err != nil {
		return err
	}
	w := &seen{values: map[string]int{}, owned: map[string]map[int32]bool{}}
	steps := 0
	all := func() error {
		if err := s.produce(ctx, topic, steps*100, steps*100+100, parts); err != nil {
			return err
		}
		steps++
		return w.wait(ctx, "all records are seen", func() bool { return len(w.values) == steps*100 })
	}
	leaveA := s.join(ctx, w, "a", topic, topic, opts...)
	if err := w.wait(ctx, "A owns 4", func() bool { return len(w.owned["a"]) == 4 }); err != nil {
		leaveA()
		return err
	}
	if err := all(); err != nil {
		leaveA()
		return err
	}
	leaveB := s.join(ctx, w, "b", topic, topic, opts...)
	err = w.wait(ctx, "each owns 2", func() bool { return len(w.owned["a"]) == 2 && len(w.owned["b"]) == 2 })
	if err == nil {
		err = all()
	}
	leaveA()
	defer leaveB()
	if err == nil {
		err = w.wait(ctx, "B owns 4", func() bool { return len(w.owned["b"]) == 4 })
	}
	if err == nil {
		err = all()
	}
	return err
}

// static checks that a member with a group instance id gets its partitions back without a rebalance.
func (s suite) static(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "static", 4, nil)
	if err != nil {
		return err
	}
	adm := kadm.NewClient(s.client())
	defer adm.Close()
	one := func(id string) *kgo.Client {
		return s.member(topic, topic, kgo.InstanceID(id), kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(30*time.Second))
	}
	a, b := one("a"), one("b")
	defer a.Close()
	describe := func() (state string, members map[string]string, err error) {
		d, err := adm.DescribeGroups(ctx, topic)
		if err != nil {
			return "", nil, err
		}
		members = map[string]string{}
		for _, m := range d[topic].Members {
			if m.InstanceID == nil {
				return "", nil, fmt.Errorf("member %s has no instance id", m.MemberID)
			}
			c, _ := m.Assigned.AsConsumer()
			if c != nil && len(c.Topics) == 1 {
				members[*m.InstanceID] = fmt.Sprint(c.Topics[0].Partitions)
			}
		}
		return d[topic].State, members, nil
	}
	settled := func() (map[string]string, error) {
		for {
			state, members, err := describe()
			if err != nil && ctx.Err() == nil && !errors.Is(err, kerr.CoordinatorNotAvailable) {
				return nil, err
			}
			if state == "Stable" && len(members) == 2 && members["a"] != members["b"] {
				return members, nil
			}
			select {
			case <-ctx.Done():
				return nil, fmt.Errorf("state %s, members %v: %w", state, members, ctx.Err())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	before, err := settled()
	if err != nil {
		b.Close()
		return err
	}
	_, generation := a.GroupMetadata()
	b.Close() // a static member does not leave
	b = one("b")
	defer b.Close()
	if _, err := settledAfterRejoin(ctx, b); err != nil {
		return err
	}
	after, err := settled()
	if err != nil {
		return err
	}
	if _, now := a.GroupMetadata(); now != generation || fmt.Sprint(before) != fmt.Sprint(after) {
		return fmt.Errorf("generation %d→%d, assignment %v→%v", generation, now, before, after)
	}
	return nil
}

// settledAfterRejoin waits until cl is a member again.
func settledAfterRejoin(ctx context.Context, cl *kgo.Client) (string, error) {
	for {
		if id, generation := cl.GroupMetadata(); id != "" && generation > 0 {
			return id, nil
		}
		poll, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return "", fmt.Errorf("the static member did not rejoin: %w", ctx.Err())
		}
	}
}

func (s suite) seekTime(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "time", 1, nil)
	if err != nil {
		return err
	}
	cl := s.client(kgo.DefaultProduceTopic(topic))
	defer cl.Close()
	for i := range 30 {
		r := &kgo.Record{Value: value(i), Timestamp: time.UnixMilli(baseTime + int64(i)*60000)}
		if i%10 == 5 { // some batches hold several records
			if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				return err
			}
			continue
		}
		cl.Produce(ctx, r, nil)
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	at := baseTime + 10*60000 - 30000
	listed, err := kadm.NewClient(cl).ListOffsetsAfterMilli(ctx, at, topic)
	if err != nil {
		return err
	}
	if o, _ := listed.Lookup(topic, 0); o.Offset != 10 || o.Timestamp != baseTime+10*60000 {
		return fmt.Errorf("offset for time: %+v, want offset 10", o)
	}
	reader := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AfterMilli(at)}}))
	defer reader.Close()
	got, err := poll(ctx, reader, 20)
	if err != nil {
		return err
	}
	if got[0].Offset != 10 || len(got) != 20 || string(got[19].Value) != string(value(29)) {
		return fmt.Errorf("%d records from offset %d", len(got), got[0].Offset)
	}
	return nil
}

func (s suite) commit(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "resume", 1, nil)
	if err != nil {
		return err
	}
	if err := s.produce(ctx, topic, 0, 150, 1); err != nil {
		return err
	}
	cl := s.member(topic, topic)
	defer cl.Close()
	var last *kgo.Record
	for n := 0; n < 60; {
		fs := cl.PollRecords(ctx, 60-n)
		if err := fs.Err(); err != nil {
			return err
		}
		for _, r := range fs.Records() {
			last = r
			n++
		}
	}
	if last.Offset != 59 {
		return fmt.Errorf("the 60th record has offset %d", last.Offset)
	}
	return cl.CommitRecords(ctx, last)
}

func (s suite) resume(ctx context.Context) error {
	topic := s.topic("resume")
	cl := s.member(topic, topic)
	defer cl.Close()
	got, err := poll(ctx, cl, 90)
	if err != nil {
		return err
	}
	for i, r := range got {
		if r.Offset != int64(60+i) || string(r.Value) != string(value(60+i)) {
			return fmt.Errorf("record %d after resuming has offset %d", i, r.Offset)
		}
	}
	return nil
}
