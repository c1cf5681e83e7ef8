package group

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/offsets"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

var rewrite = flag.Bool("rewrite", false, "write what happened into testdata/*.txt as what is expected")

// TestScripts plays testdata/*.txt. A step is one line, "op key=value …"; the indented
// lines below it are everything that was answered while it ran, in order. A line that
// starts with # is a comment, and "settings key=value …" starts with an empty log.
// After every step memory is held against a replay of the log.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if got == string(want) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s goes another way; it would now read:\n%s", file, diffLines(string(want), got))
		})
	}
}

func diffLines(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			fmt.Fprintln(&out, " ", a[i])
			i, j = i+1, j+1
		case i < len(a) && strings.HasPrefix(a[i], "  "):
			fmt.Fprintln(&out, "-", a[i])
			i++
		case j < len(b):
			fmt.Fprintln(&out, "+", b[j])
			j++
		default:
			fmt.Fprintln(&out, "-", a[i])
			i++
		}
	}
	return out.String()
}

type script struct {
	*world
	out strings.Builder
	// shown is how many records of each partition the log step has printed.
	shown [testPartitions]int
}

func play(t *testing.T, text string) string {
	s := &script{world: newWorld(t, nil)}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		s.out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		op, rest, _ := strings.Cut(line, " ")
		s.step(op, parseArgs(t, rest))
		s.Run()
		s.check()
	}
	return s.out.String()
}

type args struct {
	testing.TB
	words []string
	named map[string]string
}

func parseArgs(t testing.TB, text string) args {
	a := args{t, nil, map[string]string{}}
	for _, word := range strings.Fields(text) {
		if key, value, ok := strings.Cut(word, "="); ok {
			a.named[key] = value
		} else {
			a.words = append(a.words, word)
		}
	}
	return a
}

func (a args) str(key, otherwise string) string {
	if v, ok := a.named[key]; ok {
		return v
	}
	return otherwise
}

func (a args) opt(key string) *string {
	if v, ok := a.named[key]; ok {
		return &v
	}
	return nil
}

func (a args) num(key string, otherwise int) int {
	v, ok := a.named[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		a.Fatalf("%s=%s: %v", key, v, err)
	}
	return n
}

func (a args) list(key string) []string {
	if v := a.str(key, ""); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

func (s *script) say(format string, values ...any) {
	fmt.Fprintf(&s.out, "  "+strings.ReplaceAll(format, "\n", "\n  ")+"\n", values...)
}

func (s *script) step(op string, a args) {
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
		for _, name := range slices.Sorted(maps.Keys(a.named)) {
			s.setTopic(name, int32(a.num(name, 0)))
		}
	case "group-settings":
		s.setOverrides(a)
	case "topic-deleted":
		s.c.OnTopicDeleted(a.words[0], s.topicIDs[a.words[0]])
	case "pass":
		ms, err := strconv.Atoi(strings.TrimSuffix(a.words[0], "ms"))
		if err != nil {
			a.Fatalf("pass %v: %v", a.words, err)
		}
		s.Advance(int64(ms))
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
		s.world.log.FailAppends(errorNamed(a, a.words[0]))
	case "log":
		s.printLog()
	default:
		if !s.stepShare(op, a) {
			a.Fatalf("unknown step %q", op)
		}
	}
}

