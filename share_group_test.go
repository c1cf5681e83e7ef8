package naru_test

import (
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// ready waits until the node coordinates groups.
func (p *peer) ready() {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		m, err := p.ask(&protocol.FindCoordinatorRequest{CoordinatorKeys: []string{"g"}}, 4)
		if err != nil {
			p.t.Fatal(err)
		}
		if m.(*protocol.FindCoordinatorResponse).Coordinators[0].ErrorCode == protocol.None {
			m, err = p.ask(&protocol.ListGroupsRequest{}, 5)
			if err != nil {
				p.t.Fatal(err)
			}
			if m.(*protocol.ListGroupsResponse).ErrorCode == protocol.None {
				return
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("no coordinator: %+v", m)
		}
	}
}

func TestOffsetsOfAShareGroupAreTheFirstThingThatANewNodeIsToldOf(t *testing.T) {
	p := dial(t, startNode(t).Addr())
	p.ready()
	if _, err := p.ask(&protocol.CreateTopicsRequest{TimeoutMs: 1000, Topics: []protocol.CreateTopicsRequestCreatableTopic{{Name: "t", NumPartitions: 3, ReplicationFactor: 1}}}, 7); err != nil {
		t.Fatal(err)
	}
	m, err := p.ask(&protocol.AlterShareGroupOffsetsRequest{GroupId: "g", Topics: []protocol.AlterShareGroupOffsetsRequestTopic{{
		TopicName: "t", Partitions: []protocol.AlterShareGroupOffsetsRequestPartition{{PartitionIndex: 0}, {PartitionIndex: 1}, {PartitionIndex: 2}},
	}}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range m.(*protocol.AlterShareGroupOffsetsResponse).Responses[0].Partitions {
		if out.ErrorCode != protocol.None {
			t.Errorf("partition %d is answered %s", out.PartitionIndex, out.ErrorCode)
		}
	}
}

func TestShareGroupsAreServedAsLongAsTheFeatureSaysSo(t *testing.T) {
	p := dial(t, startNode(t).Addr())
	p.ready()
	beat := func() *protocol.ShareGroupHeartbeatResponse {
		m, err := p.ask(&protocol.ShareGroupHeartbeatRequest{GroupId: "g", MemberId: "m", SubscribedTopicNames: []string{"none"}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return m.(*protocol.ShareGroupHeartbeatResponse)
	}
	if r := beat(); r.ErrorCode != protocol.None || r.MemberEpoch != 2 || r.Assignment == nil {
		t.Fatalf("the heartbeat is answered %+v", r)
	}
	m, err := p.ask(&protocol.ShareGroupDescribeRequest{GroupIds: []string{"g"}, IncludeAuthorizedOperations: true}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if g := m.(*protocol.ShareGroupDescribeResponse).Groups[0]; g.GroupState != "Stable" || len(g.Members) != 1 || g.Members[0].ClientId != "peer" || g.AuthorizedOperations <= 0 {
		t.Errorf("the group is described as %+v", g)
	}
	m, err = p.ask(&protocol.ListGroupsRequest{TypesFilter: []string{"share"}}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if groups := m.(*protocol.ListGroupsResponse).Groups; len(groups) != 1 || groups[0].GroupType != "share" {
		t.Errorf("listed are %+v", groups)
	}
	m, err = p.ask(&protocol.UpdateFeaturesRequest{TimeoutMs: 5000, FeatureUpdates: []protocol.UpdateFeaturesRequestFeatureUpdateKey{
		{Feature: "share.version", MaxVersionLevel: 0, UpgradeType: 2},
	}}, 2)
	if err != nil || m.(*protocol.UpdateFeaturesResponse).ErrorCode != protocol.None {
		t.Fatalf("the feature is not switched off: %+v, %v", m, err)
	}
	if r := beat(); r.ErrorCode != protocol.UnsupportedVersion {
		t.Errorf("without the feature, the heartbeat is answered %s", r.ErrorCode)
	}
	for _, refused := range []struct {
		request protocol.Request
		version int16
		code    func(protocol.Message) protocol.ErrorCode
	}{
		{&protocol.ShareGroupDescribeRequest{GroupIds: []string{"g"}}, 1, func(m protocol.Message) protocol.ErrorCode {
			return m.(*protocol.ShareGroupDescribeResponse).Groups[0].ErrorCode
		}},
		{&protocol.DescribeShareGroupOffsetsRequest{Groups: []protocol.DescribeShareGroupOffsetsRequestGroup{{GroupId: "g"}}}, 1, func(m protocol.Message) protocol.ErrorCode {
			return m.(*protocol.DescribeShareGroupOffsetsResponse).Groups[0].ErrorCode
		}},
		{&protocol.AlterShareGroupOffsetsRequest{GroupId: "g"}, 0, func(m protocol.Message) protocol.ErrorCode {
			return m.(*protocol.AlterShareGroupOffsetsResponse).ErrorCode
		}},
		{&protocol.DeleteShareGroupOffsetsRequest{GroupId: "g"}, 0, func(m protocol.Message) protocol.ErrorCode {
			return m.(*protocol.DeleteShareGroupOffsetsResponse).ErrorCode
		}},
	} {
		m, err := p.ask(refused.request, refused.version)
		if err != nil {
			t.Fatal(err)
		}
		if code := refused.code(m); code != protocol.UnsupportedVersion {
			t.Errorf("without the feature, %T is answered %s", refused.request, code)
		}
	}
}
