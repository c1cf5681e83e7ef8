package protocol_test

import (
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// produceRequest is a version 12 request with one batch for each of a topic's
// partitions.
func produceRequest(partitions, size int) []byte {
	var m protocol.ProduceRequest
	m.SetDefaults()
	m.Acks, m.TimeoutMs = -1, 30_000
	m.TopicData = []protocol.ProduceRequestTopicProduceData{{Name: "orders"}}
	for i := range partitions {
		m.TopicData[0].PartitionData = append(m.TopicData[0].PartitionData,
			protocol.ProduceRequestPartitionProduceData{Index: int32(i), Records: make([]byte, size)})
	}
	return m.Append(nil, 12)
}

// fetchRequest is a version 17 request for the partitions of a topic.
func fetchRequest(partitions int) []byte {
	var m protocol.FetchRequest
	m.SetDefaults()
	m.Topics = []protocol.FetchRequestFetchTopic{{TopicId: protocol.UUID{1}}}
	for i := range partitions {
		var p protocol.FetchRequestFetchPartition
		p.SetDefaults()
		p.Partition, p.PartitionMaxBytes = int32(i), 1<<20
		m.Topics[0].Partitions = append(m.Topics[0].Partitions, p)
	}
	return m.Append(nil, 17)
}

func produceResponse() *protocol.ProduceResponse {
	var p protocol.ProduceResponsePartitionProduceResponse
	p.SetDefaults()
	p.BaseOffset = 1 << 40
	return &protocol.ProduceResponse{Responses: []protocol.ProduceResponseTopicProduceResponse{
		{Name: "orders", PartitionResponses: []protocol.ProduceResponsePartitionProduceResponse{p}},
	}}
}

// warmPaths are the steps of every request that a busy client sends.
func warmPaths() map[string]func() {
	var (
		produce  protocol.ProduceRequest
		fetch    protocol.FetchRequest
		header   protocol.RequestHeader
		metadata protocol.MetadataRequest
		writer   protocol.FetchResponseWriter
		client   = "client-1"

		produceFrame  = produceRequest(10, 1024)
		fetchFrame    = fetchRequest(50)
		headerFrame   = (&protocol.RequestHeader{APIVersion: 12, ClientID: &client}).Append(nil)
		metadataFrame = (&protocol.MetadataRequest{AllowAutoTopicCreation: true}).Append(nil, 12)
		answer        = produceResponse()
		answerHeader  []byte
		buffer        = make([]byte, 0, 1<<16)
		partition     protocol.FetchResponsePartitionData
	)
	partition.SetDefaults()
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	return map[string]func(){
		"decoding a Produce request":  func() { must(produce.Decode(produceFrame, 12)) },
		"decoding a Fetch request":    func() { must(fetch.Decode(fetchFrame, 17)) },
		"decoding a Metadata request": func() { must(metadata.Decode(metadataFrame, 12)) },
		"reading a request header": func() {
			_, err := header.Parse(headerFrame)
			must(err)
		},
		"appending a Produce response": func() {
			answerHeader = protocol.AppendResponseHeader(buffer, protocol.KeyProduce, 12, 1)
			answer.Append(answerHeader, 12)
		},
		"writing a Fetch response": func() {
			writer.Begin(buffer, 17, 0, 0, 1, 1)
			writer.Topic("", protocol.UUID{1}, 100)
			for i := range 100 {
				partition.PartitionIndex = int32(i)
				writer.Partition(&partition, i*1000)
			}
			writer.End(nil)
		},
	}
}

func TestWarmPathsAllocateNothing(t *testing.T) {
	for name, path := range warmPaths() {
		path()
		if allocs := testing.AllocsPerRun(100, path); allocs != 0 {
			t.Errorf("%s allocates %v times", name, allocs)
		}
	}
}

func benchmark(b *testing.B, name string) {
	path := warmPaths()[name]
	path()
	b.ReportAllocs()
	for b.Loop() {
		path()
	}
}

// 10 partitions of 1 KiB.
func BenchmarkDecodeProduceRequest(b *testing.B) { benchmark(b, "decoding a Produce request") }

// 50 partitions.
func BenchmarkDecodeFetchRequest(b *testing.B) { benchmark(b, "decoding a Fetch request") }

func BenchmarkAppendProduceResponse(b *testing.B) { benchmark(b, "appending a Produce response") }

// 100 partitions, 99 of them with records.
func BenchmarkFetchResponseWriter(b *testing.B) { benchmark(b, "writing a Fetch response") }

func BenchmarkParseRequestHeader(b *testing.B) { benchmark(b, "reading a request header") }
