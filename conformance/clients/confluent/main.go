// Command confluent runs the conformance scenarios with confluent-kafka-go and the librdkafka it bundles.
// It needs cgo and is therefore a module of its own.
// Arguments: bootstrap address, prefix, scenarios. One JSON line per scenario on standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const (
	records    = 300
	partitions = 3
	baseTime   = int64(1700000000000)
	patience   = 30 * time.Second
)

type suite struct{ addr, prefix string }

func main() {
	s := suite{os.Args[1], os.Args[2]}
	all := map[string]func() error{
		"create": s.create, "acks-0": s.acks("0"), "acks-1": s.acks("1"), "acks-all": s.acks("all"), "idempotent": s.idempotent,
		"none": s.codec("none"), "gzip": s.codec("gzip"), "snappy": s.codec("snappy"), "lz4": s.codec("lz4"), "zstd": s.codec("zstd"),
		"content": s.content, "sizes": s.sizes, "assign": s.assign, "group": s.group, "rebalance": s.rebalance, "static": s.static,
		"time": s.seekTime, "admin-topics": s.adminTopics, "admin-groups": s.adminGroups, "commit": s.commit, "resume": s.resume,
		"transactions": s.transactions, "consumer-protocol": s.consumerProtocol, "compaction": s.compaction,
	}
	out := json.NewEncoder(os.Stdout)
	for _, name := range os.Args[3:] {
		err := errors.New("unknown scenario")
		if run := all[name]; run != nil {
			err = run()
		}
		line := map[string]any{"scenario": name, "ok": err == nil}
		if err != nil {
			line["detail"] = err.Error()
		}
		_ = out.Encode(line)
	}
}

func (s suite) topic(name string) string { return s.prefix + "-" + name }

// settings are the suite's, then more.
func (s suite) settings(more kafka.ConfigMap) *kafka.ConfigMap {
	m := kafka.ConfigMap{"bootstrap.servers": s.addr, "topic.metadata.refresh.fast.interval.ms": 50}
	for k, v := range more {
		m[k] = v
	}
	return &m
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func (s suite) admin(work func(context.Context, *kafka.AdminClient) error) error {
	a, err := kafka.NewAdminClient(s.settings(nil))
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := within()
	defer cancel()
	return work(ctx, a)
}

func (s suite) newTopic(name string, n int, config map[string]string) (string, error) {
	return s.topic(name), s.admin(func(ctx context.Context, a *kafka.AdminClient) error {
		rs, err := a.CreateTopics(ctx, []kafka.TopicSpecification{{Topic: s.topic(name), NumPartitions: n, ReplicationFactor: 1, Config: config}})
		if err != nil {
			return err
		}
		if rs[0].Error.Code() != kafka.ErrNoError {
			return rs[0].Error
		}
		return nil
	})
}

func key(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }

func value(i int) []byte {
	v := fmt.Appendf(nil, "value-%d-", i)
	for range 20 {
		v = append(v, "naru "...)
	}
	return v
}

// send writes messages and returns the first delivery error.
func (s suite) send(ms []*kafka.Message, more kafka.ConfigMap) error {
	p, err := kafka.NewProducer(s.settings(more))
	if err != nil {
		return err
	}
	defer p.Close()
	reports := make(chan kafka.Event, len(ms))
	for _, m := range ms {
		if err := p.Produce(m, reports); err != nil {
			return fmt.Errorf("queueing: %w", err)
		}
	}
	limit := time.After(patience)
	for range ms {
		select {
		case e := <-reports:
			if m := e.(*kafka.Message); m.TopicPartition.Error != nil {
				return m.TopicPartition.Error
			}
		case <-limit:
			return errors.New("no delivery report in time")
		}
	}
	return nil
}

func standard(topic string, from, to, parts int) []*kafka.Message {
	var ms []*kafka.Message
	for i := from; i < to; i++ {
		ms = append(ms, &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: int32(i % parts)}, Key: key(i), Value: value(i)})
	}
	return ms
}