func errorNamed(a args, name string) error {
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

func (s *script) reset(a args) {
	s.world = newWorld(s.t, func(set *Settings) {
		set.InitialRebalanceDelayMs = int64(a.num("initial-delay", 3000))
		set.MaxSize = a.num("max-size", 1000)
		set.OffsetsRetentionMs = int64(a.num("retention", 7*24*3600*1000))
		set.RetentionCheckIntervalMs = int64(a.num("check", 600_000))
		set.MaxBatchBytes = a.num("max-batch", 1_048_588)
		set.OffsetMetadataMaxBytes = a.num("max-metadata", 4096)
		set.Share.MaxSize = a.num("max-size", 1000)
		set.Share.AssignmentIntervalMs = int32(a.num("assignment-interval", 0))
		set.Consumer.MaxSize = a.num("max-size", 1000)
		set.Consumer.AssignmentIntervalMs = int32(a.num("assignment-interval", 0))
		set.Streams.MaxSize = a.num("max-size", 1000)
		set.Streams.AssignmentIntervalMs = int32(a.num("assignment-interval", 0))
		set.Streams.InitialRebalanceDelayMs = int32(a.num("streams-delay", 0))
		set.Streams.StandbyReplicas = int32(a.num("standbys", 0))
		policy := a.str("migration", "bidirectional")
		set.Consumer.Migration = consumer.MigrationPolicy{
			Upgrade: policy == "bidirectional" || policy == "upgrade", Downgrade: policy == "bidirectional" || policy == "downgrade",
		}
		set.Consumer.Assignors = strings.Split(a.str("assignors", "uniform,range"), ",")
	})
	s.persister.say = s.say
	s.shown = [testPartitions]int{}
}

func (s *script) join(a args) {
	req := &protocol.JoinGroupRequest{}
	req.SetDefaults()
	req.GroupId = a.str("group", "g")
	req.MemberId = a.str("member", "")
	req.GroupInstanceId = a.opt("instance")
	req.ProtocolType = a.str("type", "consumer")
	req.SessionTimeoutMs = int32(a.num("session", 10_000))
	req.RebalanceTimeoutMs = int32(a.num("rebalance", 30_000))
	for _, name := range strings.Split(a.str("protocols", "range"), ",") {
		if name != "" {
			req.Protocols = append(req.Protocols, protocol.JoinGroupRequestProtocol{
				Name: name, Metadata: subscription(strings.Split(a.str("topics", "t"), ",")...),
			})
		}
	}
	client := a.words[0]
	s.c.JoinGroup(ctx(client, int16(a.num("v", 9))), req, func(r *protocol.JoinGroupResponse) {
		if r.ErrorCode != protocol.None {
			s.say("%s join %s member=%s generation=%d", client, r.ErrorCode, r.MemberId, r.GenerationId)
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
		s.say("%s joined member=%s generation=%d protocol=%s leader=%s members=%s%s",
			client, r.MemberId, r.GenerationId, *r.ProtocolName, r.Leader, strings.Join(members, ","), skip)
	})
}

// sync takes assignments as member:text,member:text.
func (s *script) sync(a args) {
	req := &protocol.SyncGroupRequest{
		GroupId: a.str("group", "g"), MemberId: a.str("member", a.words[0]), GenerationId: int32(a.num("generation", 1)),
		GroupInstanceId: a.opt("instance"), ProtocolType: a.opt("type"), ProtocolName: a.opt("protocol"),
	}
	for _, x := range a.list("assign") {
		member, text, _ := strings.Cut(x, ":")
		req.Assignments = append(req.Assignments, protocol.SyncGroupRequestAssignment{MemberId: member, Assignment: []byte(text)})
	}
	// give=a-1:t-0,t-1;b-2:t-2 assigns as consumers do, and embedded=1 reads it so.
	for _, x := range strings.Split(a.str("give", ""), ";") {
		if member, partitions, ok := strings.Cut(x, ":"); ok {
			req.Assignments = append(req.Assignments, protocol.SyncGroupRequestAssignment{
				MemberId: member, Assignment: embeddedAssignment(a, strings.Split(partitions, ","), a.str("userdata", "")),
			})
		}
	}
	version := 5
	if req.ProtocolType == nil || req.ProtocolName == nil {
		version = 4 // from version 5 on both are mandatory
	}
	s.c.SyncGroup(ctx(a.words[0], int16(a.num("v", version))), req, func(r *protocol.SyncGroupResponse) {
		if r.ErrorCode != protocol.None {
			s.say("%s sync %s", a.words[0], r.ErrorCode)
			return
		}
		text := string(r.Assignment)
		if a.str("embedded", a.str("give", "")) != "" {
			text = readEmbedded(a, r.Assignment)
		}
		s.say("%s synced %s/%s assignment=%s", a.words[0], *r.ProtocolType, *r.ProtocolName, text)
	})
}

func (s *script) heartbeat(a args) {
	s.c.Heartbeat(ctx(a.words[0], 4), &protocol.HeartbeatRequest{
		GroupId: a.str("group", "g"), MemberId: a.str("member", a.words[0]), GenerationId: int32(a.num("generation", 1)),
		GroupInstanceId: a.opt("instance"),
	}, func(r *protocol.HeartbeatResponse) { s.say("%s heartbeat %s", a.words[0], r.ErrorCode) })
}

// leave takes members, or @instance for a static member without its id.
func (s *script) leave(a args) {
	version := int16(a.num("v", 5))
	req := &protocol.LeaveGroupRequest{GroupId: a.str("group", "g")}
	if version < 3 {
		req.MemberId = a.words[0]
	}
	for _, who := range a.words {
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
		s.say("leave %s members=%s", r.ErrorCode, strings.Join(codes, ","))
	})
}

// commit takes offsets as topic-partition:offset,…
func (s *script) commit(a args) {
	req := &protocol.OffsetCommitRequest{}
	req.SetDefaults()
	req.GroupId = a.str("group", "g")
	req.MemberId = a.str("member", "")
	req.GenerationIdOrMemberEpoch = int32(a.num("generation", -1))
	req.GroupInstanceId = a.opt("instance")
	req.RetentionTimeMs = int64(a.num("retention", -1))
	for _, x := range a.words {
		topic, partition, offset := splitOffset(a, x)
		t, _ := s.cluster.Topic(topic)
		req.Topics = append(req.Topics, protocol.OffsetCommitRequestTopic{Name: topic, TopicId: t.ID, Partitions: []protocol.OffsetCommitRequestPartition{{
			PartitionIndex: partition, CommittedOffset: offset, CommittedLeaderEpoch: int32(a.num("epoch", -1)), CommittedMetadata: a.opt("metadata"),
		}}})
	}
	s.c.OffsetCommit(ctx("c", int16(a.num("v", 9))), req, func(r *protocol.OffsetCommitResponse) {
		codes := []string{}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, fmt.Sprintf("%s-%d:%s", t.Name, p.PartitionIndex, p.ErrorCode))
			}
		}
		s.say("committed %s", strings.Join(codes, " "))
	})
}

