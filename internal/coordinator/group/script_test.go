package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/offsets"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// TestScripts plays testdata/*.txt: of each step everything that was answered while it
// ran. "settings key=value …" starts with an empty log. After every step memory is held
// against a replay of the log.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		s := &scene{world: newWorld(t, nil), Output: out}
		return func(op, args string) {
			s.step(op, script.Parse(t, args))
			s.Run()
			s.check()
		}
	})
}

type scene struct {
	*world
	*script.Output
	// shown is how many records of each partition the log step has printed.
	shown [testPartitions]int
}

func (s *scene) step(op string, a script.Args) {
	switch op {
	case "settings":
		s.reset(a)
	case "join":
		s.join(a)
	case "sync":
		s.sync(a)
	case "heartbeat":
		s.heartbeat(a)
	case "leave":
		s.leave(a)
	case "commit":
		s.commit(a)
	case "txn-commit":
		s.stage(a)
	case "end-txn":
		s.endTxn(a)
	case "fetch":
		s.fetch(a)
	case "list":
		s.list(a)
	case "describe":
		s.describe(a)
	case "delete":
		s.delete(a)
	case "offset-delete":
		s.offsetDelete(a)
	case "beat":
		s.beat(a)
	case "describe-consumers":
		s.describeConsumers(a)
	case "stream":
		s.stream(a)
	case "describe-streams":
		s.describeStreams(a)
	case "streams-settings":
		s.setStreamsOverrides(a)
	case "topics":
		// Topics and their partitions: t=2 u=0 creates or grows t and deletes u.
		for _, name := range slices.Sorted(maps.Keys(a.Named)) {
			s.setTopic(name, int32(a.Num(name, 0)))
		}
	case "group-settings":
		s.setOverrides(a)
	case "topic-deleted":
		s.c.OnTopicDeleted(a.Words[0], s.topicIDs[a.Words[0]])
	case "pass":
		s.Advance(a.Number(strings.TrimSuffix(a.Words[0], "ms")))
	case "crash":
		s.crash()
	case "resign":
		for p := range int32(testPartitions) {
			s.c.OnResigned(p, s.epoch+1)
		}
	case "hold":
		s.world.log.Hold()
	case "release":
		s.world.log.Release()
	case "fail-appends":
		s.world.log.FailAppends(errorNamed(a, a.Words[0]))
	case "log":
		s.printLog()
	default:
		if !s.stepShare(op, a) {
			a.Fatalf("unknown step %q", op)
		}
	}
}

func errorNamed(a script.Args, name string) error {
	for code := protocol.ErrorCode(-1); code < 200; code++ {
		if code.String() == name {
			if code == protocol.None {
				return nil
			}
			return code
		}
	}
	a.Fatalf("no error is called %s", name)
	return nil
}

func (s *scene) reset(a script.Args) {
	s.world = newWorld(s.t, func(set *Settings) {
		set.InitialRebalanceDelayMs = a.Num("initial-delay", 3000)
		set.MaxSize = int(a.Num("max-size", 1000))
		set.OffsetsRetentionMs = a.Num("retention", 7*24*3600*1000)
		set.RetentionCheckIntervalMs = a.Num("check", 600_000)
		set.MaxBatchBytes = int(a.Num("max-batch", 1_048_588))
		set.OffsetMetadataMaxBytes = int(a.Num("max-metadata", 4096))
		set.Share.MaxSize = int(a.Num("max-size", 1000))
		set.Share.AssignmentIntervalMs = int32(a.Num("assignment-interval", 0))
		set.Consumer.MaxSize = int(a.Num("max-size", 1000))
		set.Consumer.AssignmentIntervalMs = int32(a.Num("assignment-interval", 0))
		set.Streams.MaxSize = int(a.Num("max-size", 1000))
		set.Streams.AssignmentIntervalMs = int32(a.Num("assignment-interval", 0))
		set.Streams.InitialRebalanceDelayMs = int32(a.Num("streams-delay", 0))
		set.Streams.StandbyReplicas = int32(a.Num("standbys", 0))
		policy := a.Str("migration", "bidirectional")
		set.Consumer.Migration = consumer.MigrationPolicy{
			Upgrade: policy == "bidirectional" || policy == "upgrade", Downgrade: policy == "bidirectional" || policy == "downgrade",
		}
		set.Consumer.Assignors = strings.Split(a.Str("assignors", "uniform,range"), ",")
	})
	s.persister.say = s.Say
	s.shown = [testPartitions]int{}
}

