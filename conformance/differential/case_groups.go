package differential

import (
	"fmt"
	"strings"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type (
	joinProtocol = protocol.JoinGroupRequestProtocol
	assigned     = protocol.SyncGroupRequestAssignment
	leaving      = protocol.LeaveGroupRequestMemberIdentity
)

// join makes a good request of a consumer.
func join(v int16, group, member string, change ...func(*protocol.JoinGroupRequest)) *protocol.JoinGroupRequest {
	r := def(func(r *protocol.JoinGroupRequest) {
		r.GroupId, r.MemberId, r.ProtocolType, r.SessionTimeoutMs = group, member, "consumer", 10000
		if v >= 1 {
			r.RebalanceTimeoutMs = 20000
		}
		r.Protocols = list(joinProtocol{Name: "range", Metadata: []byte{0, 1}}, joinProtocol{Name: "roundrobin", Metadata: []byte{0, 2}})
		for _, c := range change {
			c(r)
		}
	})
	return &r
}

// joins has many kinds of single members join groups of their own.
func joins(s *Session) {
	type r = protocol.JoinGroupRequest
	kinds := map[string]func(*r){
		"good": func(*r) {}, "empty group": func(j *r) { j.GroupId = "" }, "group with a space": func(j *r) { j.GroupId += " x" },
		"unknown member": func(j *r) { j.MemberId = "nobody" }, "no protocol": func(j *r) { j.Protocols = nil }, "empty protocol type": func(j *r) { j.ProtocolType = "" },
		"neither protocol nor type": func(j *r) { j.Protocols, j.ProtocolType = nil, "" }, "another type": func(j *r) { j.ProtocolType = "connect" },
		"session timeout 0": func(j *r) { j.SessionTimeoutMs = 0 }, "session timeout too short": func(j *r) { j.SessionTimeoutMs = 5999 }, "session timeout shortest": func(j *r) { j.SessionTimeoutMs = 6000 },
		"session timeout longest": func(j *r) { j.SessionTimeoutMs = 1800000 }, "session timeout too long": func(j *r) { j.SessionTimeoutMs = 1800001 }, "session timeout negative": func(j *r) { j.SessionTimeoutMs = -1 },
		"rebalance timeout 0": func(j *r) { j.RebalanceTimeoutMs = 0 }, "rebalance timeout -1": func(j *r) { j.RebalanceTimeoutMs = -1 },
		"static": func(j *r) { j.GroupInstanceId = ptr("static") }, "static with unknown member": func(j *r) { j.GroupInstanceId, j.MemberId = ptr("static"), "nobody" },
		"static, empty id": func(j *r) { j.GroupInstanceId = ptr("") }, "static, invalid id": func(j *r) { j.GroupInstanceId = ptr("a b") }, "static, dots": func(j *r) { j.GroupInstanceId = ptr("..") },
		"static, long id": func(j *r) { j.GroupInstanceId = ptr(strings.Repeat("x", 250)) }, "protocol twice": func(j *r) { j.Protocols = append(j.Protocols, j.Protocols[0]) },
		"empty protocol name": func(j *r) { j.Protocols[0].Name = "" }, "empty metadata": func(j *r) { j.Protocols[0].Metadata = nil }, "reason": func(j *r) { j.Reason = ptr("because") },
		"long reason": func(j *r) { j.Reason = ptr(strings.Repeat("x", 1000)) },
	}
	for _, v := range s.versions(protocol.KeyJoinGroup) {
		for _, kind := range sortedKeys(kinds) {
			group := fmt.Sprintf("joins-%s-%d", strings.ReplaceAll(kind, " ", "_"), v)
			request := join(v, group, "", kinds[kind])
			s.labels.members = map[string]string{}
			m, ok := s.ask(kind, v, request).(*protocol.JoinGroupResponse)
			if !ok {
				continue
			}
			if m.ErrorCode == protocol.MemberIdRequired {
				request.MemberId = m.MemberId
				m, ok = s.ask(kind+", with the id given", v, request).(*protocol.JoinGroupResponse)
			}
			if ok && m.ErrorCode == protocol.None {
				s.ask(kind+", leaves", min(v, 5), leave(min(v, 5), group, m.MemberId))
			}
		}
	}
}

func leave(v int16, group, member string) *protocol.LeaveGroupRequest {
	if v < 3 {
		return &protocol.LeaveGroupRequest{GroupId: group, MemberId: member}
	}
	return &protocol.LeaveGroupRequest{GroupId: group, Members: list(leaving{MemberId: member})}
}

// enter joins a group, twice where the coordinator first gives an id, and returns the answer.
func (s *Session) enter(p *peer, name string, v int16, r *protocol.JoinGroupRequest) *protocol.JoinGroupResponse {
	m, _ := s.on(p, name, v, r).(*protocol.JoinGroupResponse)
	if m != nil && m.ErrorCode == protocol.MemberIdRequired {
		r.MemberId = m.MemberId
		m, _ = s.on(p, name+", again", v, r).(*protocol.JoinGroupResponse)
	}
	if m == nil {
		panic(stop{fmt.Errorf("%s was not answered", name)})
	}
	return m
}

// together are versions of the group APIs that a client of one release uses.
type together struct{ join, sync, heartbeat, leave, commit, fetch, describe int16 }

func releases() []together {
	return []together{{0, 0, 0, 0, 2, 1, 0}, {2, 1, 1, 1, 3, 3, 2}, {4, 2, 2, 2, 6, 5, 3}, {5, 3, 3, 3, 7, 6, 4}, {6, 4, 4, 4, 8, 7, 5}, {9, 5, 4, 5, 9, 9, 6}}
}

// groupLife takes groups of two through their life.
func groupLife(s *Session) {
	s.topic("life", 3)
	for _, r := range releases() {
		s.life(r)
	}
}

func (s *Session) life(r together) {
	group := fmt.Sprint("life-", r.join)
	name := func(what string) string { return fmt.Sprintf("release %d: %s", r.join, what) }
	a, b := s.connect(), s.connect()
	first := s.enter(a, name("a joins"), r.join, join(r.join, group, ""))
	sync := func(member string, generation int32, all ...assigned) *protocol.SyncGroupRequest {
		out := def(func(g *protocol.SyncGroupRequest) {
			g.GroupId, g.MemberId, g.GenerationId, g.Assignments = group, member, generation, all
			if r.sync >= 5 {
				g.ProtocolType, g.ProtocolName = ptr("consumer"), ptr("range")
			}
		})
		return &out
	}
	beat := func(what, member string, generation int32) {
		s.ask(name(what), r.heartbeat, &protocol.HeartbeatRequest{GroupId: group, MemberId: member, GenerationId: generation})
	}
	describe := func(what string) {
		s.ask(name(what), r.describe, &protocol.DescribeGroupsRequest{Groups: list(group), IncludeAuthorizedOperations: r.describe >= 3})
	}
	describe("described before sync")
	beat("heartbeat before sync", first.MemberId, 1)
	s.on(a, name("sync of another generation"), r.sync, sync(first.MemberId, 7))
	s.on(a, name("sync of an unknown member"), r.sync, sync("nobody", 1))
	if r.sync >= 5 {
		wrong := sync(first.MemberId, 1)
		wrong.ProtocolName = ptr("what")
		s.on(a, name("sync with another protocol"), r.sync, wrong)
		wrong = sync(first.MemberId, 1)
		wrong.ProtocolType = ptr("connect")
		s.on(a, name("sync with another type"), r.sync, wrong)
	}
	s.on(a, name("sync"), r.sync, sync(first.MemberId, 1, assigned{MemberId: first.MemberId, Assignment: []byte("both")}, assigned{MemberId: "nobody", Assignment: []byte("x")}))
	s.on(a, name("sync again"), r.sync, sync(first.MemberId, 1))
	describe("described when stable")
	beat("heartbeat", first.MemberId, 1)
	beat("heartbeat of another generation", first.MemberId, 2)
	beat("heartbeat of generation -1", first.MemberId, -1)
	beat("heartbeat of an unknown member", "nobody", 1)
	s.commits(r, name, group, first.MemberId)
	s.on(b, name("with protocols that nobody has"), r.join, join(r.join, group, "", func(j *protocol.JoinGroupRequest) { j.Protocols = list(joinProtocol{Name: "sticky"}) }))
	s.on(b, name("with another type"), r.join, join(r.join, group, "", func(j *protocol.JoinGroupRequest) { j.ProtocolType = "connect" }))
	s.rebalance(r, name, group, a, b, first.MemberId, sync, beat)
	describe("described when empty")
	s.ask(name("deleted"), 2, &protocol.DeleteGroupsRequest{GroupsNames: list(group)})
	describe("described when dead")
}

// rebalance lets b join, both sync, and both leave.
func (s *Session) rebalance(r together, name func(string) string, group string, a, b *peer, first string,
	sync func(string, int32, ...assigned) *protocol.SyncGroupRequest, beat func(string, string, int32)) {
	request := join(r.join, group, "")
	if r.join >= 4 {
		m, ok := s.on(b, name("b gets an id"), r.join, request).(*protocol.JoinGroupResponse)
		if !ok {
			panic(stop{fmt.Errorf("no id for b")})
		}
		request.MemberId = m.MemberId
	}
	waiting := s.start(b, name("b joins"), r.join, request)
	settle(func() bool {
		m := s.do(4, &protocol.HeartbeatRequest{GroupId: group, MemberId: first, GenerationId: 1}).(*protocol.HeartbeatResponse)
		return m.ErrorCode == protocol.RebalanceInProgress
	})
	beat("heartbeat while rebalancing", first, 1)
	s.on(a, name("sync while rebalancing"), r.sync, sync(first, 1))
	s.ask(name("commit while rebalancing"), r.commit, s.commitOf(r.commit, group, first, 1, 3))
	s.on(a, name("a joins again"), r.join, join(r.join, group, first))
	second, ok := waiting().(*protocol.JoinGroupResponse)
	if !ok {
		panic(stop{fmt.Errorf("b did not get in")})
	}
	answer := s.start(b, name("b syncs"), r.sync, sync(second.MemberId, 2))
	time.Sleep(30 * time.Millisecond)
	s.on(a, name("a syncs"), r.sync, sync(first, 2, assigned{MemberId: first, Assignment: []byte("0")}, assigned{MemberId: second.MemberId, Assignment: []byte("1")}))
	answer()
	beat("heartbeat of the old generation", first, 1)
	beat("heartbeat of the new generation", first, 2)
	s.ask(name("described with two"), r.describe, &protocol.DescribeGroupsRequest{Groups: list(group)})
	s.ask(name("delete while in use"), 2, &protocol.DeleteGroupsRequest{GroupsNames: list(group)})
	s.ask(name("follower joins unchanged"), r.join, join(r.join, group, second.MemberId))
	s.ask(name("unknown leaves"), r.leave, leave(r.leave, group, "nobody"))
	s.ask(name("b leaves"), r.leave, leave(r.leave, group, second.MemberId))
	s.ask(name("b leaves again"), r.leave, leave(r.leave, group, second.MemberId))
	s.on(a, name("a joins alone"), r.join, join(r.join, group, first))
	s.ask(name("a leaves"), r.leave, leave(r.leave, group, first))
}

type (
	commitTopic     = protocol.OffsetCommitRequestTopic
	commitPartition = protocol.OffsetCommitRequestPartition
)

// commitOf makes a request that commits an offset of partition 0 of the topic "life".
func (s *Session) commitOf(v int16, group, member string, generation int32, offset int64) *protocol.OffsetCommitRequest {
	return s.commitParts(v, group, member, generation, commitTopic{Name: "life", Partitions: list(commitPartition{CommittedOffset: offset, CommittedLeaderEpoch: -1, CommittedMetadata: ptr("meta")})})
}

func (s *Session) commitParts(v int16, group, member string, generation int32, topics ...commitTopic) *protocol.OffsetCommitRequest {
	for i := range topics {
		if v >= 10 {
			topics[i].TopicId, topics[i].Name = s.id(topics[i].Name), ""
		}
	}
	r := def(func(r *protocol.OffsetCommitRequest) {
		r.GroupId, r.MemberId, r.GenerationIdOrMemberEpoch, r.Topics = group, member, generation, topics
	})
	return &r
}

// commits of a member of a stable group.
func (s *Session) commits(r together, name func(string) string, group, member string) {
	s.ask(name("commit"), r.commit, s.commitOf(r.commit, group, member, 1, 5))
	s.ask(name("commit of another generation"), r.commit, s.commitOf(r.commit, group, member, 9, 6))
	s.ask(name("commit of an unknown member"), r.commit, s.commitOf(r.commit, group, "nobody", 1, 7))
	s.ask(name("commit without a member"), r.commit, s.commitOf(r.commit, group, "", -1, 8))
	s.ask(name("commit without a generation"), r.commit, s.commitOf(r.commit, group, member, -1, 9))
	fetch := s.fetchOffsets(r.fetch, group, "life", 0, 1)
	s.ask(name("fetched"), r.fetch, fetch)
	s.ask(name("topic deleted from the group"), 0, &protocol.OffsetDeleteRequest{GroupId: group, Topics: list(protocol.OffsetDeleteRequestTopic{Name: "life", Partitions: list(protocol.OffsetDeleteRequestPartition{})})})
}

// fetchOffsets makes a request for some partitions of a topic, or for all of the group if topic is empty.
func (s *Session) fetchOffsets(v int16, group, topic string, partitions ...int32) *protocol.OffsetFetchRequest {
	if v < 8 {
		r := &protocol.OffsetFetchRequest{GroupId: group}
		if topic != "" {
			r.Topics = list(protocol.OffsetFetchRequestTopic{Name: topic, PartitionIndexes: partitions})
		}
		return r
	}
	g := def(func(g *protocol.OffsetFetchRequestGroup) { g.GroupId = group })
	if topic != "" {
		t := protocol.OffsetFetchRequestTopics{Name: topic, PartitionIndexes: partitions}
		if v >= 10 {
			t.Name, t.TopicId = "", s.id(topic)
		}
		g.Topics = list(t)
	}
	return &protocol.OffsetFetchRequest{Groups: list(g)}
}

// offsets commits without members and fetches.
func offsets(s *Session) {
	s.topic("life", 3)
	key := protocol.KeyOffsetCommit
	part := func(index int32, offset int64, metadata *string) commitPartition {
		return commitPartition{PartitionIndex: index, CommittedOffset: offset, CommittedLeaderEpoch: -1, CommittedMetadata: metadata}
	}
	many := map[string][]commitTopic{
		"good":                   {{Name: "life", Partitions: list(part(0, 5, ptr("meta")), part(1, 6, nil))}},
		"offset -1":              {{Name: "life", Partitions: list(part(0, -1, nil))}},
		"offset -2":              {{Name: "life", Partitions: list(part(0, -2, nil))}},
		"unknown partition":      {{Name: "life", Partitions: list(part(9, 1, nil), part(-1, 1, nil), part(2, 7, nil))}},
		"unknown topic":          {{Name: "offsets-unknown", Partitions: list(part(0, 1, nil))}, {Name: "life", Partitions: list(part(0, 8, nil))}},
		"long metadata":          {{Name: "life", Partitions: list(part(0, 9, ptr(strings.Repeat("m", 4096))))}},
		"too long metadata":      {{Name: "life", Partitions: list(part(0, 10, ptr(strings.Repeat("m", 4097))), part(1, 11, nil))}},
		"partition twice":        {{Name: "life", Partitions: list(part(0, 1, nil), part(0, 2, nil))}},
		"topic twice":            {{Name: "life", Partitions: list(part(0, 1, nil))}, {Name: "life", Partitions: list(part(1, 2, nil))}},
		"no partition":           {{Name: "life"}},
		"nothing":                nil,
		"epoch of a leader":      {{Name: "life", Partitions: list(commitPartition{CommittedOffset: 4, CommittedLeaderEpoch: 3})}},
		"invalid topic":          {{Name: "a b", Partitions: list(part(0, 1, nil))}},
		"empty topic name or id": {{Name: "", Partitions: list(part(0, 1, nil))}},
	}
	for _, kind := range sortedKeys(many) {
		s.each(key, kind, func(v int16) protocol.Request {
			return s.commitParts(v, fmt.Sprint("offsets-", v), "", -1, cloneTopics(many[kind])...)
		})
		for _, v := range s.versions(key) {
			s.ask(fmt.Sprintf("%s, committed by %d, fetched", kind, v), 7, s.fetchOffsets(7, fmt.Sprint("offsets-", v), "life", 0, 1, 2, 9))
		}
	}
	odd := map[string]*protocol.OffsetCommitRequest{
		"empty group": s.commitOf(2, "", "", -1, 1), "member of no group": s.commitOf(2, "offsets-nobody", "x", 1, 1), "generation without member": s.commitOf(2, "offsets-nobody", "", 5, 1),
		"member without generation": s.commitOf(2, "offsets-nobody", "x", -1, 1), "generation -2": s.commitOf(2, "offsets-nobody", "", -2, 1),
	}
	for _, name := range sortedKeys(odd) {
		r := odd[name]
		s.each(key, name, func(v int16) protocol.Request {
			return s.commitParts(v, r.GroupId, r.MemberId, r.GenerationIdOrMemberEpoch, commitTopic{Name: "life", Partitions: r.Topics[0].Partitions})
		})
	}
	s.each(key, "instance of no group", func(v int16) protocol.Request {
		r := s.commitOf(v, "offsets-nobody", "x", 1, 1)
		r.GroupInstanceId = ptr("static")
		return r
	})
	s.each(key, "retention time", func(v int16) protocol.Request {
		r := s.commitOf(v, "offsets-retention", "", -1, 1)
		if v <= 4 {
			r.RetentionTimeMs = 5000
		}
		return r
	})
	s.offsetsFetched()
	s.offsetsDeleted()
}

func cloneTopics(topics []commitTopic) []commitTopic { return append([]commitTopic(nil), topics...) }

func (s *Session) offsetsFetched() {
	s.do(7, s.commitOf(7, "fetched", "", -1, 5))
	key := protocol.KeyOffsetFetch
	each := func(name, group, topic string, partitions ...int32) {
		s.each(key, name, func(v int16) protocol.Request {
			if topic == "" && v < 2 {
				return nil
			}
			return s.fetchOffsets(v, group, topic, partitions...)
		})
	}
	each("fetch some", "fetched", "life", 0, 1, 2, 9, -1)
	each("fetch all", "fetched", "")
	each("fetch of unknown group", "fetched-unknown", "life", 0)
	each("fetch all of unknown group", "fetched-unknown", "")
	each("fetch of empty group", "", "life", 0)
	each("fetch of unknown topic", "fetched", "fetched-unknown", 0)
	each("fetch of no partition", "fetched", "life")
	each("fetch partition twice", "fetched", "life", 0, 0)
	s.each(key, "fetch no topic", func(v int16) protocol.Request {
		r := s.fetchOffsets(v, "fetched", "")
		if v < 8 {
			r.Topics = []protocol.OffsetFetchRequestTopic{}
		} else {
			r.Groups[0].Topics = []protocol.OffsetFetchRequestTopics{}
		}
		return r
	})
	s.each(key, "fetch stable", func(v int16) protocol.Request {
		r := s.fetchOffsets(v, "fetched", "life", 0)
		r.RequireStable = v >= 7
		return r
	})
	for _, v := range []int16{8, 9, 10} {
		r := s.fetchOffsets(v, "fetched", "life", 0)
		r.Groups = append(r.Groups, s.fetchOffsets(v, "fetched-unknown", "").Groups[0], s.fetchOffsets(v, "", "life", 0).Groups[0])
		s.ask("fetch of three groups", v, r)
		r = s.fetchOffsets(v, "fetched", "life", 0)
		r.Groups = append(r.Groups, s.fetchOffsets(v, "fetched", "life", 1).Groups[0])
		s.ask("fetch of a group twice", v, r)
		s.ask("fetch of no group", v, &protocol.OffsetFetchRequest{})
		if v >= 9 {
			for _, epoch := range []int32{-1, 0, 5} {
				r = s.fetchOffsets(v, "fetched", "life", 0)
				r.Groups[0].MemberId, r.Groups[0].MemberEpoch = ptr("nobody"), epoch
				s.ask(fmt.Sprint("fetch of a member with epoch ", epoch), v, r)
			}
		}
	}
}

func (s *Session) offsetsDeleted() {
	type topic = protocol.OffsetDeleteRequestTopic
	ask := func(name, group string, topics ...topic) {
		s.ask("offset delete: "+name, 0, &protocol.OffsetDeleteRequest{GroupId: group, Topics: topics})
	}
	part := func(ids ...int32) (out []protocol.OffsetDeleteRequestPartition) {
		for _, id := range ids {
			out = append(out, protocol.OffsetDeleteRequestPartition{PartitionIndex: id})
		}
		return out
	}
	ask("unknown group", "fetched-unknown", topic{Name: "life", Partitions: part(0)})
	ask("empty group", "", topic{Name: "life", Partitions: part(0)})
	ask("unknown topic", "fetched", topic{Name: "fetched-unknown", Partitions: part(0)})
	ask("unknown partition", "fetched", topic{Name: "life", Partitions: part(9)})
	ask("never committed", "fetched", topic{Name: "life", Partitions: part(1)})
	ask("nothing", "fetched")
	ask("good", "fetched", topic{Name: "life", Partitions: part(0)})
	ask("good again", "fetched", topic{Name: "life", Partitions: part(0)})
	s.ask("after the offsets were deleted", 7, s.fetchOffsets(7, "fetched", ""))
}

// statics are members with an instance id.
func statics(s *Session) {
	s.topic("life", 3)
	for _, r := range releases() {
		if r.join < 5 {
			continue
		}
		s.static(r)
	}
}

func (s *Session) static(r together) {
	group, instance := fmt.Sprint("static-", r.join), ptr("one")
	name := func(what string) string { return fmt.Sprintf("release %d: %s", r.join, what) }
	as := func(j *protocol.JoinGroupRequest) { j.GroupInstanceId = instance }
	first := s.enter(s.main, name("joins"), r.join, join(r.join, group, "", as))
	sync := func(what, member string, generation int32, all ...assigned) {
		g := def(func(g *protocol.SyncGroupRequest) {
			g.GroupId, g.MemberId, g.GroupInstanceId, g.GenerationId, g.Assignments = group, member, instance, generation, all
			if r.sync >= 5 {
				g.ProtocolType, g.ProtocolName = ptr("consumer"), ptr("range")
			}
		})
		s.ask(name(what), r.sync, &g)
	}
	beat := func(what, member string, generation int32) {
		s.ask(name(what), r.heartbeat, &protocol.HeartbeatRequest{GroupId: group, MemberId: member, GroupInstanceId: instance, GenerationId: generation})
	}
	sync("syncs", first.MemberId, 1, assigned{MemberId: first.MemberId, Assignment: []byte("all")})
	beat("heartbeat", first.MemberId, 1)
	beat("heartbeat with another member id", "nobody", 1)
	again := s.enter(s.main, name("comes back"), r.join, join(r.join, group, "", as))
	beat("heartbeat of the one before", first.MemberId, 1)
	sync("the one before syncs", first.MemberId, 1)
	sync("syncs after coming back", again.MemberId, again.GenerationId)
	s.ask(name("the one before joins"), r.join, join(r.join, group, first.MemberId, as))
	commit := s.commitOf(r.commit, group, first.MemberId, again.GenerationId, 1)
	commit.GroupInstanceId = instance
	s.ask(name("the one before commits"), r.commit, commit)
	commit = s.commitOf(r.commit, group, again.MemberId, again.GenerationId, 1)
	commit.GroupInstanceId = ptr("two")
	s.ask(name("commit of an unknown instance"), r.commit, commit)
	commit.GroupInstanceId = instance
	s.ask(name("commits"), r.commit, commit)
	s.enter(s.main, name("comes back with other metadata"), r.join, join(r.join, group, "", as, func(j *protocol.JoinGroupRequest) { j.Protocols[0].Metadata = []byte("new") }))
	s.ask(name("described"), r.describe, &protocol.DescribeGroupsRequest{Groups: list(group)})
	out := func(what string, m ...leaving) {
		s.ask(name(what), r.leave, &protocol.LeaveGroupRequest{GroupId: group, Members: m})
	}
	out("leaves with the old member id", leaving{MemberId: first.MemberId, GroupInstanceId: instance})
	out("two leave, one unknown", leaving{GroupInstanceId: ptr("two")}, leaving{MemberId: "nobody"})
	out("nobody leaves")
	out("leaves by instance and twice", leaving{GroupInstanceId: instance}, leaving{GroupInstanceId: instance})
	s.ask(name("described when empty"), r.describe, &protocol.DescribeGroupsRequest{Groups: list(group)})
}

// groupAdmin lists, describes and deletes.
func groupAdmin(s *Session) {
	s.topic("life", 3)
	s.do(7, s.commitOf(7, "admin-simple", "", -1, 1))
	s.each(protocol.KeyHeartbeat, "heartbeat to an unknown group", func(int16) protocol.Request {
		return &protocol.HeartbeatRequest{GroupId: "admin-unknown", MemberId: "x", GenerationId: 1}
	})
	s.each(protocol.KeyHeartbeat, "heartbeat to an empty group id", func(int16) protocol.Request { return &protocol.HeartbeatRequest{MemberId: "x", GenerationId: 1} })
	s.each(protocol.KeyHeartbeat, "heartbeat to a simple group", func(int16) protocol.Request {
		return &protocol.HeartbeatRequest{GroupId: "admin-simple", MemberId: "x", GenerationId: 1}
	})
	s.each(protocol.KeySyncGroup, "sync in an unknown group", func(v int16) protocol.Request {
		r := &protocol.SyncGroupRequest{GroupId: "admin-unknown", MemberId: "x", GenerationId: 1}
		if v >= 5 {
			r.ProtocolType, r.ProtocolName = ptr("consumer"), ptr("range")
		}
		return r
	})
	s.each(protocol.KeySyncGroup, "sync without protocol", func(v int16) protocol.Request {
		return &protocol.SyncGroupRequest{GroupId: "admin-unknown", MemberId: "x", GenerationId: 1}
	})
	s.each(protocol.KeySyncGroup, "sync in an empty group id", func(v int16) protocol.Request { return &protocol.SyncGroupRequest{MemberId: "x", GenerationId: 1} })
	for _, group := range []string{"admin-unknown", "", "admin-simple"} {
		s.each(protocol.KeyLeaveGroup, fmt.Sprintf("leave %q", group), func(v int16) protocol.Request { return leave(v, group, "nobody") })
	}
	for _, groups := range [][]string{{"admin-simple"}, {"admin-unknown"}, {""}, {}, {"admin-simple", "admin-simple"}, {"admin-simple", "admin-unknown"}} {
		s.each(protocol.KeyDescribeGroups, fmt.Sprintf("describe %q", groups), func(v int16) protocol.Request {
			return &protocol.DescribeGroupsRequest{Groups: groups, IncludeAuthorizedOperations: v >= 3}
		})
	}
	for _, states := range [][]string{nil, {"Stable"}, {"stable"}, {"Empty"}, {"What"}, {"Empty", "Stable"}, {""}} {
		for _, types := range [][]string{nil, {"classic"}, {"Classic"}, {"consumer"}, {"share"}, {"streams"}, {"what"}, {""}, {"consumer", "classic"}} {
			s.each(protocol.KeyListGroups, fmt.Sprintf("list %q %q", states, types), func(v int16) protocol.Request {
				if v < 4 && states != nil || v < 5 && types != nil {
					return nil
				}
				return &protocol.ListGroupsRequest{StatesFilter: states, TypesFilter: types}
			})
		}
	}
	for _, groups := range [][]string{{"admin-unknown"}, {""}, {}, {"admin-unknown", "admin-unknown"}} {
		s.each(protocol.KeyDeleteGroups, fmt.Sprintf("delete %q", groups), func(int16) protocol.Request { return &protocol.DeleteGroupsRequest{GroupsNames: groups} })
	}
	for _, v := range s.versions(protocol.KeyDeleteGroups) {
		s.do(7, s.commitOf(7, "admin-deleted", "", -1, 1))
		s.ask("delete a simple group", v, &protocol.DeleteGroupsRequest{GroupsNames: list("admin-deleted", "admin-unknown")})
		s.ask(fmt.Sprintf("offsets after deletion/%d", v), 7, s.fetchOffsets(7, "admin-deleted", ""))
	}
	s.coordinators()
}

// coordinators are looked for.
func (s *Session) coordinators() {
	key := protocol.KeyFindCoordinator
	find := func(name string, kind int8, keys ...string) {
		s.each(key, name, func(v int16) protocol.Request {
			if v < 1 && kind != 0 {
				return nil
			}
			if v < 4 {
				if len(keys) != 1 {
					return nil
				}
				return &protocol.FindCoordinatorRequest{CoordinatorKey: keys[0], KeyType: kind}
			}
			return &protocol.FindCoordinatorRequest{CoordinatorKeys: keys, KeyType: kind}
		})
	}
	find("coordinator of a group", 0, "admin-simple")
	find("coordinator of an empty group", 0, "")
	find("coordinators of several", 0, "a", "b", "a", "")
	find("coordinators of none", 0)
	find("coordinator of type 7", 7, "x")
	find("coordinator of type -1", -1, "x")
	find("coordinator of a share partition, badly named", 2, "x")
}

// producerIDs asks for producer ids.
func producerIDs(s *Session) {
	key := protocol.KeyInitProducerId
	each := func(name string, change func(*protocol.InitProducerIdRequest)) {
		s.each(key, name, func(v int16) protocol.Request {
			r := def(func(r *protocol.InitProducerIdRequest) { change(r) })
			return &r
		})
	}
	each("new", func(*protocol.InitProducerIdRequest) {})
	each("negative timeout", func(r *protocol.InitProducerIdRequest) { r.TransactionTimeoutMs = -1 })
	each("huge timeout", func(r *protocol.InitProducerIdRequest) { r.TransactionTimeoutMs = 2147483647 })
	each("epoch of an id", func(r *protocol.InitProducerIdRequest) { r.ProducerId, r.ProducerEpoch = 5, 3 })
	each("id without epoch", func(r *protocol.InitProducerIdRequest) { r.ProducerId = 5 })
	each("epoch without id", func(r *protocol.InitProducerIdRequest) { r.ProducerEpoch = 5 })
	each("id -2", func(r *protocol.InitProducerIdRequest) { r.ProducerId, r.ProducerEpoch = -2, 0 })
	each("empty transactional id", func(r *protocol.InitProducerIdRequest) { r.TransactionalId, r.TransactionTimeoutMs = ptr(""), 1000 })
}