func (s suite) produce(topic string, from, to, parts int, more kafka.ConfigMap) error {
	settings := kafka.ConfigMap{"linger.ms": 5}
	for k, v := range more {
		settings[k] = v
	}
	return s.send(standard(topic, from, to, parts), settings)
}

func (s suite) consumer(more kafka.ConfigMap) (*kafka.Consumer, error) {
	settings := kafka.ConfigMap{"group.id": s.topic("nobody"), "auto.offset.reset": "earliest", "enable.auto.commit": false}
	for k, v := range more {
		settings[k] = v
	}
	return kafka.NewConsumer(s.settings(settings))
}

func poll(c *kafka.Consumer, n int) ([]*kafka.Message, error) {
	var got []*kafka.Message
	for end := time.Now().Add(patience); len(got) < n; {
		if time.Now().After(end) {
			return nil, fmt.Errorf("only %d of %d records", len(got), n)
		}
		switch e := c.Poll(200).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return nil, e.TopicPartition.Error
			}
			got = append(got, e)
		case kafka.Error:
			if e.Code() != kafka.ErrUnknownTopicOrPart && e.Code() != kafka.ErrUnknownTopic {
				return nil, e
			}
		}
	}
	return got, nil
}

func verify(got []*kafka.Message, n, parts int) error {
	if len(got) != n {
		return fmt.Errorf("%d records, want %d", len(got), n)
	}
	next := make([]int, parts)
	for _, m := range got {
		p := int(m.TopicPartition.Partition)
		i := next[p]*parts + p
		if int(m.TopicPartition.Offset) != next[p] || string(m.Key) != string(key(i)) || string(m.Value) != string(value(i)) {
			return fmt.Errorf("partition %d: offset %v key %q, want offset %d record %d", p, m.TopicPartition.Offset, m.Key, next[p], i)
		}
		next[p]++
	}
	return nil
}

func at(topic string, offsets map[int32]kafka.Offset) []kafka.TopicPartition {
	var tps []kafka.TopicPartition
	for p, o := range offsets {
		tps = append(tps, kafka.TopicPartition{Topic: &topic, Partition: p, Offset: o})
	}
	return tps
}

