package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func (s suite) assign() error {
	topic, err := s.newTopic("assign", partitions, nil)
	if err != nil {
		return err
	}
	if err := s.produce(topic, 0, records, partitions, nil); err != nil {
		return err
	}
	c, err := s.consumer(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Assign(at(topic, map[int32]kafka.Offset{1: 40, 2: kafka.OffsetTail(10)})); err != nil {
		return err
	}
	got, err := poll(c, 70)
	if err != nil {
		return err
	}
	next := map[int32]int{1: 40, 2: 90}
	for _, m := range got {
		p := m.TopicPartition.Partition
		if int(m.TopicPartition.Offset) != next[p] || string(m.Value) != string(value(next[p]*partitions+int(p))) {
			return fmt.Errorf("partition %d: offset %v, want %d", p, m.TopicPartition.Offset, next[p])
		}
		next[p]++
	}
	if next[1] != 100 || next[2] != 100 {
		return fmt.Errorf("ended at %v, want 100 and 100", next)
	}
	return nil
}

// subscribed returns a group member that reads the topic of the group's name.
func (s suite) subscribed(topic string, more kafka.ConfigMap, cb kafka.RebalanceCb) (*kafka.Consumer, error) {
	settings := kafka.ConfigMap{"group.id": topic}
	if more["group.protocol"] == nil { // in the consumer protocol these are the broker's
		settings["session.timeout.ms"], settings["heartbeat.interval.ms"] = 10000, 500
	}
	maps.Copy(settings, more)
	c, err := s.consumer(settings)
	if err != nil {
		return nil, err
	}
	return c, c.SubscribeTopics([]string{topic}, cb)
}

func (s suite) group() error {
	topic, err := s.newTopic("group", partitions, nil)
	if err != nil {
		return err
	}
	if err := s.produce(topic, 0, records, partitions, nil); err != nil {
		return err
	}
	c, err := s.subscribed(topic, nil, nil)
	if err != nil {
		return err
	}
	got, err := poll(c, records)
	if err == nil {
		err = verify(got, records, partitions)
	}
	if err == nil {
		_, err = c.Commit()
	}
	c.Close()
	if err != nil {
		return err
	}
	if c, err = s.consumer(kafka.ConfigMap{"group.id": topic}); err != nil {
		return err
	}
	defer c.Close()
	committed, err := c.Committed(at(topic, map[int32]kafka.Offset{0: 0, 1: 0, 2: 0}), 10000)
	if err != nil {
		return err
	}
	for _, tp := range committed {
		if tp.Offset != records/partitions {
			return fmt.Errorf("committed offset of partition %d is %v", tp.Partition, tp.Offset)
		}
	}
	return nil
}

// member is a group member on a goroutine of its own.
type member struct {
	c     *kafka.Consumer
	mu    *sync.Mutex
	owned map[int32]bool
	err   error
	stop  chan struct{}
	ended chan struct{}
}

func (s suite) join(topic string, seen map[string]int, mu *sync.Mutex, more kafka.ConfigMap) (*member, error) {
	m := &member{mu: mu, owned: map[int32]bool{}, stop: make(chan struct{}), ended: make(chan struct{})}
	c, err := s.subscribed(topic, more, func(c *kafka.Consumer, e kafka.Event) error {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case kafka.AssignedPartitions:
			for _, tp := range e.Partitions {
				m.owned[tp.Partition] = true
			}
		case kafka.RevokedPartitions:
			_, _ = c.Commit()
			for _, tp := range e.Partitions {
				delete(m.owned, tp.Partition)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.c = c
	go func() {
		defer close(m.ended)
		for {
			select {
			case <-m.stop:
				_, _ = c.Commit()
				c.Close()
				return
			default:
			}
			switch e := c.Poll(50).(type) {
			case *kafka.Message:
				mu.Lock()
				seen[string(e.Value)]++
				mu.Unlock()
			case kafka.Error:
				if e.IsFatal() {
					mu.Lock()
					m.err = e
					mu.Unlock()
				}
			}
		}
	}()
	return m, nil
}

func (m *member) leave() {
	select {
	case <-m.stop:
	default:
		close(m.stop)
	}
	<-m.ended
}

func until(mu *sync.Mutex, what string, ms []*member, ready func() bool) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		ok, state := ready(), ""
		var err error
		for _, m := range ms {
			state += fmt.Sprint(" ", m.owned)
			err = errors.Join(err, m.err)
		}
		mu.Unlock()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("waiting until %s: owned%s", what, state)
		}
	}
}

func (s suite) rebalance() error {
	// Both rebalance protocols: everything revoked, then only what moves.
	for _, strategy := range []string{"range", "cooperative-sticky"} {
		if err := s.rebalanceWith("rebalance-"+strategy, kafka.ConfigMap{"partition.assignment.strategy": strategy}); err != nil {
			return fmt.Errorf("%s: %w", strategy, err)
		}
	}
	return nil
}

// rebalanceWith has two members of a group share a topic and hand it over.
func (s suite) rebalanceWith(name string, settings kafka.ConfigMap) error {
	topic, err := s.newTopic(name, 4, nil)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var ms []*member
	seen, count := map[string]int{}, 0
	defer func() {
		for _, m := range ms {
			m.leave()
		}
	}()
	join := func() error {
		m, err := s.join(topic, seen, &mu, settings)
		if err == nil {
			ms = append(ms, m)
		}
		return err
	}
	allSeen := func() error {
		if err := s.produce(topic, count, count+100, 4, nil); err != nil {
			return err
		}
		count += 100
		return until(&mu, "all records are seen", ms, func() bool { return len(seen) == count })
	}
	steps := []func() error{
		join,
		func() error { return until(&mu, "A owns 4", ms, func() bool { return len(ms[0].owned) == 4 }) },
		allSeen,
		join,
		func() error {
			return until(&mu, "each owns 2", ms, func() bool { return len(ms[0].owned) == 2 && len(ms[1].owned) == 2 })
		},
		allSeen,
		func() error { ms[0].leave(); return nil },
		func() error { return until(&mu, "B owns 4", ms, func() bool { return len(ms[1].owned) == 4 }) },
		allSeen,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s suite) static() error { return s.staticWith("static", nil) }

// staticWith has a static member go and come back to the partitions it had.
func (s suite) staticWith(name string, settings kafka.ConfigMap) error {
	topic, err := s.newTopic(name, 4, nil)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var ms []*member
	defer func() {
		for _, m := range ms {
			m.leave()
		}
	}()
	join := func(id string) (*member, error) {
		own := kafka.ConfigMap{"group.instance.id": id}
		maps.Copy(own, settings)
		return s.join(topic, map[string]int{}, &mu, own)
	}
	for _, id := range []string{"a", "b"} {
		m, err := join(id)
		if err != nil {
			return err
		}
		ms = append(ms, m)
	}
	if err := until(&mu, "each owns 2", ms, func() bool { return len(ms[0].owned) == 2 && len(ms[1].owned) == 2 }); err != nil {
		return err
	}
	before, err := s.assignments(topic)
	if err != nil {
		return err
	}
	revoked := false
	ms[1].leave() // a static member's close sends no LeaveGroup
	again, err := join("b")
	if err != nil {
		return err
	}
	ms[1] = again
	if err := until(&mu, "B owns 2 again", ms, func() bool { revoked = revoked || len(ms[0].owned) != 2; return len(again.owned) == 2 }); err != nil {
		return err
	}
	after, err := s.assignments(topic)
	if err != nil {
		return err
	}
	if revoked || before != after {
		return fmt.Errorf("A was revoked: %v; assignment %s became %s", revoked, before, after)
	}
	return nil
}

// assignments prints the group's members by instance id with their partitions.
func (s suite) assignments(group string) (string, error) {
	out := map[string]string{}
	err := s.admin(func(ctx context.Context, a *kafka.AdminClient) error {
		d, err := a.DescribeConsumerGroups(ctx, []string{group})
		if err != nil {
			return err
		}
		for _, m := range d.ConsumerGroupDescriptions[0].Members {
			for _, tp := range m.Assignment.TopicPartitions {
				out[m.GroupInstanceID] += fmt.Sprint(" ", tp.Partition)
			}
		}
		return nil
	})
	return fmt.Sprint(out), err
}

func (s suite) seekTime() error {
	topic, err := s.newTopic("time", 1, nil)
	if err != nil {
		return err
	}
	for _, span := range [][2]int{{0, 6}, {6, 16}, {16, 30}} {
		var ms []*kafka.Message
		for i := span[0]; i < span[1]; i++ {
			ms = append(ms, &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic}, Value: value(i), Timestamp: time.UnixMilli(baseTime + int64(i)*60000)})
		}
		if err := s.send(ms, kafka.ConfigMap{"linger.ms": 20}); err != nil {
			return err
		}
	}
	c, err := s.consumer(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	ask := func(ms int64) (kafka.TopicPartition, error) {
		found, err := c.OffsetsForTimes(at(topic, map[int32]kafka.Offset{0: kafka.Offset(ms)}), 10000)
		if err != nil {
			return kafka.TopicPartition{}, err
		}
		return found[0], found[0].Error
	}
	late, err := ask(baseTime + 1000000000)
	if err != nil || late.Offset != kafka.OffsetEnd {
		return fmt.Errorf("offset for a time after the end: %v %w", late.Offset, err)
	}
	found, err := ask(baseTime + 10*60000 - 30000)
	if err != nil || found.Offset != 10 {
		return fmt.Errorf("offset for time: %v %w", found.Offset, err)
	}
	if err := c.Assign([]kafka.TopicPartition{found}); err != nil {
		return err
	}
	got, err := poll(c, 20)
	if err != nil {
		return err
	}
	if got[0].TopicPartition.Offset != 10 || string(got[19].Value) != string(value(29)) {
		return fmt.Errorf("read from %v", got[0].TopicPartition.Offset)
	}
	return nil
}

func (s suite) commit() error {
	topic, err := s.newTopic("resume", 1, nil)
	if err != nil {
		return err
	}
	if err := s.produce(topic, 0, 150, 1, nil); err != nil {
		return err
	}
	c, err := s.subscribed(topic, nil, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := poll(c, 60)
	if err != nil {
		return err
	}
	tp := got[59].TopicPartition
	if tp.Offset != 59 {
		return fmt.Errorf("the 60th record has offset %v", tp.Offset)
	}
	metadata := "m-60"
	tp.Offset, tp.Metadata = 60, &metadata
	_, err = c.CommitOffsets([]kafka.TopicPartition{tp})
	return err
}

func (s suite) resume() error {
	topic := s.topic("resume")
	c, err := s.subscribed(topic, nil, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	committed, err := c.Committed(at(topic, map[int32]kafka.Offset{0: 0}), 10000)
	if err != nil {
		return err
	}
	if tp := committed[0]; tp.Offset != 60 || tp.Metadata == nil || *tp.Metadata != "m-60" {
		return fmt.Errorf("committed %+v", tp)
	}
	got, err := poll(c, 90)
	if err != nil {
		return err
	}
	for i, m := range got {
		if int(m.TopicPartition.Offset) != 60+i || string(m.Value) != string(value(60+i)) {
			return fmt.Errorf("record %d after resuming has offset %v", i, m.TopicPartition.Offset)
		}
	}
	return nil
}
