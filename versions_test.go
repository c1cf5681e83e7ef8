package naru_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// startNode starts a node on a free port for one test.
func startNode(t *testing.T) *naru.Node {
	t.Helper()
	node, err := naru.Start(t.Context(), naru.Config{Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir(), "group.initial.rebalance.delay.ms": "0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

// peer is a client that speaks frames.
type peer struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
	id int32
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &peer{t: t, nc: nc, in: bufio.NewReader(nc)}
}

// ask sends a request and decodes the answer, or returns why that failed.
func (p *peer) ask(r protocol.Request, version int16) (protocol.Message, error) {
	id, err := p.send(r, version)
	if err != nil {
		return nil, err
	}
	return p.receive(r.Key(), version, id)
}

// send sends a request and returns its correlation id.
func (p *peer) send(r protocol.Request, version int16) (int32, error) {
	p.id++
	client := "peer"
	header := protocol.RequestHeader{APIKey: r.Key(), APIVersion: version, CorrelationID: p.id, ClientID: &client}
	frame := r.Append(header.Append(make([]byte, 4)), version)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	_ = p.nc.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := p.nc.Write(frame)
	return p.id, err
}

// receive decodes the next answer, which must be to the request with this id.
func (p *peer) receive(key protocol.APIKey, version int16, want int32) (protocol.Message, error) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(p.in, size); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(p.in, answer); err != nil {
		return nil, err
	}
	id, body, err := protocol.ParseResponseHeader(answer, key, version)
	if err != nil {
		return nil, err
	}
	if id != want {
		return nil, fmt.Errorf("correlation id %d, want %d", id, want)
	}
	m := key.API().NewResponse()
	return m, m.Decode(body, version)
}

func batch(t *testing.T, values ...string) []byte {
	t.Helper()
	var b record.Builder
	b.Reset(record.DefaultSpec())
	for _, v := range values {
		if err := b.Append(time.Now().UnixMilli(), []byte("key"), []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sensible makes requests that a client might send, by API and version. An API that
// is not here is asked with an empty request.
func sensible(t *testing.T, topicID protocol.UUID) map[protocol.APIKey]func(version int16) protocol.Request {
	name := "versions"
	topic := func(version, firstID int16) (string, protocol.UUID) {
		if version >= firstID {
			return "", topicID
		}
		return name, protocol.UUID{}
	}
	return map[protocol.APIKey]func(int16) protocol.Request{
		protocol.KeyProduce: func(v int16) protocol.Request {
			r := &protocol.ProduceRequest{Acks: -1, TimeoutMs: 1000}
			n, id := topic(v, 13)
			r.TopicData = []protocol.ProduceRequestTopicProduceData{{Name: n, TopicId: id, PartitionData: []protocol.ProduceRequestPartitionProduceData{
				{Index: 0, Records: batch(t, "a", "b")}, {Index: 99, Records: batch(t, "a")},
			}}}
			return r
		},
		protocol.KeyFetch: func(v int16) protocol.Request {
			r := &protocol.FetchRequest{}
			r.SetDefaults()
			r.MinBytes, r.MaxBytes = 1, 1<<20
			n, id := topic(v, 13)
			part := protocol.FetchRequestFetchPartition{}
			part.SetDefaults()
			part.PartitionMaxBytes = 1 << 20
			missing := part
			missing.Partition = 99
			r.Topics = []protocol.FetchRequestFetchTopic{{Topic: n, TopicId: id, Partitions: []protocol.FetchRequestFetchPartition{part, missing}}}
			return r
		},
		protocol.KeyListOffsets: func(int16) protocol.Request {
			r := &protocol.ListOffsetsRequest{ReplicaId: -1}
			for _, ts := range []int64{-1, -2, 0} {
				r.Topics = append(r.Topics, protocol.ListOffsetsRequestListOffsetsTopic{Name: name, Partitions: []protocol.ListOffsetsRequestListOffsetsPartition{
					{PartitionIndex: int32(-1 - ts), CurrentLeaderEpoch: -1, Timestamp: ts},
				}})
			}
			return r
		},
		protocol.KeyMetadata: func(int16) protocol.Request {
			r := &protocol.MetadataRequest{AllowAutoTopicCreation: true}
			other := "no/topic"
			r.Topics = []protocol.MetadataRequestTopic{{Name: &name}, {Name: &other}}
			return r
		},
		protocol.KeyOffsetCommit: func(v int16) protocol.Request {
			r := &protocol.OffsetCommitRequest{}
			r.SetDefaults()
			n, id := topic(v, 10)
			r.GroupId = "simple"
			r.Topics = []protocol.OffsetCommitRequestTopic{{Name: n, TopicId: id, Partitions: []protocol.OffsetCommitRequestPartition{{CommittedOffset: 1, CommittedLeaderEpoch: -1}}}}
			return r
		},
		protocol.KeyOffsetFetch: func(v int16) protocol.Request {
			r := &protocol.OffsetFetchRequest{}
			if v < 8 {
				r.GroupId, r.Topics = "simple", []protocol.OffsetFetchRequestTopic{{Name: name, PartitionIndexes: []int32{0}}}
				return r
			}
			n, id := topic(v, 10)
			g := protocol.OffsetFetchRequestGroup{GroupId: "simple", MemberEpoch: -1, Topics: []protocol.OffsetFetchRequestTopics{{Name: n, TopicId: id, PartitionIndexes: []int32{0}}}}
			r.Groups = []protocol.OffsetFetchRequestGroup{g}
			return r
		},
		protocol.KeyFindCoordinator: func(v int16) protocol.Request {
			if v >= 4 {
				return &protocol.FindCoordinatorRequest{CoordinatorKeys: []string{"simple", "other"}}
			}
			return &protocol.FindCoordinatorRequest{CoordinatorKey: "simple"}
		},
		protocol.KeyJoinGroup: func(v int16) protocol.Request {
			r := &protocol.JoinGroupRequest{}
			r.SetDefaults()
			r.GroupId, r.ProtocolType, r.SessionTimeoutMs = fmt.Sprintf("join-%d", v), "consumer", 10000
			if v >= 1 {
				r.RebalanceTimeoutMs = 10000
			}
			r.Protocols = []protocol.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 1}}}
			return r
		},
		protocol.KeyDescribeGroups: func(int16) protocol.Request {
			return &protocol.DescribeGroupsRequest{Groups: []string{"simple", "missing"}}
		},
		protocol.KeyApiVersions: func(int16) protocol.Request {
			return &protocol.ApiVersionsRequest{ClientSoftwareName: "peer", ClientSoftwareVersion: "1.0"}
		},
		protocol.KeyCreateTopics: func(v int16) protocol.Request {
			r := &protocol.CreateTopicsRequest{}
			r.SetDefaults()
			r.Topics = []protocol.CreateTopicsRequestCreatableTopic{
				{Name: fmt.Sprintf("created-%d", v), NumPartitions: 1, ReplicationFactor: 1}, {Name: name, NumPartitions: 1, ReplicationFactor: 1},
			}
			return r
		},
		protocol.KeyDeleteTopics: func(v int16) protocol.Request {
			missing := "missing"
			if v >= 6 {
				return &protocol.DeleteTopicsRequest{Topics: []protocol.DeleteTopicsRequestDeleteTopicState{{Name: &missing}}}
			}
			return &protocol.DeleteTopicsRequest{TopicNames: []string{missing}}
		},
		protocol.KeyDeleteRecords: func(int16) protocol.Request {
			return &protocol.DeleteRecordsRequest{Topics: []protocol.DeleteRecordsRequestDeleteRecordsTopic{{Name: name, Partitions: []protocol.DeleteRecordsRequestDeleteRecordsPartition{{Offset: 0}}}}}
		},
		protocol.KeyOffsetForLeaderEpoch: func(int16) protocol.Request {
			return &protocol.OffsetForLeaderEpochRequest{ReplicaId: -2, Topics: []protocol.OffsetForLeaderEpochRequestOffsetForLeaderTopic{
				{Topic: name, Partitions: []protocol.OffsetForLeaderEpochRequestOffsetForLeaderPartition{{CurrentLeaderEpoch: -1}}}}}
		},
		protocol.KeyDescribeConfigs: func(v int16) protocol.Request {
			r := &protocol.DescribeConfigsRequest{IncludeSynonyms: v >= 1, IncludeDocumentation: v >= 3}
			for kind, resource := range map[int8]string{2: name, 4: "1", 32: "group", 16: "metrics", 99: "what"} {
				r.Resources = append(r.Resources, protocol.DescribeConfigsRequestDescribeConfigsResource{ResourceType: kind, ResourceName: resource})
			}
			return r
		},
		protocol.KeyIncrementalAlterConfigs: func(int16) protocol.Request {
			value := "100000"
			return &protocol.IncrementalAlterConfigsRequest{Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{
				{ResourceType: 2, ResourceName: name, Configs: []protocol.IncrementalAlterConfigsRequestAlterableConfig{{Name: "retention.ms", Value: &value}}}}}
		},
		protocol.KeyDescribeQuorum: func(int16) protocol.Request {
			return &protocol.DescribeQuorumRequest{Topics: []protocol.DescribeQuorumRequestTopicData{
				{TopicName: "__cluster_metadata", Partitions: []protocol.DescribeQuorumRequestPartitionData{{}}}}}
		},
		protocol.KeyDescribeCluster: func(v int16) protocol.Request {
			r := &protocol.DescribeClusterRequest{}
			r.SetDefaults()
			return r
		},
		protocol.KeyDescribeTopicPartitions: func(int16) protocol.Request {
			return &protocol.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 2000, Topics: []protocol.DescribeTopicPartitionsRequestTopicRequest{{Name: name}, {Name: "missing"}}}
		},
	}
}