func splitOffset(a args, text string) (topic string, partition int32, offset int64) {
	where, at, _ := strings.Cut(text, ":")
	i := strings.LastIndexByte(where, '-')
	n, err := strconv.Atoi(where[i+1:])
	if err != nil {
		a.Fatalf("%s: %v", text, err)
	}
	if at != "" {
		if offset, err = strconv.ParseInt(at, 10, 64); err != nil {
			a.Fatalf("%s: %v", text, err)
		}
	}
	return where[:i], int32(n), offset
}

// fetch takes topic-partition,… or nothing for all.
func (s *script) fetch(a args) {
	version := int16(a.num("v", 9))
	var named []protocol.OffsetFetchRequestTopics
	for _, x := range a.words {
		topic, partition, _ := splitOffset(a, x)
		named = append(named, protocol.OffsetFetchRequestTopics{Name: topic, PartitionIndexes: []int32{partition}})
	}
	req := &protocol.OffsetFetchRequest{RequireStable: a.str("stable", "") != ""}
	for _, g := range strings.Split(a.str("group", "g"), ",") {
		req.Groups = append(req.Groups, protocol.OffsetFetchRequestGroup{
			GroupId: g, Topics: named, MemberId: a.opt("member"), MemberEpoch: int32(a.num("epoch", -1)),
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
			s.say("fetched %s%s", r.ErrorCode, fetchedTopics(r.Topics, func(t protocol.OffsetFetchResponseTopic) (string, []protocol.OffsetFetchResponsePartition) {
				return t.Name, t.Partitions
			}))
			return
		}
		for _, g := range r.Groups {
			s.say("fetched %s %s%s", g.GroupId, g.ErrorCode, fetchedTopics(g.Topics, func(t protocol.OffsetFetchResponseTopics) (string, []protocol.OffsetFetchResponsePartition) {
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

func (s *script) list(a args) {
	s.c.ListGroups(ctx("admin", 5), &protocol.ListGroupsRequest{StatesFilter: a.list("states"), TypesFilter: a.list("types")},
		func(r *protocol.ListGroupsResponse) {
			s.say("listed %s", r.ErrorCode)
			for _, g := range r.Groups {
				s.say("  %s type=%s state=%s protocol-type=%s", g.GroupId, g.GroupType, g.GroupState, g.ProtocolType)
			}
		})
}

func (s *script) describe(a args) {
	s.c.DescribeGroups(ctx("admin", int16(a.num("v", 6))), &protocol.DescribeGroupsRequest{Groups: a.words}, func(r *protocol.DescribeGroupsResponse) {
		for _, g := range r.Groups {
			message := ""
			if g.ErrorMessage != nil {
				message = " (" + *g.ErrorMessage + ")"
			}
			s.say("described %s %s%s state=%s type=%s protocol=%s", g.GroupId, g.ErrorCode, message, g.GroupState, g.ProtocolType, g.ProtocolData)
			for _, m := range g.Members {
				instance := ""
				if m.GroupInstanceId != nil {
					instance = "@" + *m.GroupInstanceId
				}
				s.say("  %s%s %s%s metadata=%d bytes assignment=%s", m.MemberId, instance, m.ClientId, m.ClientHost, len(m.MemberMetadata), m.MemberAssignment)
			}
		}
	})
}

func (s *script) delete(a args) {
	s.c.DeleteGroups(ctx("admin", 2), &protocol.DeleteGroupsRequest{GroupsNames: a.words}, func(r *protocol.DeleteGroupsResponse) {
		for _, g := range r.Results {
			s.say("deleted %s %s", g.GroupId, g.ErrorCode)
		}
	})
}

func (s *script) offsetDelete(a args) {
	req := &protocol.OffsetDeleteRequest{GroupId: a.str("group", "g")}
	for _, x := range a.words {
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
		s.say("offsets deleted %s%s", r.ErrorCode, codes)
	})
}

// printLog prints the records written since the last time.
func (s *script) printLog() {
	for p := range int32(testPartitions) {
		entries := s.world.log.Entries(p)
		for _, e := range entries[s.shown[p]:] {
			switch {
			case e.Marker != nil:
				s.say("%s of producer %d:%d by coordinator %d", e.Marker.Type, e.ProducerID, e.ProducerEpoch, e.Marker.CoordinatorEpoch)
			case e.Transactional:
				s.say("producer %d:%d %s", e.ProducerID, e.ProducerEpoch, describeRecord(s.t, e.Key, e.Value))
			default:
				s.say("%s", describeRecord(s.t, e.Key, e.Value))
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
