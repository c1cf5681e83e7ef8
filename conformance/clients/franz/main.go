// Command franz runs the conformance scenarios with franz-go (kgo and kadm).
// Arguments: bootstrap address, prefix, scenarios. One JSON line per scenario on standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	records    = 300
	partitions = 3
	baseTime   = int64(1700000000000)
)

type suite struct {
	addr, prefix string
}

func main() {
	s := suite{os.Args[1], os.Args[2]}
	all := map[string]func(context.Context) error{
		"create": s.create, "acks-0": s.acks("0", kgo.NoAck()), "acks-1": s.acks("1", kgo.LeaderAck()),
		"acks-all": s.acks("all", kgo.AllISRAcks()), "idempotent": s.idempotent,
		"none": s.codec("none", kgo.NoCompression()), "gzip": s.codec("gzip", kgo.GzipCompression()),
		"snappy": s.codec("snappy", kgo.SnappyCompression()), "lz4": s.codec("lz4", kgo.Lz4Compression()),
		"zstd": s.codec("zstd", kgo.ZstdCompression()), "content": s.content, "sizes": s.sizes,
		"assign": s.assign, "group": s.group, "rebalance": s.rebalance, "static": s.static, "time": s.seekTime,
		"admin-topics": s.adminTopics, "admin-groups": s.adminGroups, "commit": s.commit, "resume": s.resume,
		"transactions": s.transactions, "consumer-protocol": s.consumerProtocol, "compaction": s.compaction,
		"share": s.share, "share-explicit": s.shareExplicit, "share-redelivery": s.shareRedelivery,
	}
	out := json.NewEncoder(os.Stdout)
	for _, name := range os.Args[3:] {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
		err := errors.New("unknown scenario")
		if run := all[name]; run != nil {
			err = run(ctx)
		}
		cancel()
		line := map[string]any{"scenario": name, "ok": err == nil}
		if err != nil {
			line["detail"] = err.Error()
		}
		_ = out.Encode(line)
	}
}

func (s suite) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.addr), kgo.MetadataMinAge(100 * time.Millisecond), kgo.FetchMaxWait(500 * time.Millisecond)}, opts...)...)
	if err != nil {
		panic(err)
	}
	return cl
}

func (s suite) topic(name string) string { return s.prefix + "-" + name }

func (s suite) newTopic(ctx context.Context, name string, n int32, configs map[string]*string) (string, error) {
	adm := kadm.NewClient(s.client())
	defer adm.Close()
	_, err := adm.CreateTopic(ctx, n, 1, configs, s.topic(name))
	return s.topic(name), err
}

func key(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }

func value(i int) []byte {
	v := fmt.Appendf(nil, "value-%d-", i)
	for range 20 {
		v = append(v, "naru "...)
	}
	return v
}

// produce writes the standard records i to partition i % partitions.
func (s suite) produce(ctx context.Context, topic string, from, to, parts int, opts ...kgo.Opt) error {
	opts = append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5 * time.Millisecond)}, opts...)
	cl := s.client(opts...)
	defer cl.Close()
	var rs []*kgo.Record
	for i := from; i < to; i++ {
		rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(i % parts), Key: key(i), Value: value(i)})
	}
	return cl.ProduceSync(ctx, rs...).FirstErr()
}

// poll fetches until n records have arrived.
func poll(ctx context.Context, cl *kgo.Client, n int) ([]*kgo.Record, error) {
	var got []*kgo.Record
	for len(got) < n {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%d of %d records: %w", len(got), n, ctx.Err())
		}
		for _, e := range fs.Errors() {
			return nil, fmt.Errorf("fetching %s-%d: %w", e.Topic, e.Partition, e.Err)
		}
		got = append(got, fs.Records()...)
	}
	return got, nil
}

// verify checks that got is exactly the standard records [0, n), in order per partition, offsets dense.
func verify(got []*kgo.Record, n, parts int) error {
	if len(got) != n {
		return fmt.Errorf("%d records, want %d", len(got), n)
	}
	next := make([]int, parts)
	for _, r := range got {
		p := int(r.Partition)
		i := next[p]*parts + p
		if r.Offset != int64(next[p]) {
			return fmt.Errorf("partition %d: offset %d, want %d", p, r.Offset, next[p])
		}
		if string(r.Key) != string(key(i)) || string(r.Value) != string(value(i)) {
			return fmt.Errorf("partition %d offset %d: key %q value %.40q, want record %d", p, r.Offset, r.Key, r.Value, i)
		}
		next[p]++
	}
	return nil
}

func (s suite) readAll(ctx context.Context, topic string, n, parts int) error {
	offsets := map[int32]kgo.Offset{}
	for p := range parts {
		offsets[int32(p)] = kgo.NewOffset().AtStart()
	}
	cl := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
	defer cl.Close()
	got, err := poll(ctx, cl, n)
	if err != nil {
		return err
	}
	if err := verify(got, n, parts); err != nil {
		return err
	}
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	if total != int64(n) {
		return fmt.Errorf("end offsets sum to %d, want %d", total, n)
	}
	return nil
}

