package naru_test

import (
	"fmt"
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

	for version := int16(0); version <= 1; version++ {
		ask := func(partition int32, replicas []int32) protocol.AlterPartitionReassignmentsRequestReassignablePartition {
			return protocol.AlterPartitionReassignmentsRequestReassignablePartition{PartitionIndex: partition, Replicas: replicas}
		}
		m, err := p.ask(&protocol.AlterPartitionReassignmentsRequest{
			TimeoutMs: 1000, AllowReplicationFactorChange: true,
			Topics: []protocol.AlterPartitionReassignmentsRequestReassignableTopic{{
				Name: "t", Partitions: []protocol.AlterPartitionReassignmentsRequestReassignablePartition{
					ask(0, []int32{1}), ask(1, []int32{1, 2}), ask(1, nil), ask(7, []int32{1}),
				},
			}},
		}, version)
		if err != nil {
			t.Fatal(err)
		}
		r := m.(*protocol.AlterPartitionReassignmentsResponse)
		if len(r.Responses) != 1 || len(r.Responses[0].Partitions) != 4 || !r.AllowReplicationFactorChange {
			t.Fatalf("version %d: %+v", version, r)
		}
		for i, want := range []protocol.ErrorCode{
			protocol.None, protocol.InvalidReplicaAssignment, protocol.NoReassignmentInProgress, protocol.UnknownTopicOrPartition,
		} {
			if got := r.Responses[0].Partitions[i]; got.ErrorCode != want {
				t.Errorf("version %d: partition %d got %v, want %v", version, got.PartitionIndex, got.ErrorCode, want)
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

	for version := int16(1); version <= 2; version++ {
		m, err := p.ask(&protocol.DescribeLogDirsRequest{}, version)
		if err != nil {
			t.Fatal(err)
		}
		home := m.(*protocol.DescribeLogDirsResponse).Results[0].LogDir
		ask := func(path, topic string, partition int32) protocol.AlterReplicaLogDirsRequestAlterReplicaLogDir {
			return protocol.AlterReplicaLogDirsRequestAlterReplicaLogDir{
				Path:   path,
				Topics: []protocol.AlterReplicaLogDirsRequestAlterReplicaLogDirTopic{{Name: topic, Partitions: []int32{partition}}},
			}
		}
		m, err = p.ask(&protocol.AlterReplicaLogDirsRequest{Dirs: []protocol.AlterReplicaLogDirsRequestAlterReplicaLogDir{
			ask(home, "t", 1), ask("/nowhere", "t", 1), ask(home, "t", 7), ask(home, "unknown", 0),
		}}, version)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, topic := range m.(*protocol.AlterReplicaLogDirsResponse).Results {
			for _, partition := range topic.Partitions {
				got += fmt.Sprintf("%s-%d %v\n", topic.TopicName, partition.PartitionIndex, partition.ErrorCode)
			}
		}
		if want := "t-1 NONE\nt-1 LOG_DIR_NOT_FOUND\nt-7 UNKNOWN_TOPIC_OR_PARTITION\nunknown-0 UNKNOWN_TOPIC_OR_PARTITION\n"; got != want {
			t.Errorf("version %d: moves got\n%s, want\n%s", version, got, want)
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
