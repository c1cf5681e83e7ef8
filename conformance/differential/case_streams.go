package differential

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type (
	streamsBeat        = protocol.StreamsGroupHeartbeatRequest
	streamsTopology    = protocol.StreamsGroupHeartbeatRequestTopology
	streamsSubtopology = protocol.StreamsGroupHeartbeatRequestSubtopology
	streamsTopic       = protocol.StreamsGroupHeartbeatRequestTopicInfo
	streamsTasks       = protocol.StreamsGroupHeartbeatRequestTaskIds
	streamsPair        = protocol.StreamsGroupHeartbeatRequestKeyValue
	streamsJoin        = protocol.StreamsGroupHeartbeatRequestCopartitionGroup
)

// streamsEnter makes a good first heartbeat of a word count.
func streamsEnter(group, member string, change ...func(*streamsBeat)) *streamsBeat {
	r := def(func(r *streamsBeat) {
		r.GroupId, r.MemberId, r.RebalanceTimeoutMs, r.ProcessId = group, member, 20000, ptr("process-"+member)
		r.ActiveTasks, r.StandbyTasks, r.WarmupTasks = []streamsTasks{}, []streamsTasks{}, []streamsTasks{}
		r.Topology = &streamsTopology{Subtopologies: list(
			streamsSubtopology{SubtopologyId: "0", SourceTopics: list("streams-in"), RepartitionSinkTopics: list(group + "-r")},
			streamsSubtopology{SubtopologyId: "1", RepartitionSourceTopics: list(streamsTopic{Name: group + "-r"}),
				StateChangelogTopics: list(streamsTopic{Name: group + "-c", TopicConfigs: list(streamsPair{Key: "cleanup.policy", Value: "compact"})})},
		)}
		for _, c := range change {
			c(r)
		}
	})
	return &r
}

// streamsStay makes a later heartbeat; has are tasks as 0_1, nil to say nothing of them.
func streamsStay(group, member string, epoch int32, has []string) *streamsBeat {
	r := def(func(r *streamsBeat) {
		r.GroupId, r.MemberId, r.MemberEpoch = group, member, epoch
		if has == nil {
			return
		}
		r.ActiveTasks, r.StandbyTasks, r.WarmupTasks = []streamsTasks{}, []streamsTasks{}, []streamsTasks{}
		for _, x := range has {
			id, partition, _ := strings.Cut(x, "_")
			if n := len(r.ActiveTasks); n == 0 || r.ActiveTasks[n-1].SubtopologyId != id {
				r.ActiveTasks = append(r.ActiveTasks, streamsTasks{SubtopologyId: id})
			}
			n, _ := strconv.Atoi(partition)
			t := &r.ActiveTasks[len(r.ActiveTasks)-1]
			t.Partitions = append(t.Partitions, int32(n))
		}
	})
	return &r
}

// streamsPrepare creates the source topic and waits for the coordinator of the groups.
func (s *Session) streamsPrepare(groups ...string) {
	s.topic("streams-in", 2)
	for _, group := range groups {
		r := &protocol.IncrementalAlterConfigsRequest{Resources: list(protocol.IncrementalAlterConfigsRequestAlterConfigsResource{
			ResourceType: 32, ResourceName: group, Configs: list(
				protocol.IncrementalAlterConfigsRequestAlterableConfig{Name: "streams.initial.rebalance.delay.ms", Value: ptr("0")},
				protocol.IncrementalAlterConfigsRequestAlterableConfig{Name: "streams.assignment.interval.ms", Value: ptr("0")}),
		})}
		if code := s.do(1, r).(*protocol.IncrementalAlterConfigsResponse).Responses[0].ErrorCode; code != protocol.None {
			panic(stop{fmt.Errorf("setting up group %s: %w", group, code)})
		}
		settle(func() bool {
			s.do(4, &protocol.FindCoordinatorRequest{CoordinatorKeys: list(group)})
			code := s.do(0, streamsStay(group, "x", 1, nil)).(*protocol.StreamsGroupHeartbeatResponse).ErrorCode
			return code == protocol.GroupIdNotFound || code == protocol.None
		})
	}
}

