package naru_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// On one node there is never a leader to elect, a partition that moves or a feature
// level to raise, and administrators' programs ask all the same.
func TestAdministratorsQuestionsHaveAnswersOnOneNode(t *testing.T) {
	node := startNode(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	p := dial(t, node.Addr())

	for version := int16(0); version <= 2; version++ {
		m, err := p.ask(&protocol.ElectLeadersRequest{
			TopicPartitions: []protocol.ElectLeadersRequestTopicPartitions{
				{Topic: "t", Partitions: []int32{0, 1, 7}},
			},
			TimeoutMs: 1000,
		}, version)
		if err != nil {
			t.Fatal(err)
		}
		r := m.(*protocol.ElectLeadersResponse)
		if len(r.ReplicaElectionResults) != 1 || len(r.ReplicaElectionResults[0].PartitionResult) != 3 {
			t.Fatalf("version %d: %+v", version, r)
		}
		for i, want := range []protocol.ErrorCode{protocol.ElectionNotNeeded, protocol.ElectionNotNeeded, protocol.UnknownTopicOrPartition} {
			if got := r.ReplicaElectionResults[0].PartitionResult[i]; got.ErrorCode != want {
				t.Errorf("version %d: partition %d got %v, want %v", version, got.PartitionId, got.ErrorCode, want)
			}
		}
	}

	for _, topics := range [][]protocol.ListPartitionReassignmentsRequestListPartitionReassignmentsTopics{
		nil, {{Name: "t", PartitionIndexes: []int32{0, 1, 7}}, {Name: "unknown", PartitionIndexes: []int32{0}}},
	} {
		m, err := p.ask(&protocol.ListPartitionReassignmentsRequest{Topics: topics}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if r := m.(*protocol.ListPartitionReassignmentsResponse); r.ErrorCode != protocol.None || len(r.Topics) != 0 {
			t.Errorf("topics %v: %+v", topics, r)
		}
	}

	for version := int16(0); version <= 2; version++ {
		for feature, want := range map[string]protocol.ErrorCode{
			"group.version": protocol.None, "no.such.feature": protocol.InvalidUpdateVersion,
		} {
			m, err := p.ask(&protocol.UpdateFeaturesRequest{FeatureUpdates: []protocol.UpdateFeaturesRequestFeatureUpdateKey{
				{Feature: feature, MaxVersionLevel: 1, UpgradeType: 1},
			}}, version)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.(*protocol.UpdateFeaturesResponse).ErrorCode; got != want {
				t.Errorf("version %d: %s got %v, want %v", version, feature, got, want)
			}
		}
	}
}
