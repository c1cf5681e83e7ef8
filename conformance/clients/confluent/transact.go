package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// transactions commits, aborts, commits offsets, and fences the older producer of an id.
func (s suite) transactions() error {
	topic, err := s.newTopic("transactions", 1, nil)
	if err != nil {
		return err
	}
	ctx, cancel := within()
	defer cancel()
	c, err := s.consumer(kafka.ConfigMap{"group.id": topic})
	if err != nil {
		return err
	}
	defer c.Close()
	var producers [2]*kafka.Producer
	for i := range producers {
		if producers[i], err = kafka.NewProducer(s.settings(kafka.ConfigMap{"transactional.id": topic, "linger.ms": 5})); err != nil {
			return err
		}
		defer producers[i].Close()
	}
	a, b := producers[0], producers[1]
	for _, step := range []func() error{
		func() error { return a.InitTransactions(ctx) },
		func() error { return errors.Join(transact(ctx, a, c, topic, "first", 10), a.CommitTransaction(ctx)) },
		func() error { return errors.Join(transact(ctx, a, c, topic, "aborted", 99), a.AbortTransaction(ctx)) },
		func() error { return errors.Join(s.committedOnly(topic, "first"), committedIs(c, topic, 10)) },
		func() error { return errors.Join(transact(ctx, a, c, topic, "second", 20), a.CommitTransaction(ctx)) },
		func() error { return b.InitTransactions(ctx) },
		func() error { return errors.Join(transact(ctx, b, c, topic, "third", 30), b.CommitTransaction(ctx)) },
		func() error {
			if errors.Join(transact(ctx, a, c, topic, "fenced", 98), a.CommitTransaction(ctx)) == nil {
				return errors.New("the older producer of the id could commit")
			}
			return nil
		},
		func() error {
			return errors.Join(s.committedOnly(topic, "first", "second", "third"), committedIs(c, topic, 30))
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// transact begins a transaction of ten records and an offset.
func transact(ctx context.Context, p *kafka.Producer, c *kafka.Consumer, topic, name string, offset kafka.Offset) error {
	if err := p.BeginTransaction(); err != nil {
		return err
	}
	reports := make(chan kafka.Event, 10)
	for i := range 10 {
		m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic}, Value: fmt.Appendf(nil, "%s-%d", name, i)}
		if err := p.Produce(m, reports); err != nil {
			return err
		}
	}
	for range 10 {
		if m := (<-reports).(*kafka.Message); m.TopicPartition.Error != nil {
			return m.TopicPartition.Error
		}
	}
	member, err := c.GetConsumerGroupMetadata()
	if err != nil {
		return err
	}
	return p.SendOffsetsToTransaction(ctx, at(topic, map[int32]kafka.Offset{0: offset}), member)
}

func committedIs(c *kafka.Consumer, topic string, want kafka.Offset) error {
	committed, err := c.Committed(at(topic, map[int32]kafka.Offset{0: 0}), 10000)
	if err == nil && committed[0].Offset != want {
		return fmt.Errorf("committed offset %v, want %v", committed[0].Offset, want)
	}
	return err
}

// committedOnly checks that a reader of committed records sees exactly the transactions.
func (s suite) committedOnly(topic string, names ...string) error {
	c, err := s.consumer(kafka.ConfigMap{"isolation.level": "read_committed"})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Assign(at(topic, map[int32]kafka.Offset{0: 0})); err != nil {
		return err
	}
	got, err := poll(c, 10*len(names))
	if err != nil {
		return err
	}
	for i, m := range got {
		if want := fmt.Sprintf("%s-%d", names[i/10], i%10); string(m.Value) != want {
			return fmt.Errorf("record %d is %q, want %q", i, m.Value, want)
		}
	}
	return nil
}

// consumerProtocol does with the protocol of KIP-848 what rebalance and static do.
func (s suite) consumerProtocol() error {
	settings := kafka.ConfigMap{"group.protocol": "consumer"}
	if err := s.rebalanceWith("consumer-protocol", settings); err != nil {
		return err
	}
	topic := s.topic("consumer-protocol")
	c, err := s.consumer(kafka.ConfigMap{"group.id": topic})
	if err != nil {
		return err
	}
	defer c.Close()
	committed, err := c.Committed(at(topic, map[int32]kafka.Offset{0: 0, 1: 0, 2: 0, 3: 0}), 10000)
	if err != nil {
		return err
	}
	sum := kafka.Offset(0)
	for _, tp := range committed {
		sum += tp.Offset
	}
	if sum != 300 {
		return fmt.Errorf("committed offsets sum to %d, want 300", sum)
	}
	return s.staticWith("consumer-protocol-static", settings)
}

// What the compaction scenario writes: versions of each key, the last of which is a
// tombstone for the last keys, and records that fill the active segment.
const (
	compactKeys     = 20
	compactDead     = 5
	compactVersions = 12
	compactWritten  = compactKeys * compactVersions
	compactTotal    = compactWritten + 150
)

// compactRecord returns the key and value of a record of the compaction scenario.
func compactRecord(i int) (key, value []byte) {
	version, k := i/compactKeys, i%compactKeys
	if i >= compactWritten {
		return []byte("fill"), bytes.Repeat([]byte("fill"), 2500)
	}
	key = fmt.Appendf(nil, "key-%d", k)
	if version == compactVersions-1 && k >= compactKeys-compactDead {
		return key, nil
	}
	return key, append(fmt.Appendf(nil, "%d-%d-", version, k), bytes.Repeat([]byte("x"), 10000)...)
}

// compaction reads a compacted topic from the beginning until the cleaner has been there:
// then the newest record of each key is left, be it a tombstone.
func (s suite) compaction() error {
	topic, err := s.newTopic("compaction", 1, map[string]string{
		"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01",
	})
	if err != nil {
		return err
	}
	var ms []*kafka.Message
	for i := range compactTotal {
		key, value := compactRecord(i)
		ms = append(ms, &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic}, Key: key, Value: value})
	}
	if err := s.send(ms, kafka.ConfigMap{"linger.ms": 5}); err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		old, err := s.older(topic)
		if err != nil || old == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("not compacted: %d records are not the newest of their key", old)
		}
	}
}

// older reads all, checks it and returns how many records are not the newest of their key.
func (s suite) older(topic string) (old int, err error) {
	c, err := s.consumer(nil)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.Assign(at(topic, map[int32]kafka.Offset{0: kafka.OffsetBeginning})); err != nil {
		return 0, err
	}
	found := map[string]bool{}
	for last := -1; last < compactTotal-1; {
		got, err := poll(c, 1)
		if err != nil {
			return 0, err
		}
		i := int(got[0].TopicPartition.Offset)
		key, value := compactRecord(i)
		if i <= last || !bytes.Equal(got[0].Key, key) || !bytes.Equal(got[0].Value, value) {
			return 0, fmt.Errorf("offset %d after %d has key %q and %d bytes", i, last, got[0].Key, len(got[0].Value))
		}
		last = i
		if i < compactWritten {
			found[string(key)] = true
			if i < compactWritten-compactKeys {
				old++
			}
		}
	}
	if len(found) != compactKeys {
		return 0, fmt.Errorf("%d keys, want %d", len(found), compactKeys)
	}
	return old, nil
}