func (s *scene) join(a script.Args) {
	req := &protocol.JoinGroupRequest{}
	req.SetDefaults()
	req.GroupId = a.Str("group", "g")
	req.MemberId = a.Str("member", "")
	req.GroupInstanceId = a.Opt("instance")
	req.ProtocolType = a.Str("type", "consumer")
	req.SessionTimeoutMs = int32(a.Num("session", 10_000))
	req.RebalanceTimeoutMs = int32(a.Num("rebalance", 30_000))
	for _, name := range strings.Split(a.Str("protocols", "range"), ",") {
		if name != "" {
			req.Protocols = append(req.Protocols, protocol.JoinGroupRequestProtocol{
				Name: name, Metadata: subscription(strings.Split(a.Str("topics", "t"), ",")...),
			})
		}
	}
	client := a.Words[0]
	s.c.JoinGroup(ctx(client, int16(a.Num("v", 9))), req, func(r *protocol.JoinGroupResponse) {
		if r.ErrorCode != protocol.None {
			s.Say("%s join %s member=%s generation=%d", client, r.ErrorCode, r.MemberId, r.GenerationId)
			return
		}
		members := []string{}
		for _, m := range r.Members {
			members = append(members, m.MemberId)
		}
		skip := ""
		if r.SkipAssignment {
			skip = " skip-assignment"
		}
		s.Say("%s joined member=%s generation=%d protocol=%s leader=%s members=%s%s",
			client, r.MemberId, r.GenerationId, *r.ProtocolName, r.Leader, strings.Join(members, ","), skip)
	})
}

// sync takes assignments as member:text,member:text.
func (s *scene) sync(a script.Args) {
	req := &protocol.SyncGroupRequest{
		GroupId: a.Str("group", "g"), MemberId: a.Str("member", a.Words[0]), GenerationId: int32(a.Num("generation", 1)),
		GroupInstanceId: a.Opt("instance"), ProtocolType: a.Opt("type"), ProtocolName: a.Opt("protocol"),
	}
	for _, x := range a.List("assign") {
		member, text, _ := strings.Cut(x, ":")
		req.Assignments = append(req.Assignments, protocol.SyncGroupRequestAssignment{MemberId: member, Assignment: []byte(text)})
	}
	// give=a-1:t-0,t-1;b-2:t-2 assigns as consumers do, and embedded=1 reads it so.
	for _, x := range strings.Split(a.Str("give", ""), ";") {
		if member, partitions, ok := strings.Cut(x, ":"); ok {
			req.Assignments = append(req.Assignments, protocol.SyncGroupRequestAssignment{
				MemberId: member, Assignment: embeddedAssignment(a, strings.Split(partitions, ","), a.Str("userdata", "")),
			})
		}
	}
	version := int64(5)
	if req.ProtocolType == nil || req.ProtocolName == nil {
		version = 4 // from version 5 on both are mandatory
	}
	s.c.SyncGroup(ctx(a.Words[0], int16(a.Num("v", version))), req, func(r *protocol.SyncGroupResponse) {
		if r.ErrorCode != protocol.None {
			s.Say("%s sync %s", a.Words[0], r.ErrorCode)
			return
		}
		text := string(r.Assignment)
		if a.Str("embedded", a.Str("give", "")) != "" {
			text = readEmbedded(a, r.Assignment)
		}
		s.Say("%s synced %s/%s assignment=%s", a.Words[0], *r.ProtocolType, *r.ProtocolName, text)
	})
}

func (s *scene) heartbeat(a script.Args) {
	s.c.Heartbeat(ctx(a.Words[0], 4), &protocol.HeartbeatRequest{
		GroupId: a.Str("group", "g"), MemberId: a.Str("member", a.Words[0]), GenerationId: int32(a.Num("generation", 1)),
		GroupInstanceId: a.Opt("instance"),
	}, func(r *protocol.HeartbeatResponse) { s.Say("%s heartbeat %s", a.Words[0], r.ErrorCode) })
}

// leave takes members, or @instance for a static member without its id.
func (s *scene) leave(a script.Args) {
	version := int16(a.Num("v", 5))
	req := &protocol.LeaveGroupRequest{GroupId: a.Str("group", "g")}
	if version < 3 {
		req.MemberId = a.Words[0]
	}
	for _, who := range a.Words {
		id, instance, static := strings.Cut(who, "@")
		m := protocol.LeaveGroupRequestMemberIdentity{MemberId: id}
		if static {
			m.GroupInstanceId = &instance
		}
		req.Members = append(req.Members, m)
	}
	s.c.LeaveGroup(ctx("admin", version), req, func(r *protocol.LeaveGroupResponse) {
		codes := []string{}
		for _, m := range r.Members {
			codes = append(codes, m.ErrorCode.String())
		}
		s.Say("leave %s members=%s", r.ErrorCode, strings.Join(codes, ","))
	})
}