func (s suite) create(ctx context.Context) error {
	retention := "3600000"
	topic, err := s.newTopic(ctx, "create", partitions, map[string]*string{"retention.ms": &retention})
	if err != nil {
		return err
	}
	adm := kadm.NewClient(s.client())
	defer adm.Close()
	details, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	if d := details[topic]; d.Err != nil || len(d.Partitions) != partitions || d.ID == (kadm.TopicID{}) {
		return fmt.Errorf("metadata of the new topic: %+v", d)
	}
	if _, err = s.newTopic(ctx, "create", 1, nil); !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating it again: %s, want TOPIC_ALREADY_EXISTS", fmt.Sprint(err))
	}
	if _, err = s.newTopic(ctx, "bad name!", 1, nil); !errors.Is(err, kerr.InvalidTopicException) {
		return fmt.Errorf("creating an invalid name: %s, want INVALID_TOPIC_EXCEPTION", fmt.Sprint(err))
	}
	return nil
}

func (s suite) acks(name string, acks kgo.Acks) func(context.Context) error {
	return func(ctx context.Context) error {
		topic, err := s.newTopic(ctx, "acks-"+name, partitions, nil)
		if err != nil {
			return err
		}
		if err := s.leaders(ctx, topic); err != nil { // acks=0 loses what comes before there is one
			return err
		}
		if err := s.produce(ctx, topic, 0, records, partitions, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite()); err != nil {
			return err
		}
		return s.readAll(ctx, topic, records, partitions)
	}
}

// leaders waits until every partition answers for its end offset.
func (s suite) leaders(ctx context.Context, topic string) error {
	adm := kadm.NewClient(s.client())
	defer adm.Close()
	for {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		if ends.Error() == nil && len(ends[topic]) == partitions {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("waiting for leaders: %w", ends.Error())
		}
	}
}

func (s suite) idempotent(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "idempotent", partitions, nil)
	if err != nil {
		return err
	}
	cl := s.client()
	id, _, err := cl.ProducerID(ctx)
	cl.Close()
	if err != nil || id < 0 {
		return fmt.Errorf("producer id %d: %w", id, err)
	}
	if err := s.leaders(ctx, topic); err != nil {
		return err
	}
	if err := s.produce(ctx, topic, 0, records, partitions, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchMaxBytes(2048)); err != nil {
		return err
	}
	return s.readAll(ctx, topic, records, partitions)
}

func (s suite) codec(name string, codec kgo.CompressionCodec) func(context.Context) error {
	return func(ctx context.Context) error {
		topic, err := s.newTopic(ctx, name, partitions, nil)
		if err != nil {
			return err
		}
		if err := s.produce(ctx, topic, 0, records, partitions, kgo.ProducerBatchCompression(codec)); err != nil {
			return err
		}
		return s.readAll(ctx, topic, records, partitions)
	}
}

func (s suite) content(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "content", 1, nil)
	if err != nil {
		return err
	}
	want := []*kgo.Record{
		{Key: []byte("k0"), Value: []byte("v0"), Headers: []kgo.RecordHeader{
			{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b", Value: []byte{0, 0xff, 0x10}}, {Key: "e", Value: []byte{}}}},
		{Value: []byte("v1")},
		{Key: []byte("k2")},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("ключ-열쇠"), Value: []byte("값")},
		{},
	}
	cl := s.client(kgo.DefaultProduceTopic(topic), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	for i, r := range want {
		r.Timestamp = time.UnixMilli(baseTime + int64(i)*1000)
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	got, err := poll(ctx, cl, len(want))
	if err != nil {
		return err
	}
	for i, r := range got {
		if a, b := show(r), show(want[i]); a != b {
			return fmt.Errorf("record %d: got %s, want %s", i, a, b)
		}
	}
	return nil
}

// show prints everything of a record that must survive; nil and empty differ.
func show(r *kgo.Record) string {
	text := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	line := fmt.Sprintf("ts=%d key=%s value=%s", r.Timestamp.UnixMilli(), text(r.Key), text(r.Value))
	for _, h := range r.Headers {
		line += " " + h.Key + "=" + text(h.Value)
	}
	return line
}

func (s suite) sizes(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "sizes", 1, nil)
	if err != nil {
		return err
	}
	big := make([]byte, 1000000)
	for j := range big {
		big[j] = byte(j*7 + j>>8*13)
	}
	values := [][]byte{{'x'}, big, {'y'}}
	cl := s.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(3<<20),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	for i, v := range values {
		if err := cl.ProduceSync(ctx, &kgo.Record{Value: v}).FirstErr(); err != nil {
			return fmt.Errorf("value of %d bytes (record %d): %w", len(v), i, err)
		}
	}
	err = cl.ProduceSync(ctx, &kgo.Record{Value: make([]byte, 2<<20)}).FirstErr()
	if !errors.Is(err, kerr.MessageTooLarge) {
		return fmt.Errorf("value of 2 MiB: %s, want MESSAGE_TOO_LARGE", fmt.Sprint(err))
	}
	got, err := poll(ctx, cl, len(values))
	if err != nil {
		return err
	}
	for i, r := range got {
		if string(r.Value) != string(values[i]) {
			return fmt.Errorf("record %d: %d bytes differ from the %d written", i, len(r.Value), len(values[i]))
		}
	}
	return nil
}
