package differential

import (
	"fmt"
	"strings"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type shareBeat = protocol.ShareGroupHeartbeatRequest

// shares takes share groups through what their members and administrators may do.
func shares(s *Session) {
	s.topic("shared", 3)
	s.topic("shared-too", 1)
	s.topic("life", 3)
	interval := func(op int8) {
		s.do(1, &protocol.IncrementalAlterConfigsRequest{Resources: list(protocol.IncrementalAlterConfigsRequestAlterConfigsResource{ResourceType: 4, Configs: list(
			protocol.IncrementalAlterConfigsRequestAlterableConfig{Name: "group.share.assignment.interval.ms", ConfigOperation: op, Value: ptr("0")})})})
	}
	interval(0)
	defer interval(1)
	s.badShareBeats()
	s.shareLife() // makes the topic of the share coordinator, which Kafka takes its time for
	s.unknownShares("unknown")
	s.shareOffsets()
	s.shareKinds()
}

// badShareBeats are heartbeats that are refused, or odd ones that are not.
func (s *Session) badShareBeats() {
	kinds := map[string]func(*shareBeat){
		"empty group": func(r *shareBeat) { r.GroupId = "" }, "empty member": func(r *shareBeat) { r.MemberId = "" },
		"long member": func(r *shareBeat) { r.MemberId = strings.Repeat("x", 37) }, "longest member": func(r *shareBeat) { r.MemberId = strings.Repeat("x", 36) },
		"empty rack": func(r *shareBeat) { r.RackId = ptr("") }, "blank rack": func(r *shareBeat) { r.RackId = ptr(" ") }, "rack": func(r *shareBeat) { r.RackId = ptr("r") },
		"null topics": func(r *shareBeat) { r.SubscribedTopicNames = nil }, "no topics": func(r *shareBeat) { r.SubscribedTopicNames = []string{} },
		"unknown topic": func(r *shareBeat) {}, "invalid topic": func(r *shareBeat) { r.SubscribedTopicNames = list("a b") }, "topic twice": func(r *shareBeat) { r.SubscribedTopicNames = list("nothing", "nothing") },
		"epoch -2": func(r *shareBeat) { r.MemberEpoch = -2 }, "epoch 1": func(r *shareBeat) { r.MemberEpoch = 1 }, "leave": func(r *shareBeat) { r.MemberEpoch = -1 },
	}
	for _, kind := range sortedKeys(kinds) {
		group := "bad-share-" + strings.ReplaceAll(kind, " ", "-")
		r := &shareBeat{GroupId: group, MemberId: "m", SubscribedTopicNames: list("nothing")}
		kinds[kind](r)
		if m, ok := s.ask("beat: "+kind, 1, r).(*protocol.ShareGroupHeartbeatResponse); !ok || m.ErrorCode != protocol.None {
			continue
		}
		s.describeShares("beat: "+kind+", described", group)
		s.ask("beat: "+kind+", leaves", 1, &shareBeat{GroupId: group, MemberId: r.MemberId, MemberEpoch: -1})
		s.ask("beat: "+kind+", deleted", 2, &protocol.DeleteGroupsRequest{GroupsNames: list(group)})
	}
}

func (s *Session) describeShares(name string, groups ...string) {
	s.ask(name, 1, &protocol.ShareGroupDescribeRequest{GroupIds: groups, IncludeAuthorizedOperations: true})
}

func (s *Session) shareOffsetsOf(name string, groups ...protocol.DescribeShareGroupOffsetsRequestGroup) {
	s.each(protocol.KeyDescribeShareGroupOffsets, name, func(int16) protocol.Request {
		return &protocol.DescribeShareGroupOffsetsRequest{Groups: groups}
	})
}

// allOf asks for everything a group has, partsOf for some partitions of a topic.
func allOf(group string) protocol.DescribeShareGroupOffsetsRequestGroup {
	return protocol.DescribeShareGroupOffsetsRequestGroup{GroupId: group}
}

func partsOf(group, topic string, partitions ...int32) protocol.DescribeShareGroupOffsetsRequestGroup {
	return protocol.DescribeShareGroupOffsetsRequestGroup{GroupId: group, Topics: list(protocol.DescribeShareGroupOffsetsRequestTopic{TopicName: topic, Partitions: partitions})}
}

// alterShares is a request for the same offset of some partitions of a topic.
func alterShares(group, topic string, offset int64, partitions ...int32) *protocol.AlterShareGroupOffsetsRequest {
	t := protocol.AlterShareGroupOffsetsRequestTopic{TopicName: topic}
	for _, p := range partitions {
		t.Partitions = append(t.Partitions, protocol.AlterShareGroupOffsetsRequestPartition{PartitionIndex: p, StartOffset: offset})
	}
	return &protocol.AlterShareGroupOffsetsRequest{GroupId: group, Topics: list(t)}
}

func deleteShares(group string, topics ...string) *protocol.DeleteShareGroupOffsetsRequest {
	r := &protocol.DeleteShareGroupOffsetsRequest{GroupId: group}
	for _, t := range topics {
		r.Topics = append(r.Topics, protocol.DeleteShareGroupOffsetsRequestTopic{TopicName: t})
	}
	return r
}

// unknownShares asks about a group that is not there, and about none.
func (s *Session) unknownShares(group string) {
	s.describeShares("describe unknown", group)
	s.describeShares("describe empty", "")
	s.describeShares("describe none")
	s.describeShares("describe several", group, "", group+"-too")
	s.shareOffsetsOf("offsets of an unknown group", allOf(group))
	s.shareOffsetsOf("offsets of an unknown group and topic", partsOf(group, "nothing", 0))
	s.shareOffsetsOf("offsets of an unknown group and partitions", partsOf(group, "shared", 0))
	s.shareOffsetsOf("offsets of no topics", protocol.DescribeShareGroupOffsetsRequestGroup{GroupId: group, Topics: []protocol.DescribeShareGroupOffsetsRequestTopic{}})
	s.shareOffsetsOf("offsets of no group")
	s.ask("alter without group", 0, alterShares("", "shared", 0, 0))
	s.ask("alter an unknown topic", 0, alterShares(group, "nothing", 0, 0))
	s.ask("alter nothing", 0, &protocol.AlterShareGroupOffsetsRequest{GroupId: group})
	s.describeShares("describe after altering nothing", group)
	s.ask("delete offsets without group", 0, deleteShares("", "shared"))
	s.ask("delete offsets of an unknown group", 0, deleteShares(group, "shared"))
	s.ask("delete an unknown group", 2, &protocol.DeleteGroupsRequest{GroupsNames: list(group)})
}

// enterShare lets a member join a share group and waits until it has partitions.
func (s *Session) enterShare(name, group, member string, topics ...string) int32 {
	m, ok := s.ask(name, 1, &shareBeat{GroupId: group, MemberId: member, SubscribedTopicNames: topics}).(*protocol.ShareGroupHeartbeatResponse)
	if !ok || m.ErrorCode != protocol.None {
		panic(stop{fmt.Errorf("%s does not get in", member)})
	}
	epoch, assigned := m.MemberEpoch, m.Assignment != nil && len(m.Assignment.TopicPartitions) == len(topics)
	if !within(time.Minute, func() bool {
		if assigned {
			return true
		}
		m := s.do(1, &shareBeat{GroupId: group, MemberId: member, MemberEpoch: epoch}).(*protocol.ShareGroupHeartbeatResponse)
		epoch, assigned = m.MemberEpoch, m.Assignment != nil && len(m.Assignment.TopicPartitions) == len(topics)
		return assigned
	}) {
		panic(stop{fmt.Errorf("%s gets no partitions", member)})
	}
	return epoch
}

// shareLife is a group with one member.
func (s *Session) shareLife() {
	group := "share-life"
	epoch := s.enterShare("life: joins", group, "m", "shared", "shared-too")
	beat := func(name string, change func(*shareBeat)) {
		r := &shareBeat{GroupId: group, MemberId: "m", MemberEpoch: epoch}
		change(r)
		s.ask("life: "+name, 1, r)
	}
	beat("heartbeat", func(*shareBeat) {})
	beat("full heartbeat", func(r *shareBeat) { r.SubscribedTopicNames = list("shared-too", "shared") })
	beat("of the epoch before", func(r *shareBeat) { r.MemberEpoch-- })
	beat("of the next epoch", func(r *shareBeat) { r.MemberEpoch++ })
	beat("of a very old epoch", func(r *shareBeat) { r.MemberEpoch -= 2; r.MemberEpoch = max(r.MemberEpoch, 1) })
	beat("of another member", func(r *shareBeat) { r.MemberId = "nobody" })
	beat("another leaves", func(r *shareBeat) { r.MemberId, r.MemberEpoch = "nobody", -1 })
	beat("with a rack", func(r *shareBeat) { r.RackId = ptr("r") })
	beat("joins again", func(r *shareBeat) { r.MemberEpoch, r.SubscribedTopicNames = 0, list("shared", "shared-too") })
	s.describeShares("life: described", group)
	s.ask("life: listed", 5, &protocol.ListGroupsRequest{TypesFilter: list("share")})
	s.ask("life: listed as stable", 5, &protocol.ListGroupsRequest{TypesFilter: list("SHARE"), StatesFilter: list("stable")})
	s.shareOffsetsOf("life: offsets", allOf(group))
	s.shareOffsetsOf("life: some offsets", partsOf(group, "shared", 1))
	s.ask("life: altered", 0, alterShares(group, "shared", 0, 0))
	s.ask("life: offsets deleted", 0, deleteShares(group, "shared"))
	s.ask("life: deleted", 2, &protocol.DeleteGroupsRequest{GroupsNames: list(group)})
	beat("without its topics", func(r *shareBeat) { r.SubscribedTopicNames = []string{} })
	beat("leaves", func(r *shareBeat) { r.MemberEpoch = -1 })
	beat("leaves again", func(r *shareBeat) { r.MemberEpoch = -1 })
	beat("heartbeat after it left", func(*shareBeat) {})
	s.describeShares("life: described when empty", group)
	s.ask("life: listed as empty", 5, &protocol.ListGroupsRequest{TypesFilter: list("share"), StatesFilter: list("Empty")})
	s.ask("life: deleted at last", 2, &protocol.DeleteGroupsRequest{GroupsNames: list(group, "nobody")})
	s.describeShares("life: described when dead", group)
}

// shareOffsets sets and deletes the offsets of a group that has no members.
func (s *Session) shareOffsets() {
	group := "share-offsets"
	for i := range int32(3) {
		r := def(func(r *protocol.ProduceRequest) {
			r.Acks, r.TimeoutMs = -1, 5000
			r.TopicData = list(protocol.ProduceRequestTopicProduceData{Name: "shared", PartitionData: list(protocol.ProduceRequestPartitionProduceData{Index: i, Records: plain(10)})})
		})
		s.do(9, &r)
	}
	s.ask("offsets: altered, group made", 0, alterShares(group, "shared", 4, 0, 1))
	s.describeShares("offsets: described", group)
	s.shareOffsetsOf("offsets: all", allOf(group))
	s.ask("offsets: altered again", 0, alterShares(group, "shared", 2, 0))
	s.ask("offsets: altered, some not there", 0, alterShares(group, "shared", 2, 0, 3))
	s.ask("offsets: altered to the end", 0, alterShares(group, "shared", 10, 1))
	s.ask("offsets: altered, behind the end", 0, alterShares(group, "shared", 100, 2))
	s.shareOffsetsOf("offsets: all, altered", allOf(group))
	s.shareOffsetsOf("offsets: some", partsOf(group, "shared", 0), partsOf(group, "shared-too", 0), partsOf(group, "nothing", 0))
	s.ask("offsets: topic not there deleted", 0, deleteShares(group, "nothing"))
	s.ask("offsets: topic without offsets deleted", 0, deleteShares(group, "shared-too"))
	s.ask("offsets: nothing deleted", 0, deleteShares(group))
	s.ask("offsets: deleted", 0, deleteShares(group, "shared", "shared-too"))
	s.ask("offsets: deleted again", 0, deleteShares(group, "shared"))
	s.shareOffsetsOf("offsets: none", allOf(group))
	s.ask("offsets: group deleted", 2, &protocol.DeleteGroupsRequest{GroupsNames: list(group)})
}

// shareKinds asks a share group what groups of other kinds understand, and the reverse.
func (s *Session) shareKinds() {
	group := "share-kinds"
	s.ask("kinds: joins", 1, &shareBeat{GroupId: group, MemberId: "m", SubscribedTopicNames: list("nothing")})
	for _, state := range []string{"with a member", "empty"} {
		name := func(what string) string { return "kinds: " + what + ", " + state }
		s.ask(name("classic join"), 9, join(9, group, ""))
		s.ask(name("classic heartbeat"), 4, &protocol.HeartbeatRequest{GroupId: group, MemberId: "m", GenerationId: 1})
		s.ask(name("classic leave"), 5, leave(5, group, "m"))
		s.ask(name("classic sync"), 5, &protocol.SyncGroupRequest{GroupId: group, MemberId: "m", GenerationId: 1, ProtocolType: ptr("consumer"), ProtocolName: ptr("range")})
		s.ask(name("classic describe"), 6, &protocol.DescribeGroupsRequest{Groups: list(group)})
		s.ask(name("old classic describe"), 5, &protocol.DescribeGroupsRequest{Groups: list(group)})
		for epoch := int32(-1); epoch <= 1; epoch++ {
			r := def(func(r *protocol.ConsumerGroupHeartbeatRequest) {
				r.GroupId, r.MemberId, r.MemberEpoch = group, "m", epoch
				if epoch == 0 {
					r.RebalanceTimeoutMs, r.SubscribedTopicNames, r.TopicPartitions = 5000, list("nothing"), []protocol.ConsumerGroupHeartbeatRequestTopicPartitions{}
				}
			})
			s.ask(name(fmt.Sprint("consumer heartbeat of epoch ", epoch)), 1, &r)
		}
		s.ask(name("consumer describe"), 1, &protocol.ConsumerGroupDescribeRequest{GroupIds: list(group)})
		for _, v := range []int16{7, 8, 9} {
			s.ask(name("commit"), v, s.commitOf(v, group, "", -1, 1))
			s.ask(name("commit of a member"), v, s.commitOf(v, group, "m", 1, 1))
		}
		s.ask(name("fetch offsets"), 9, s.fetchOffsets(9, group, "shared", 0))
		s.ask(name("fetch all offsets"), 9, s.fetchOffsets(9, group, ""))
		s.ask(name("delete offsets"), 0, &protocol.OffsetDeleteRequest{GroupId: group, Topics: list(protocol.OffsetDeleteRequestTopic{Name: "shared", Partitions: list(protocol.OffsetDeleteRequestPartition{})})})
		if state != "empty" {
			s.ask("kinds: leaves", 1, &shareBeat{GroupId: group, MemberId: "m", MemberEpoch: -1})
		}
	}
	s.ask("kinds: deleted", 2, &protocol.DeleteGroupsRequest{GroupsNames: list(group)})
	s.do(7, s.commitOf(7, "share-simple", "", -1, 1))
	for epoch := int32(-1); epoch <= 1; epoch++ {
		s.ask(fmt.Sprint("kinds: share heartbeat of epoch ", epoch, " to a simple group"), 1, &shareBeat{GroupId: "share-simple", MemberId: "m", MemberEpoch: epoch, SubscribedTopicNames: list("shared")})
	}
	s.describeShares("kinds: simple group described", "share-simple")
	s.shareOffsetsOf("kinds: offsets of a simple group", allOf("share-simple"))
	s.ask("kinds: offsets of a simple group altered", 0, alterShares("share-simple", "shared", 1, 0))
	s.ask("kinds: offsets of a simple group deleted", 0, deleteShares("share-simple", "shared"))
	s.do(2, &protocol.DeleteGroupsRequest{GroupsNames: list("share-simple")})
}