func (s suite) readAll(topic string, n, parts int) error {
	c, err := s.consumer(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	offsets := map[int32]kafka.Offset{}
	for p := range parts {
		offsets[int32(p)] = kafka.OffsetBeginning
	}
	if err := c.Assign(at(topic, offsets)); err != nil {
		return err
	}
	got, err := poll(c, n)
	if err != nil {
		return err
	}
	if err := verify(got, n, parts); err != nil {
		return err
	}
	total := int64(0)
	for p := range parts {
		_, high, err := c.QueryWatermarkOffsets(topic, int32(p), 10000)
		if err != nil {
			return err
		}
		total += high
	}
	if total != int64(n) {
		return fmt.Errorf("end offsets sum to %d, want %d", total, n)
	}
	return nil
}

func (s suite) acks(acks string) func() error {
	return func() error {
		topic, err := s.newTopic("acks-"+acks, partitions, nil)
		if err != nil {
			return err
		}
		if err := s.leaders(topic); err != nil { // acks=0 loses what comes before there is one
			return err
		}
		if err := s.produce(topic, 0, records, partitions, kafka.ConfigMap{"acks": acks}); err != nil {
			return err
		}
		return s.readAll(topic, records, partitions)
	}
}

// leaders waits until every partition answers for its end offset.
func (s suite) leaders(topic string) error {
	c, err := s.consumer(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for p := range partitions {
		for end := time.Now().Add(patience); ; {
			_, _, err := c.QueryWatermarkOffsets(topic, int32(p), 5000)
			if err == nil {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("waiting for a leader: %w", err)
			}
		}
	}
	return nil
}

func (s suite) idempotent() error {
	topic, err := s.newTopic("idempotent", partitions, nil)
	if err != nil {
		return err
	}
	if err := s.leaders(topic); err != nil {
		return err
	}
	if err := s.produce(topic, 0, records, partitions, kafka.ConfigMap{"enable.idempotence": true, "batch.num.messages": 10}); err != nil {
		return err
	}
	return s.readAll(topic, records, partitions)
}

func (s suite) codec(name string) func() error {
	return func() error {
		topic, err := s.newTopic(name, partitions, nil)
		if err != nil {
			return err
		}
		if err := s.produce(topic, 0, records, partitions, kafka.ConfigMap{"compression.codec": name, "linger.ms": 50}); err != nil {
			return err
		}
		return s.readAll(topic, records, partitions)
	}
}

func (s suite) content() error {
	topic, err := s.newTopic("content", 1, nil)
	if err != nil {
		return err
	}
	ms := []*kafka.Message{
		{Key: []byte("k0"), Value: []byte("v0"), Headers: []kafka.Header{
			{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b", Value: []byte{0, 0xff, 0x10}}, {Key: "e", Value: []byte{}}, {Key: "n"}}},
		{Value: []byte("v1")},
		{Key: []byte("k2")},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("ключ-열쇠"), Value: []byte("값")},
		{},
	}
	for i, m := range ms {
		m.TopicPartition = kafka.TopicPartition{Topic: &topic, Partition: 0}
		m.Timestamp = time.UnixMilli(baseTime + int64(i)*1000)
	}
	if err := s.send(ms, nil); err != nil {
		return err
	}
	c, err := s.consumer(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Assign(at(topic, map[int32]kafka.Offset{0: kafka.OffsetBeginning})); err != nil {
		return err
	}
	got, err := poll(c, len(ms))
	if err != nil {
		return err
	}
	for i, g := range got {
		if a, b := show(g), show(ms[i]); a != b {
			return fmt.Errorf("record %d: got %s, want %s", i, a, b)
		}
	}
	return nil
}

// show prints everything of a message that must survive; nil and empty differ.
func show(m *kafka.Message) string {
	text := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	line := fmt.Sprintf("ts=%d key=%s value=%s", m.Timestamp.UnixMilli(), text(m.Key), text(m.Value))
	for _, h := range m.Headers {
		line += " " + h.Key + "=" + text(h.Value)
	}
	return line
}

func (s suite) sizes() error {
	topic, err := s.newTopic("sizes", 1, nil)
	if err != nil {
		return err
	}
	big := make([]byte, 1000000)
	for j := range big {
		big[j] = byte(j*7 + j>>8*13)
	}
	values := [][]byte{{'x'}, big, {'y'}}
	large := kafka.ConfigMap{"message.max.bytes": 4 << 20}
	for _, v := range values {
		if err := s.send([]*kafka.Message{{TopicPartition: kafka.TopicPartition{Topic: &topic}, Value: v}}, large); err != nil {
			return fmt.Errorf("value of %d bytes: %w", len(v), err)
		}
	}
	err = s.send([]*kafka.Message{{TopicPartition: kafka.TopicPartition{Topic: &topic}, Value: make([]byte, 2<<20)}}, large)
	var refused kafka.Error
	if !errors.As(err, &refused) || refused.Code() != kafka.ErrMsgSizeTooLarge {
		return fmt.Errorf("value of 2 MiB: %v, want message too large", err)
	}
	c, err := s.consumer(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Assign(at(topic, map[int32]kafka.Offset{0: kafka.OffsetBeginning})); err != nil {
		return err
	}
	got, err := poll(c, len(values))
	if err != nil {
		return err
	}
	for i, m := range got {
		if string(m.Value) != string(values[i]) {
			return fmt.Errorf("record %d: %d bytes differ from the %d written", i, len(m.Value), len(values[i]))
		}
	}
	return nil
}
