package naru_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// mustAsk is ask for requests that must be answered.
func (p *peer) mustAsk(r protocol.Request, version int16) protocol.Message {
	p.t.Helper()
	m, err := p.ask(r, version)
	if err != nil {
		p.t.Fatalf("%s version %d: %v", r.Key(), version, err)
	}
	return m
}

func (p *peer) createTopic(name string, partitions int32) {
	p.t.Helper()
	m := p.mustAsk(&protocol.CreateTopicsRequest{TimeoutMs: 1000, Topics: []protocol.CreateTopicsRequestCreatableTopic{
		{Name: name, NumPartitions: partitions, ReplicationFactor: 1},
	}}, 5)
	if code := m.(*protocol.CreateTopicsResponse).Topics[0].ErrorCode; code != protocol.None {
		p.t.Fatalf("creating %s: %v", name, code)
	}
}

func produceRequest(topic string, acks int16, records []byte) *protocol.ProduceRequest {
	return &protocol.ProduceRequest{Acks: acks, TimeoutMs: 10000, TopicData: []protocol.ProduceRequestTopicProduceData{
		{Name: topic, PartitionData: []protocol.ProduceRequestPartitionProduceData{{Records: records}}},
	}}
}

func (p *peer) produce(topic string, records []byte) *protocol.ProduceResponsePartitionProduceResponse {
	p.t.Helper()
	m := p.mustAsk(produceRequest(topic, -1, records), 9)
	return &m.(*protocol.ProduceResponse).Responses[0].PartitionResponses[0]
}

func fetchRequest(topic string, offset int64, maxWaitMs, minBytes, maxBytes int32) *protocol.FetchRequest {
	r := &protocol.FetchRequest{}
	r.SetDefaults()
	r.MaxWaitMs, r.MinBytes, r.MaxBytes = maxWaitMs, minBytes, maxBytes
	part := protocol.FetchRequestFetchPartition{}
	part.SetDefaults()
	part.FetchOffset, part.PartitionMaxBytes = offset, maxBytes
	r.Topics = []protocol.FetchRequestFetchTopic{{Topic: topic, Partitions: []protocol.FetchRequestFetchPartition{part}}}
	return r
}

func (p *peer) fetch(r *protocol.FetchRequest) *protocol.FetchResponsePartitionData {
	p.t.Helper()
	return &p.mustAsk(r, 11).(*protocol.FetchResponse).Responses[0].Partitions[0]
}

// Kafka Streams keeps a task waiting for ever whose partition ends before its position.
func TestAnAnswerBehindAFetchIsNotOlderThanTheFetch(t *testing.T) {
	node := startNode(t)
	consumer, producer := dial(t, node.Addr()), dial(t, node.Addr())
	producer.createTopic("t", 1)
	fetch := fetchRequest("t", 0, 60000, 1, 1<<20)
	latest := &protocol.ListOffsetsRequest{ReplicaId: -1, Topics: []protocol.ListOffsetsRequestListOffsetsTopic{
		{Name: "t", Partitions: []protocol.ListOffsetsRequestListOffsetsPartition{{CurrentLeaderEpoch: -1, Timestamp: -1}}},
	}}
	first, err := consumer.send(fetch, 11)
	if err != nil {
		t.Fatal(err)
	}
	second, err := consumer.send(latest, 5)
	if err != nil {
		t.Fatal(err)
	}
	producer.produce("t", batch(t, "a"))
	m, err := consumer.receive(protocol.KeyFetch, 11, first)
	if err != nil {
		t.Fatal(err)
	}
	watermark := m.(*protocol.FetchResponse).Responses[0].Partitions[0].HighWatermark
	if m, err = consumer.receive(protocol.KeyListOffsets, 5, second); err != nil {
		t.Fatal(err)
	}
	if end := m.(*protocol.ListOffsetsResponse).Topics[0].Partitions[0].Offset; watermark != 1 || end != watermark {
		t.Errorf("the fetch tells a high watermark of %d, what was asked behind it an end of %d, want 1", watermark, end)
	}
}

