package naru_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// startStreamsNode starts a node with a topic of two partitions.
func startStreamsNode(t *testing.T, properties map[string]string) *peer {
	t.Helper()
	config := map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir(),
		"group.streams.initial.rebalance.delay.ms": "0", "group.streams.assignment.interval.ms": "0",
	}
	for name, value := range properties {
		config[name] = value
	}
	node, err := naru.Start(t.Context(), naru.Config{Properties: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close() })
	p := dial(t, node.Addr())
	p.createTopic("lines", 2)
	p.mustAsk(&protocol.FindCoordinatorRequest{CoordinatorKeys: []string{"words"}}, 4)
	return p
}

// wordCount is the first heartbeat of a word count whose changelog has the setting.
func wordCount(setting, value string) *protocol.StreamsGroupHeartbeatRequest {
	r := &protocol.StreamsGroupHeartbeatRequest{}
	r.SetDefaults()
	process := "p"
	r.GroupId, r.MemberId, r.RebalanceTimeoutMs, r.ProcessId = "words", "m", 10_000, &process
	r.Topology = &protocol.StreamsGroupHeartbeatRequestTopology{Subtopologies: []protocol.StreamsGroupHeartbeatRequestSubtopology{
		{SubtopologyId: "0", SourceTopics: []string{"lines"}, RepartitionSinkTopics: []string{"words-repartition"}},
		{SubtopologyId: "1", RepartitionSourceTopics: []protocol.StreamsGroupHeartbeatRequestTopicInfo{{Name: "words-repartition"}},
			StateChangelogTopics: []protocol.StreamsGroupHeartbeatRequestTopicInfo{{
				Name: "words-changelog", TopicConfigs: []protocol.StreamsGroupHeartbeatRequestKeyValue{{Key: setting, Value: value}},
			}}},
	}}
	return r
}

// beatUntil sends heartbeats until one is answered as wanted.
func beatUntil(t *testing.T, p *peer, r *protocol.StreamsGroupHeartbeatRequest, wanted func(*protocol.StreamsGroupHeartbeatResponse) bool) *protocol.StreamsGroupHeartbeatResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var last *protocol.StreamsGroupHeartbeatResponse
	await(ctx, t, "a heartbeat is answered as wanted", func() bool {
		last = p.mustAsk(r, 0).(*protocol.StreamsGroupHeartbeatResponse)
		return wanted(last)
	})
	return last
}

func TestAStreamsGroupHasItsInternalTopicsCreatedAndWorks(t *testing.T) {
	p := startStreamsNode(t, nil)
	got := beatUntil(t, p, wordCount("cleanup.policy", "compact"), func(r *protocol.StreamsGroupHeartbeatResponse) bool {
		return r.ErrorCode == protocol.None && len(r.ActiveTasks) > 0
	})
	if len(got.ActiveTasks) != 2 || len(got.ActiveTasks[1].Partitions) != 2 {
		t.Errorf("the only member works on %v", got.ActiveTasks)
	}
	configs := p.mustAsk(&protocol.DescribeConfigsRequest{Resources: []protocol.DescribeConfigsRequestDescribeConfigsResource{
		{ResourceType: 2, ResourceName: "words-changelog", ConfigurationKeys: []string{"cleanup.policy"}},
	}}, 4).(*protocol.DescribeConfigsResponse)
	if value := configs.Results[0].Configs[0].Value; value == nil || *value != "compact" {
		t.Errorf("the changelog has cleanup.policy %v", value)
	}
}

func TestAnInternalTopicThatCannotBeCreatedIsToldWithTheReason(t *testing.T) {
	p := startStreamsNode(t, nil)
	got := beatUntil(t, p, wordCount("retention.ms", "soon"), func(r *protocol.StreamsGroupHeartbeatResponse) bool {
		return len(r.Status) == 1 && strings.Contains(r.Status[0].StatusDetail, "Creation failed")
	})
	if detail := got.Status[0].StatusDetail; !strings.Contains(detail, "words-changelog (") || !strings.Contains(detail, "retention.ms") {
		t.Errorf("the heartbeat tells %q", detail)
	}
}

func TestStreamsGroupsAreNotServedWhenTheSettingsLeaveThemOut(t *testing.T) {
	p := startStreamsNode(t, map[string]string{"group.coordinator.rebalance.protocols": "classic,consumer"})
	if code := p.mustAsk(wordCount("a", "b"), 0).(*protocol.StreamsGroupHeartbeatResponse).ErrorCode; code != protocol.UnsupportedVersion {
		t.Errorf("a heartbeat is answered %s", code)
	}
	described := p.mustAsk(&protocol.StreamsGroupDescribeRequest{GroupIds: []string{"words"}}, 0).(*protocol.StreamsGroupDescribeResponse)
	if code := described.Groups[0].ErrorCode; code != protocol.UnsupportedVersion {
		t.Errorf("a description is answered %s", code)
	}
}
