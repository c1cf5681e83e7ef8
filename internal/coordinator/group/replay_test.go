package group

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/offsets"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/coordinator/runtime/runtimetest"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

func TestAGroupIsFoundWhereJavaWouldLookForIt(t *testing.T) {
	// Computed with java.lang.String.hashCode and 50 partitions.
	for id, want := range map[string]int32{
		"g": 3, "my-group": 12, "console-consumer-12345": 6, "그룹": 19, "🐙": 12, "": 0,
		"polygenelubricants": 0, // its hash is the smallest integer
	} {
		if got := PartitionFor(id, 50); got != want {
			t.Errorf("group %q is on partition %d, want %d", id, got, want)
		}
	}
}

func TestRecordsOfEveryVersionAreReplayed(t *testing.T) {
	for version := range int16(5) {
		c := newCore(&Settings{}, &cluster{})
		group := coordrecord.GroupMetadataValue{
			ProtocolType: "consumer", Generation: 7, Protocol: ptr("range"), Leader: ptr("m"), CurrentStateTimestamp: 5,
			Members: []coordrecord.GroupMetadataValueMemberMetadata{{
				MemberId: "m", ClientId: "c", ClientHost: "/h", RebalanceTimeout: 20, SessionTimeout: 10,
				Subscription: subscription("t"), Assignment: []byte("a"),
			}},
		}
		if err := c.Apply(classic.AppendKey(nil, "g"), group.Append([]byte{0, byte(version)}, version), runtime.Origin{}); err != nil {
			t.Fatal(err)
		}
		rebalance, since := 20, 5
		if version < 1 {
			rebalance = 10 // the session timeout
		}
		if version < 2 {
			since = -1
		}
		want := fmt.Sprintf(`group g Stable generation 7 type "consumer" protocol range leader "m" since %d subscribed [t]
  member m instance - client c/h session 10 rebalance %d metadata %x assignment 61`, since, rebalance, subscription("t"))
		if got := c.groups["g"].(*classic.Group).String(); got != want {
			t.Errorf("version %d is replayed as\n%s\nwant\n%s", version, got, want)
		}
		value := coordrecord.OffsetCommitValue{Offset: 9, LeaderEpoch: 3, Metadata: "x", CommitTimestamp: 4, ExpireTimestamp: 8}
		key := offsets.AppendKey(nil, "simple", "t", 1)
		key[1] = byte(version % 2) // the old type of key has the same fields
		if err := c.Apply(key, value.Append([]byte{0, byte(version)}, version), runtime.Origin{}); err != nil {
			t.Fatal(err)
		}
		o, _ := c.offsets.Get("simple", "t", 1)
		wanted := offsets.Committed{Offset: 9, LeaderEpoch: -1, Metadata: "x", CommitTimestampMs: 4, ExpireTimestampMs: -1}
		if version == 1 {
			wanted.ExpireTimestampMs = 8
		}
		if version >= 3 {
			wanted.LeaderEpoch = 3
		}
		if o != wanted {
			t.Errorf("version %d is replayed as %+v, want %+v", version, o, wanted)
		}
	}
}