func TestFetchWaitsForRecordsAndIsWokenByThem(t *testing.T) {
	node := startNode(t)
	consumer, producer := dial(t, node.Addr()), dial(t, node.Addr())
	producer.createTopic("t", 1)
	type answer struct {
		part *protocol.FetchResponsePartitionData
		took time.Duration
	}
	answers := make(chan answer)
	for i := range int64(5) {
		begin := time.Now()
		go func() { answers <- answer{consumer.fetch(fetchRequest("t", i, 60000, 1, 1<<20)), time.Since(begin)} }()
		producer.produce("t", batch(t, fmt.Sprint(i)))
		select {
		case a := <-answers:
			if len(a.part.Records) == 0 || a.part.HighWatermark != i+1 {
				t.Fatalf("fetch %d: %d bytes, high watermark %d", i, len(a.part.Records), a.part.HighWatermark)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the fetch was not woken by the records it waited for")
		}
	}
}

func TestFetchAnswersWithWhatThereIsWhenItsPatienceEnds(t *testing.T) {
	node := startNode(t)
	p := dial(t, node.Addr())
	p.createTopic("t", 1)
	p.produce("t", batch(t, "little"))
	begin := time.Now()
	part := p.fetch(fetchRequest("t", 0, 200, 1<<20, 1<<20))
	if took := time.Since(begin); len(part.Records) == 0 || took < 200*time.Millisecond {
		t.Errorf("%d bytes after %s, want the batch after 200 ms", len(part.Records), took)
	}
}

func TestFetchReturnsWholeBatchesAndAtLeastOne(t *testing.T) {
	node := startNode(t)
	p := dial(t, node.Addr())
	p.createTopic("t", 1)
	for range 10 {
		p.produce("t", batch(t, strings.Repeat("x", 1000), "y", "z"))
	}
	for _, c := range []struct {
		offset   int64
		maxBytes int32
		first    int64
		batches  int
	}{
		{0, 1 << 20, 0, 10}, {4, 1 << 20, 3, 9}, {29, 1, 27, 1}, {0, 10, 0, 1}, {0, 2500, 0, 2},
	} {
		rest := p.fetch(fetchRequest("t", c.offset, 0, 1, c.maxBytes)).Records
		n := 0
		for ; len(rest) > 0; n++ {
			var b record.Batch
			var err error
			if b, rest, err = record.Next(rest); err != nil || b.CheckCRC() != nil {
				t.Fatalf("batch %d from offset %d is not whole: %v", n, c.offset, err)
			}
			if n == 0 && b.BaseOffset() != c.first {
				t.Errorf("from offset %d: first batch at %d, want %d", c.offset, b.BaseOffset(), c.first)
			}
		}
		if n != c.batches {
			t.Errorf("from offset %d with %d bytes: %d batches, want %d", c.offset, c.maxBytes, n, c.batches)
		}
	}
}

func TestRepeatedIdempotentBatchGetsItsFirstOffset(t *testing.T) {
	node := startNode(t)
	p := dial(t, node.Addr())
	p.createTopic("t", 1)
	id := p.mustAsk(&protocol.InitProducerIdRequest{TransactionTimeoutMs: 1000, ProducerId: -1, ProducerEpoch: -1}, 4).(*protocol.InitProducerIdResponse)
	sequenced := func(sequence int32) []byte {
		b := batch(t, "a", "b")
		record.Batch(b).SetProducer(id.ProducerId, 0, sequence)
		return b
	}
	for i := range int32(3) {
		if r := p.produce("t", sequenced(2*i)); r.ErrorCode != protocol.None || r.BaseOffset != int64(2*i) {
			t.Fatalf("batch %d: %v at offset %d", i, r.ErrorCode, r.BaseOffset)
		}
	}
	if r := p.produce("t", sequenced(2)); r.ErrorCode != protocol.None || r.BaseOffset != 2 {
		t.Errorf("repeated batch: %v at offset %d, want offset 2", r.ErrorCode, r.BaseOffset)
	}
	if r := p.produce("t", sequenced(100)); r.ErrorCode != protocol.OutOfOrderSequenceNumber {
		t.Errorf("batch with a gap: %v", r.ErrorCode)
	}
	if part := p.fetch(fetchRequest("t", 0, 0, 1, 1<<20)); part.HighWatermark != 6 {
		t.Errorf("high watermark %d, want 6", part.HighWatermark)
	}
}

func TestRefusedProduceWithoutAcksClosesTheConnection(t *testing.T) {
	node := startNode(t)
	p := dial(t, node.Addr())
	if _, err := p.ask(produceRequest("missing", 0, batch(t, "x")), 9); err == nil {
		t.Error("a produce request with acks=0 was answered")
	} else if ne := (interface{ Timeout() bool })(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Error("the connection stayed open after a refused produce request with acks=0")
	}
}

func TestRestartFindsTopicsRecordsSettingsAndOffsets(t *testing.T) {
	properties := map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir(), "group.initial.rebalance.delay.ms": "0"}
	for round := range 3 {
		node, err := naru.Start(t.Context(), naru.Config{Properties: properties})
		if err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"),
			kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			t.Fatal(err)
		}
		admin := kadm.NewClient(client)
		if round == 0 {
			value := "12345678"
			if _, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.ms": &value}, "t"); err != nil {
				t.Fatal(err)
			}
		}
		configs, err := admin.DescribeTopicConfigs(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range configs[0].Configs {
			if c.Key == "retention.ms" && c.MaybeValue() != "12345678" {
				t.Errorf("round %d: retention.ms is %s", round, c.MaybeValue())
			}
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: fmt.Append(nil, round)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		// The group goes on where it was: it sees exactly this round's record.
		var got []string
		for len(got) == 0 {
			fetches := client.PollFetches(t.Context())
			fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
		}
		if len(got) != 1 || got[0] != fmt.Sprint(round) {
			t.Errorf("round %d: the group got %v", round, got)
		}
		if err := client.CommitUncommittedOffsets(t.Context()); err != nil {
			t.Fatal(err)
		}
		client.Close()
		if err := node.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecondNodeOnTheSameDirectoryIsRefused(t *testing.T) {
	properties := map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir()}
	node, err := naru.Start(t.Context(), naru.Config{Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	second, err := naru.Start(t.Context(), naru.Config{Properties: properties})
	if err == nil {
		second.Close()
		t.Fatal("a second node started on the same directory")
	}
	if !strings.Contains(err.Error(), properties["log.dirs"]) {
		t.Errorf("the error does not name the directory: %v", err)
	}
}

func TestWrongSettingsAreRefusedByName(t *testing.T) {
	for key, value := range map[string]string{
		"num.partitions": "many", "listeners": "localhost:9092", "naru.durability": "sometimes", "node.id": "-7",
	} {
		properties := map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir(), key: value}
		node, err := naru.Start(t.Context(), naru.Config{Properties: properties})
		if err == nil {
			node.Close()
			t.Errorf("%s=%s was accepted", key, value)
		} else if !strings.Contains(err.Error(), key) {
			t.Errorf("%s=%s: the error does not name the setting: %v", key, value, err)
		}
	}
}

// A directory that is cordoned while the node runs takes no new partitions, and a broker
// all of whose directories are is given none.
func TestCordonedDirectoriesTakeNoNewPartitions(t *testing.T) {
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	node, err := naru.Start(t.Context(), naru.Config{Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": strings.Join(dirs, ","), "broker.heartbeat.interval.ms": "10",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	p := dial(t, node.Addr())
	cordon := func(value string) {
		t.Helper()
		m := p.mustAsk(&protocol.IncrementalAlterConfigsRequest{Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{{
			ResourceType: 4, ResourceName: "1",
			Configs: []protocol.IncrementalAlterConfigsRequestAlterableConfig{{Name: "cordoned.log.dirs", Value: &value}},
		}}}, 1).(*protocol.IncrementalAlterConfigsResponse)
		if r := m.Responses[0]; r.ErrorCode != protocol.None {
			t.Fatalf("cordoning %s: %v", value, r.ErrorCode)
		}
	}
	cordon(dirs[0])
	p.createTopic("t", 4)
	for _, dir := range p.mustAsk(&protocol.DescribeLogDirsRequest{}, 5).(*protocol.DescribeLogDirsResponse).Results {
		n := 0
		for _, topic := range dir.Topics {
			n += len(topic.Partitions)
		}
		if first := dir.LogDir == dirs[0]; dir.IsCordoned != first || (n == 4) == first {
			t.Errorf("%s: cordoned %t, %d partitions", dir.LogDir, dir.IsCordoned, n)
		}
	}
	for _, step := range []struct {
		value string
		want  protocol.ErrorCode
	}{{"*", protocol.InvalidReplicationFactor}, {"", protocol.None}} {
		cordon(step.value)
		await(t.Context(), t, "the controller knows", func() bool {
			m := p.mustAsk(&protocol.CreateTopicsRequest{ValidateOnly: true, Topics: []protocol.CreateTopicsRequestCreatableTopic{
				{Name: "u", NumPartitions: 1, ReplicationFactor: 1},
			}}, 5)
			return m.(*protocol.CreateTopicsResponse).Topics[0].ErrorCode == step.want
		})
	}
}