// streamsForms has many kinds of single members join groups of their own.
func streamsForms(s *Session) {
	s.streamsPrepare("streams-forms", "streams-life") // Kafka's coordinator learns of settings later
	kinds := map[string]func(*streamsBeat){
		"good": func(*streamsBeat) {}, "no group": func(r *streamsBeat) { r.GroupId = "" }, "no member": func(r *streamsBeat) { r.MemberId = "" },
		"static": func(r *streamsBeat) { r.InstanceId = ptr("i") }, "empty rack": func(r *streamsBeat) { r.RackId = ptr("") },
		"epoch -2": func(r *streamsBeat) { r.MemberEpoch = -2 }, "epoch -3": func(r *streamsBeat) { r.MemberEpoch = -3 }, "epoch 1": func(r *streamsBeat) { r.MemberEpoch = 1 },
		"epoch 1 without topology": func(r *streamsBeat) { r.MemberEpoch, r.Topology = 1, nil }, "leaves": func(r *streamsBeat) { r.MemberEpoch, r.Topology = -1, nil },
		"no topology": func(r *streamsBeat) { r.Topology = nil }, "no rebalance timeout": func(r *streamsBeat) { r.RebalanceTimeoutMs = -1 },
		"has tasks": func(r *streamsBeat) { r.ActiveTasks = list(streamsTasks{SubtopologyId: "0", Partitions: []int32{0}}) }, "only active tasks": func(r *streamsBeat) { r.StandbyTasks = nil },
		"warm-up tasks":             func(r *streamsBeat) { r.WarmupTasks = list(streamsTasks{SubtopologyId: "0"}) },
		"task offsets":              func(r *streamsBeat) { r.TaskOffsets = []protocol.StreamsGroupHeartbeatRequestTaskOffset{} },
		"source regex":              func(r *streamsBeat) { r.Topology.Subtopologies[0].SourceTopicRegex = list("x") },
		"changelog with partitions": func(r *streamsBeat) { r.Topology.Subtopologies[1].StateChangelogTopics[0].Partitions = 3 },
		"internal topic":            func(r *streamsBeat) { r.Topology.Subtopologies[0].SourceTopics = list("__consumer_offsets") },
		"bad name":                  func(r *streamsBeat) { r.Topology.Subtopologies[0].SourceTopics = list("a b") },
		"missing source":            func(r *streamsBeat) { r.Topology.Subtopologies[0].SourceTopics = list("streams-gone", "streams-none") },
		"no sources":                func(r *streamsBeat) { r.Topology.Subtopologies[0].SourceTopics = nil },
		"never a sink":              func(r *streamsBeat) { r.Topology.Subtopologies[0].RepartitionSinkTopics = nil },
		"fixed partitions":          func(r *streamsBeat) { r.Topology.Subtopologies[1].RepartitionSourceTopics[0].Partitions = 5 },
		"copartition": func(r *streamsBeat) {
			r.Topology.Subtopologies[1].SourceTopics = list("streams-in")
			r.Topology.Subtopologies[1].RepartitionSourceTopics[0].Partitions = 5
			r.Topology.Subtopologies[1].CopartitionGroups = list(streamsJoin{SourceTopics: []int16{0}, RepartitionSourceTopics: []int16{0}})
		},
		"shutdown": func(r *streamsBeat) { r.ShutdownApplication = true },
		"endpoint": func(r *streamsBeat) {
			r.UserEndpoint = &protocol.StreamsGroupHeartbeatRequestEndpoint{Host: "h", Port: 9}
		},
	}
	for i, kind := range sortedKeys(kinds) {
		s.ask(kind, 0, streamsEnter(fmt.Sprint("streams-forms-", i), "m", kinds[kind]))
	}
}