func TestRecordsOfUnknownKindsAreSkippedAndBrokenOnesRefused(t *testing.T) {
	c := newCore(&Settings{}, &cluster{})
	if err := c.Apply([]byte{0, 99, 1, 2}, []byte{0, 0}, runtime.Origin{}); err != nil {
		t.Errorf("a record of a kind to come: %v", err)
	}
	offsetKey, groupKey := offsets.AppendKey(nil, "g", "t", 0), classic.AppendKey(nil, "g")
	for name, r := range map[string][2][]byte{
		"an empty key":               {nil, {0, 3}},
		"half an offset key":         {offsetKey[:5], {0, 3}},
		"half a group key":           {groupKey[:3], {0, 3}},
		"an offset without version":  {offsetKey, {0}},
		"an offset from the future":  {offsetKey, {0, 5, 0}},
		"half an offset":             {offsetKey, {0, 3, 0, 0}},
		"a group from the future":    {groupKey, {0, 5, 0}},
		"a group without an ending":  {groupKey, {0, 3, 0, 1}},
		"a group with a giant count": {groupKey, {0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}},
	} {
		if err := c.Apply(r[0], r[1], runtime.Origin{}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzReplay(f *testing.F) {
	w := newWorld(f, nil)
	s := &scene{world: w}
	for _, line := range []string{"join a v=3", "pass 3000", "sync a-1 assign=a-1:x", "commit t-0:1 member=a-1 generation=1", "leave a-1",
		"topics t=3", "stream a group=r", "stream b group=r epoch=0 endpoint=h:1 tags=k:v",
		"beat a group=h regex=t.*", "beat b group=h topics=t instance=i", "beat a group=h epoch=1", "join c group=h v=3",
		"share-beat a group=s", "share-beat a group=s epoch=2", "share-beat b group=s rack=r", "share-beat a group=s epoch=-1"} {
		op, rest, _ := strings.Cut(line, " ")
		s.step(op, script.Parse(f, rest))
		w.Run()
	}
	for p := range int32(testPartitions) {
		for _, e := range w.log.Entries(p) {
			f.Add(e.Key, e.Value)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		settings := DefaultSettings()
		c := newCore(&settings, &cluster{})
		if c.Apply(key, value, runtime.Origin{}) == nil {
			c.Loaded(0, &runtime.Effects{})
		}
	})
}

func TestWhatDoesNotFitIntoARecordIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	long := strings.Repeat("x", classic.MaxNameBytes+1)
	one := []protocol.JoinGroupRequestProtocol{{Name: "range"}}
	for name, c := range map[string]struct {
		req  protocol.JoinGroupRequest
		want protocol.ErrorCode
	}{
		"group":     {protocol.JoinGroupRequest{GroupId: long, ProtocolType: "consumer", Protocols: one}, protocol.InvalidGroupId},
		"type":      {protocol.JoinGroupRequest{GroupId: "g", ProtocolType: long, Protocols: one}, protocol.InvalidRequest},
		"instance":  {protocol.JoinGroupRequest{GroupId: "g", ProtocolType: "consumer", Protocols: one, GroupInstanceId: &long}, protocol.InvalidRequest},
		"protocol":  {protocol.JoinGroupRequest{GroupId: "g", ProtocolType: "consumer", Protocols: []protocol.JoinGroupRequestProtocol{{Name: long}}}, protocol.InvalidRequest},
		"protocols": {protocol.JoinGroupRequest{GroupId: "g", ProtocolType: "consumer", Protocols: make([]protocol.JoinGroupRequestProtocol, classic.MaxProtocols+1)}, protocol.InvalidRequest},
	} {
		c.req.SessionTimeoutMs = 10_000
		w.c.JoinGroup(ctx("c", 9), &c.req, func(r *protocol.JoinGroupResponse) {
			if r.ErrorCode != c.want {
				t.Errorf("a too long %s is answered %s, want %s", name, r.ErrorCode, c.want)
			}
		})
	}
	var committed *protocol.OffsetCommitResponse
	req := commitRequest()
	req.Topics[0].Name = long
	w.c.OffsetCommit(ctx("c", 9), req, func(r *protocol.OffsetCommitResponse) { committed = r })
	w.Run()
	if code := committed.Topics[0].Partitions[0].ErrorCode; code != protocol.InvalidTopicException {
		t.Errorf("an offset of a topic with a too long name is answered %s", code)
	}
	// A client id may be as long as the protocol allows: it is cut.
	var joined *protocol.JoinGroupResponse
	w.c.JoinGroup(ctx(strings.Repeat("y", 32767), 3), &protocol.JoinGroupRequest{
		GroupId: "g", ProtocolType: "consumer", Protocols: one, SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 10_000,
	}, func(r *protocol.JoinGroupResponse) { joined = r })
	w.Advance(3000)
	if joined.ErrorCode != protocol.None || len(joined.MemberId) > 32767 {
		t.Errorf("a long client id is answered %s with a member id of %d bytes", joined.ErrorCode, len(joined.MemberId))
	}
}

func TestPendingMembersAndTheBytesOfAGroupAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	var last protocol.ErrorCode
	join := func(version int16, metadata []byte) {
		w.c.JoinGroup(ctx("c", version), &protocol.JoinGroupRequest{
			GroupId: "g", ProtocolType: "connect", SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 10_000,
			Protocols: []protocol.JoinGroupRequestProtocol{{Name: "p", Metadata: metadata}},
		}, func(r *protocol.JoinGroupResponse) { last = r.ErrorCode })
		w.Run()
	}
	for range classic.MaxPendingMembers {
		join(9, nil)
	}
	if last != protocol.MemberIdRequired {
		t.Fatalf("the last member with room is answered %s", last)
	}
	if join(9, nil); last != protocol.GroupMaxSizeReached {
		t.Errorf("one pending member too many is answered %s", last)
	}
	last = protocol.None
	half := make([]byte, classic.MaxGroupBytes/2)
	join(3, half)
	if join(3, half); last != protocol.GroupMaxSizeReached {
		t.Errorf("a member that makes the group too large is answered %s", last)
	}
}

func TestOffsetsOfAnEarlierTopicOfTheSameNameDoNotCount(t *testing.T) {
	w := newWorld(t, nil)
	old, now := protocol.UUID{1}, protocol.UUID{2}
	req := commitRequest()
	req.Topics[0].TopicId = old
	w.c.OffsetCommit(ctx("c", 10), req, func(*protocol.OffsetCommitResponse) {})
	w.Run()
	w.check()
	for asked, want := range map[protocol.UUID]int64{old: 123456, now: -1, {}: 123456} {
		w.c.OffsetFetch(ctx("c", 10), &protocol.OffsetFetchRequest{Groups: []protocol.OffsetFetchRequestGroup{{
			GroupId: "group", Topics: []protocol.OffsetFetchRequestTopics{{Name: "topic", TopicId: asked, PartitionIndexes: []int32{0}}},
		}}}, func(r *protocol.OffsetFetchResponse) {
			if got := r.Groups[0].Topics[0].Partitions[0].CommittedOffset; got != want {
				t.Errorf("topic id %s: offset %d, want %d", asked, got, want)
			}
		})
	}
	w.Run()
}

func TestATopicDeletedWhileAPartitionLoadsIsForgottenAfterwards(t *testing.T) {
	w := newWorld(t, nil)
	w.c.OffsetCommit(ctx("c", 9), commitRequest(), func(*protocol.OffsetCommitResponse) {})
	w.Run()
	p := w.c.PartitionFor("group")
	w.c.OnResigned(p, 2)
	w.c.OnElected(p, 3)
	w.c.OnTopicDeleted("topic", protocol.UUID{})
	w.Run()
	if w.cores[p].offsets.Total() != 10 {
		t.Fatal("the partition was not loading")
	}
	w.Advance(notReadyRetryMs)
	if n := w.cores[p].offsets.Total(); n != 0 {
		t.Errorf("%d offsets of the deleted topic are left", n)
	}
	w.check()
}

func TestManyClientsAtOnceOnRealGoroutines(t *testing.T) {
	c := New(Config{
		Settings: DefaultSettings(), Partitions: 5, Log: runtimetest.NewLog(), Clock: wallClock{}, NewUUID: func() string { return "u" },
		Logger: slog.New(slog.DiscardHandler),
	})
	for p := range int32(5) {
		c.OnElected(p, 1)
	}
	for !loaded(c) {
		continue // it is the work of microseconds
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			req := commitRequest()
			req.GroupId = fmt.Sprint("g", g%4)
			for range 100 {
				done := make(chan struct{})
				c.OffsetCommit(ctx("c", 9), req, func(*protocol.OffsetCommitResponse) { close(done) })
				<-done
				listed := make(chan struct{})
				c.ListGroups(ctx("c", 5), &protocol.ListGroupsRequest{}, func(*protocol.ListGroupsResponse) { close(listed) })
				<-listed
			}
		})
	}
	wg.Wait()
	c.Close()
}
