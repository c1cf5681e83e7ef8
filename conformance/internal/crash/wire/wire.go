// Package wire is one plain connection to the server under test: a request goes out, its answer comes
// in, nothing is retried or hidden. The checks after a crash use it, so that each error they see is the
// server's and each time they take is the server's too.
package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAnswer bounds an answer: a fetch of a few partitions at most.
const maxAnswer = 256 << 20

// Conn is one connection; one goroutine uses it.
type Conn struct {
	c      net.Conn
	format *kmsg.RequestFormatter
	last   int32
	limit  time.Duration
}

// Dial connects to addr; each request is given limit.
func Dial(ctx context.Context, addr string, limit time.Duration) (*Conn, error) {
	d := net.Dialer{Timeout: limit}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Conn{c: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("crash")), limit: limit}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

// Do sends a request in the version it is set to and reads its answer. After an error the connection is
// of no use.
func (c *Conn) Do(req kmsg.Request) (kmsg.Response, error) {
	c.last++
	_ = c.c.SetDeadline(time.Now().Add(c.limit))
	if _, err := c.c.Write(c.format.AppendRequest(nil, req, c.last)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(c.c, head[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[:])) - 4
	if size < 0 || size > maxAnswer {
		return nil, fmt.Errorf("answer to key %d has %d bytes", req.Key(), size)
	}
	if id := int32(binary.BigEndian.Uint32(head[4:])); id != c.last {
		return nil, fmt.Errorf("answer to key %d has correlation id %d, want %d", req.Key(), id, c.last)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.c, body); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() { // the header of a flexible answer ends with its tags, of which there are none
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("answer to key %d: header with tags", req.Key())
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("answer to key %d version %d: %w", req.Key(), req.GetVersion(), err)
	}
	return resp, nil
}

// Partition names a partition.
type Partition struct {
	Topic string
	Index int32
}

// String returns topic-index.
func (p Partition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.Index) }

// Topic is what Metadata says about one.
type Topic struct {
	ID         [16]byte
	Partitions int32
}

// Topics asks for all topics. A topic or partition without a leader is an error, and so is an answer
// without any broker.
func (c *Conn) Topics() (map[string]Topic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 10
	req.Topics = nil
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	answer := resp.(*kmsg.MetadataResponse)
	if len(answer.Brokers) == 0 {
		return nil, errors.New("metadata names no broker")
	}
	found := map[string]Topic{}
	for _, t := range answer.Topics {
		if err := Code(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("topic %s: %w", *t.Topic, err)
		}
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 || p.Leader < 0 {
				return nil, fmt.Errorf("partition %s-%d: leader %d, error %d", *t.Topic, p.Partition, p.Leader, p.ErrorCode)
			}
		}
		found[*t.Topic] = Topic{ID: t.TopicID, Partitions: int32(len(t.Partitions))}
	}
	return found, nil
}

// Places for Offsets.
const (
	Latest   = -1
	Earliest = -2
)

// Offsets asks for the first or the last offset of each partition.
func (c *Conn) Offsets(place int64, partitions []Partition) (map[Partition]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 5
	req.ReplicaID = -1
	for topic, list := range byTopic(partitions) {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for _, index := range list {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.Timestamp = index, -1, place
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	found := make(map[Partition]int64, len(partitions))
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if err := Code(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("offset %d of %s-%d: %w", place, t.Topic, p.Partition, err)
			}
			found[Partition{t.Topic, p.Partition}] = p.Offset
		}
	}
	if len(found) != len(partitions) {
		return nil, fmt.Errorf("offsets of %d partitions answered, %d asked", len(found), len(partitions))
	}
	return found, nil
}

// Fetched is what a fetch brought of one partition.
type Fetched struct {
	Code          int16
	HighWatermark int64
	LogStart      int64
	raw           kmsg.FetchResponseTopicPartition
}

// Fetch reads from the given offsets, at most maxBytes of each partition, without waiting.
func (c *Conn) Fetch(from map[Partition]int64, maxBytes int32) (map[Partition]Fetched, error) {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 11
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, 0, 0, maxAnswer/2
	req.SessionEpoch = -1
	all := make([]Partition, 0, len(from))
	for p := range from {
		all = append(all, p)
	}
	for topic, list := range byTopic(all) {
		t := kmsg.NewFetchRequestTopic()
		t.Topic = topic
		for _, index := range list {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.PartitionMaxBytes = index, -1, maxBytes
			p.FetchOffset = from[Partition{topic, index}]
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	answer := resp.(*kmsg.FetchResponse)
	if err := Code(answer.ErrorCode); err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	found := make(map[Partition]Fetched, len(from))
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			found[Partition{t.Topic, p.Partition}] = Fetched{p.ErrorCode, p.HighWatermark, p.LogStartOffset, p}
		}
	}
	if len(found) != len(from) {
		return nil, fmt.Errorf("fetch of %d partitions answered, %d asked", len(found), len(from))
	}
	return found, nil
}

// Empty reports whether the fetch brought no bytes.
func (f *Fetched) Empty() bool { return len(f.raw.RecordBatches) == 0 }

// Records decodes what was fetched, checking each batch's CRC, from an offset on.
func (f *Fetched) Records(p Partition, from int64) ([]*kgo.Record, error) {
	opts := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: from, Topic: p.Topic, Partition: p.Index}
	got, _ := kgo.ProcessFetchPartition(opts, &f.raw, kgo.DefaultDecompressor(), nil)
	return got.Records, got.Err
}

func byTopic(partitions []Partition) map[string][]int32 {
	m := map[string][]int32{}
	for _, p := range partitions {
		m[p.Topic] = append(m[p.Topic], p.Index)
	}
	return m
}

// Produce appends plain values to a partition with acks=all and returns the first one's offset.
func (c *Conn) Produce(p Partition, values [][]byte) (int64, error) {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	req.Acks, req.TimeoutMillis = -1, 30_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = p.Index, Batch(0, values)
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = p.Topic, append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	answer := resp.(*kmsg.ProduceResponse)
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return 0, errors.New("produce: answer names no partition")
	}
	got := answer.Topics[0].Partitions[0]
	if err := Code(got.ErrorCode); err != nil {
		return 0, fmt.Errorf("produce to %s: %w", p, err)
	}
	return got.BaseOffset, nil
}

// Batch encodes one uncompressed batch without a producer id.
func Batch(base int64, values [][]byte) []byte {
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		FirstOffset: base, PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(values) - 1),
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(values)),
	}
	for i, v := range values {
		r := kmsg.Record{OffsetDelta: int32(i), Value: v}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // the length itself takes one byte while it is 0
		b.Records = r.AppendTo(b.Records)
	}
	b.Length = int32(49 + len(b.Records))
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