// commit takes offsets as topic-partition:offset,…
func (s *scene) commit(a script.Args) {
	req := &protocol.OffsetCommitRequest{}
	req.SetDefaults()
	req.GroupId = a.Str("group", "g")
	req.MemberId = a.Str("member", "")
	req.GenerationIdOrMemberEpoch = int32(a.Num("generation", -1))
	req.GroupInstanceId = a.Opt("instance")
	req.RetentionTimeMs = a.Num("retention", -1)
	for _, x := range a.Words {
		topic, partition, offset := splitOffset(a, x)
		t, _ := s.cluster.Topic(topic)
		req.Topics = append(req.Topics, protocol.OffsetCommitRequestTopic{Name: topic, TopicId: t.ID, Partitions: []protocol.OffsetCommitRequestPartition{{
			PartitionIndex: partition, CommittedOffset: offset, CommittedLeaderEpoch: int32(a.Num("epoch", -1)), CommittedMetadata: a.Opt("metadata"),
		}}})
	}
	s.c.OffsetCommit(ctx("c", int16(a.Num("v", 9))), req, func(r *protocol.OffsetCommitResponse) {
		codes := []string{}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, fmt.Sprintf("%s-%d:%s", t.Name, p.PartitionIndex, p.ErrorCode))
			}
		}
		s.Say("committed %s", strings.Join(codes, " "))
	})
}

func splitOffset(a script.Args, text string) (topic string, partition int32, offset int64) {
	where, at, _ := strings.Cut(text, ":")
	i := strings.LastIndexByte(where, '-')
	if at != "" {
		offset = a.Number(at)
	}
	return where[:i], int32(a.Number(where[i+1:])), offset
}

// fetch takes topic-partition,… or nothing for all.
func (s *scene) fetch(a script.Args) {
	version := int16(a.Num("v", 9))
	var named []protocol.OffsetFetchRequestTopics
	for _, x := range a.Words {
		topic, partition, _ := splitOffset(a, x)
		named = append(named, protocol.OffsetFetchRequestTopics{Name: topic, PartitionIndexes: []int32{partition}})
	}
	req := &protocol.OffsetFetchRequest{RequireStable: a.Str("stable", "") != ""}
	for _, g := range strings.Split(a.Str("group", "g"), ",") {
		req.Groups = append(req.Groups, protocol.OffsetFetchRequestGroup{
			GroupId: g, Topics: named, MemberId: a.Opt("member"), MemberEpoch: int32(a.Num("epoch", -1)),
		})
	}
	if version < 8 {
		req.GroupId, req.Groups = req.Groups[0].GroupId, nil
		for _, t := range named {
			req.Topics = append(req.Topics, protocol.OffsetFetchRequestTopic{Name: t.Name, PartitionIndexes: t.PartitionIndexes})
		}
	}
	s.c.OffsetFetch(ctx("c", version), req, func(r *protocol.OffsetFetchResponse) {
		if version < 8 {
			s.Say("fetched %s%s", r.ErrorCode, fetchedTopics(r.Topics, func(t protocol.OffsetFetchResponseTopic) (string, []protocol.OffsetFetchResponsePartition) {
				return t.Name, t.Partitions
			}))
			return
		}
		for _, g := range r.Groups {
			s.Say("fetched %s %s%s", g.GroupId, g.ErrorCode, fetchedTopics(g.Topics, func(t protocol.OffsetFetchResponseTopics) (string, []protocol.OffsetFetchResponsePartition) {
				var out []protocol.OffsetFetchResponsePartition
				for _, p := range t.Partitions {
					out = append(out, protocol.OffsetFetchResponsePartition(p))
				}
				return t.Name, out
			}))
		}
	})
}

func fetchedTopics[T any](topics []T, open func(T) (string, []protocol.OffsetFetchResponsePartition)) string {
	out := ""
	for _, t := range topics {
		name, partitions := open(t)
		for _, p := range partitions {
			out += fmt.Sprintf(" %s-%d:%d", name, p.PartitionIndex, p.CommittedOffset)
			if p.CommittedLeaderEpoch >= 0 {
				out += fmt.Sprintf("@%d", p.CommittedLeaderEpoch)
			}
			if *p.Metadata != "" {
				out += "(" + *p.Metadata + ")"
			}
			if p.ErrorCode != protocol.None {
				out += "!" + p.ErrorCode.String()
			}
		}
	}
	return out
}