// TestEveryAdvertisedVersionIsAnswered asks every API in every version that the node
// advertises, with something sensible and with nothing, and decodes the answers.
func TestEveryAdvertisedVersionIsAnswered(t *testing.T) {
	node := startNode(t)
	p := dial(t, node.Addr())
	m, err := p.ask(&protocol.CreateTopicsRequest{TimeoutMs: 1000, Topics: []protocol.CreateTopicsRequestCreatableTopic{{Name: "versions", NumPartitions: 2, ReplicationFactor: 1}}}, 7)
	if err != nil {
		t.Fatal(err)
	}
	requests := sensible(t, m.(*protocol.CreateTopicsResponse).Topics[0].TopicId)
	m, err = p.ask(&protocol.ApiVersionsRequest{ClientSoftwareName: "peer", ClientSoftwareVersion: "1"}, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range m.(*protocol.ApiVersionsResponse).ApiKeys {
		key := protocol.APIKey(api.ApiKey)
		first := api.MinVersion
		if key == protocol.KeyProduce {
			first = 3 // advertised from 0 for old clients' sake
		}
		for v := first; v <= api.MaxVersion; v++ {
			empty := key.API().NewRequest()
			if d, ok := empty.(interface{ SetDefaults() }); ok {
				d.SetDefaults()
			}
			if produce, ok := empty.(*protocol.ProduceRequest); ok {
				produce.Acks = 1 // with 0 there is no answer
			}
			asked := []protocol.Request{empty}
			if make := requests[key]; make != nil {
				asked = append(asked, make(v))
			}
			for i, r := range asked {
				if protocol.CheckVersion(r, v) != nil {
					continue
				}
				if _, err := p.ask(r, v); err != nil {
					t.Errorf("%s version %d (request %d): %v", key, v, i, err)
					p = dial(t, node.Addr())
				}
			}
		}
	}
}