// streamsLife is a group from its first member to its end.
func streamsLife(s *Session) {
	const g = "streams-life"
	s.streamsPrepare(g)
	describe := func(name string) {
		s.ask("described "+name, 0, &protocol.StreamsGroupDescribeRequest{GroupIds: list(g), IncludeAuthorizedOperations: true})
	}
	beat := func(name string, r *streamsBeat) (epoch int32) {
		if m, ok := s.ask(name, 0, r).(*protocol.StreamsGroupHeartbeatResponse); ok {
			return m.MemberEpoch
		}
		return -1
	}
	a := beat("a joins", streamsEnter(g, "a"))
	var ready *protocol.StreamsGroupHeartbeatResponse // the coordinator sees the topics a moment after they are there
	settle(func() bool {
		ready = s.do(0, streamsStay(g, "a", a, []string{})).(*protocol.StreamsGroupHeartbeatResponse)
		return len(ready.ActiveTasks) > 0
	})
	s.note("a again/0", ready, nil)
	a = ready.MemberEpoch
	all := list("0_0", "0_1", "1_0", "1_1")
	a = beat("a has its tasks", streamsStay(g, "a", a, all))
	describe("with one")
	s.ask("listed", 5, &protocol.ListGroupsRequest{TypesFilter: list("streams"), StatesFilter: list("Stable")})
	s.ask("described as classic", 6, &protocol.DescribeGroupsRequest{Groups: list(g)})
	s.ask("described as consumers", 1, &protocol.ConsumerGroupDescribeRequest{GroupIds: list(g)})
	s.ask("deleted while it lives", 2, &protocol.DeleteGroupsRequest{GroupsNames: list(g)})
	s.ask("a classic member", 5, join(5, g, ""))
	s.ask("a consumer", 1, ptr(def(func(r *protocol.ConsumerGroupHeartbeatRequest) {
		r.GroupId, r.MemberId, r.RebalanceTimeoutMs, r.SubscribedTopicNames = g, "c", 1000, list("streams-in")
		r.TopicPartitions = []protocol.ConsumerGroupHeartbeatRequestTopicPartitions{}
	})))
	b := beat("b joins", streamsEnter(g, "b"))
	a = beat("a must give up", streamsStay(g, "a", a, nil))
	describe("with two")
	beat("a has not given up", streamsStay(g, "a", a, all))
	a = beat("a has given up", streamsStay(g, "a", a, list("0_0", "1_0")))
	b = beat("b gets the rest", streamsStay(g, "b", b, []string{}))
	beat("an epoch to come", streamsStay(g, "a", a+5, nil))
	beat("an epoch of before", streamsStay(g, "a", a-1, nil))
	beat("another topology", streamsEnter(g, "z", func(r *streamsBeat) { r.Topology.Subtopologies[0].SourceTopics = list("streams-life-r") }))
	beat("a task that is not there", streamsStay(g, "a", a, list("0_9")))
	beat("a subtopology that is not there", streamsStay(g, "a", a, list("9_0")))
	describe("settled")
	in := commitTopic{Name: "streams-in", Partitions: list(commitPartition{CommittedOffset: 1, CommittedLeaderEpoch: -1})}
	for _, epoch := range []int32{a, a - 1, a + 1, -1} {
		s.ask(fmt.Sprint("commit at ", epoch-a), 9, s.commitParts(9, g, "a", epoch, in))
		s.ask(fmt.Sprint("fetch at ", epoch-a), 9, &protocol.OffsetFetchRequest{Groups: list(protocol.OffsetFetchRequestGroup{GroupId: g, MemberId: ptr("a"), MemberEpoch: epoch})})
	}
	s.ask("commit in an old version", 8, s.commitParts(8, g, "a", a, in))
	beat("b asks for the end", streamsStay(g, "b", b, nil))
	beat("a leaves", streamsStay(g, "a", -1, nil))
	beat("b leaves", streamsStay(g, "b", -1, nil))
	beat("b leaves again", streamsStay(g, "b", -1, nil))
	describe("empty")
	s.ask("deleted", 2, &protocol.DeleteGroupsRequest{GroupsNames: list(g)})
	describe("gone")
}