func (s *scene) list(a script.Args) {
	s.c.ListGroups(ctx("admin", 5), &protocol.ListGroupsRequest{StatesFilter: a.List("states"), TypesFilter: a.List("types")},
		func(r *protocol.ListGroupsResponse) {
			s.Say("listed %s", r.ErrorCode)
			for _, g := range r.Groups {
				s.Say("  %s type=%s state=%s protocol-type=%s", g.GroupId, g.GroupType, g.GroupState, g.ProtocolType)
			}
		})
}

func (s *scene) describe(a script.Args) {
	s.c.DescribeGroups(ctx("admin", int16(a.Num("v", 6))), &protocol.DescribeGroupsRequest{Groups: a.Words}, func(r *protocol.DescribeGroupsResponse) {
		for _, g := range r.Groups {
			message := ""
			if g.ErrorMessage != nil {
				message = " (" + *g.ErrorMessage + ")"
			}
			s.Say("described %s %s%s state=%s type=%s protocol=%s", g.GroupId, g.ErrorCode, message, g.GroupState, g.ProtocolType, g.ProtocolData)
			for _, m := range g.Members {
				instance := ""
				if m.GroupInstanceId != nil {
					instance = "@" + *m.GroupInstanceId
				}
				s.Say("  %s%s %s%s metadata=%d bytes assignment=%s", m.MemberId, instance, m.ClientId, m.ClientHost, len(m.MemberMetadata), m.MemberAssignment)
			}
		}
	})
}

func (s *scene) delete(a script.Args) {
	s.c.DeleteGroups(ctx("admin", 2), &protocol.DeleteGroupsRequest{GroupsNames: a.Words}, func(r *protocol.DeleteGroupsResponse) {
		for _, g := range r.Results {
			s.Say("deleted %s %s", g.GroupId, g.ErrorCode)
		}
	})
}

func (s *scene) offsetDelete(a script.Args) {
	req := &protocol.OffsetDeleteRequest{GroupId: a.Str("group", "g")}
	for _, x := range a.Words {
		topic, partition, _ := splitOffset(a, x)
		req.Topics = append(req.Topics, protocol.OffsetDeleteRequestTopic{
			Name: topic, Partitions: []protocol.OffsetDeleteRequestPartition{{PartitionIndex: partition}},
		})
	}
	s.c.OffsetDelete(ctx("admin", 0), req, func(r *protocol.OffsetDeleteResponse) {
		codes := ""
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes += fmt.Sprintf(" %s-%d:%s", t.Name, p.PartitionIndex, p.ErrorCode)
			}
		}
		s.Say("offsets deleted %s%s", r.ErrorCode, codes)
	})
}

// printLog prints the records written since the last time.
func (s *scene) printLog() {
	for p := range int32(testPartitions) {
		entries := s.world.log.Entries(p)
		for _, e := range entries[s.shown[p]:] {
			switch {
			case e.Marker != nil:
				s.Say("%s of producer %d:%d by coordinator %d", e.Marker.Type, e.ProducerID, e.ProducerEpoch, e.Marker.CoordinatorEpoch)
			case e.Transactional:
				s.Say("producer %d:%d %s", e.ProducerID, e.ProducerEpoch, describeRecord(s.t, e.Key, e.Value))
			default:
				s.Say("%s", describeRecord(s.t, e.Key, e.Value))
			}
		}
		s.shown[p] = len(entries)
	}
}

func describeRecord(t testing.TB, key, value []byte) string {
	kind, version := key[1], byte(0)
	if value != nil {
		version = value[1]
	}
	switch kind {
	case recordOffset:
		group, topic, partition, err := offsets.DecodeKey(key[2:])
		if err != nil {
			t.Fatal(err)
		}
		if value == nil {
			return fmt.Sprintf("offset %s %s-%d null", group, topic, partition)
		}
		var v coordrecord.OffsetCommitValue
		if err := v.Decode(value[2:], int16(version)); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("offset %s %s-%d v%d %d@%d(%s) at %d expires %d", group, topic, partition, version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp, v.ExpireTimestamp)
	case recordGroup:
		id, err := classic.DecodeKey(key[2:])
		if err != nil {
			t.Fatal(err)
		}
		if value == nil {
			return fmt.Sprintf("group %s null", id)
		}
		g, err := classic.FromRecord(id, value)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("v%d %s", version, g)
	default:
		if text, ok := describeShareRecord(t, key, value); ok {
			return text
		}
		return describeConsumerRecord(t, key, value)
	}
}
