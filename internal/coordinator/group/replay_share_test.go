package group

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/coordinator/runtime/runtimetest"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// applyShareRecord replays one record.
func applyShareRecord(t *testing.T, c *core, key coordrecord.Key, value coordrecord.Value) {
	t.Helper()
	var v []byte
	if value != nil {
		v = coordrecord.AppendValue(nil, value, 0)
	}
	if err := c.Apply(coordrecord.AppendKey(nil, key), v, runtime.Origin{}); err != nil {
		t.Fatal(err)
	}
}

func TestPartitionsThatATopicDoesNotHaveAreNotAssigned(t *testing.T) {
	id := protocol.UUID{1}
	settings := DefaultSettings()
	settings.classic.MaxRecordBytes = 1 << 20
	c := newCore(&settings, &cluster{topics: []consumer.Topic{{Name: "t", ID: id, Partitions: 2}}})
	applyShareRecord(t, c, &coordrecord.ShareGroupStatePartitionMetadataKey{GroupId: "g"}, &coordrecord.ShareGroupStatePartitionMetadataValue{
		InitializedTopics: []coordrecord.ShareGroupStatePartitionMetadataValueTopicPartitionsInfo{{TopicId: id, TopicName: "t", Partitions: []int32{7, 0, 0}}},
	})
	call := &shareHeartbeatCall{}
	call.Request = &protocol.ShareGroupHeartbeatRequest{GroupId: "g", MemberId: "m", SubscribedTopicNames: []string{"t"}}
	c.Handle(call, 1, &runtime.Effects{})
	if got := call.Response.Assignment.TopicPartitions; len(got) != 1 || !slices.Equal(got[0].Partitions, []int32{0}) {
		t.Errorf("the member got %+v, want partition 0", got)
	}
	if call.ask == nil || call.ask.Topics[0].Partitions[0].Partition != 1 {
		t.Errorf("the share coordinator is asked for %+v, want partition 1", call.ask)
	}
}

func TestTheSubscriptionsOfAShareGroupAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	var topics []string
	for i := range 4000 {
		topics = append(topics, fmt.Sprint(i, strings.Repeat("x", 245)))
	}
	var last *protocol.ShareGroupHeartbeatResponse
	beat := func(member int, epoch int32, topics ...string) {
		w.c.ShareGroupHeartbeat(ctx("c", 1), &protocol.ShareGroupHeartbeatRequest{
			GroupId: "g", MemberId: fmt.Sprint("m", member), MemberEpoch: epoch, SubscribedTopicNames: topics,
		}, func(r *protocol.ShareGroupHeartbeatResponse) { last = r })
		w.Run()
	}
	members := classic.MaxGroupBytes / (4000 * 251) // a name has 249 bytes at most, and a length
	for m := range members {
		if beat(m, 0, topics...); last.ErrorCode != protocol.None {
			t.Fatalf("member %d is refused: %s", m, last.ErrorCode)
		}
	}
	if beat(members, 0, topics...); last.ErrorCode != protocol.GroupMaxSizeReached {
		t.Errorf("one too many is answered %s", last.ErrorCode)
	}
	beat(0, 0, "t")
	if beat(members, 0, topics...); last.ErrorCode != protocol.None {
		t.Errorf("after another has unsubscribed, it is answered %s", last.ErrorCode)
	}
}

func TestTombstonesOfAShareGroupThatIsNotThereDoNothing(t *testing.T) {
	c := newCore(&Settings{}, &cluster{})
	for _, key := range []coordrecord.Key{
		&coordrecord.ShareGroupCurrentMemberAssignmentKey{GroupId: "g", MemberId: "m"},
		&coordrecord.ShareGroupTargetAssignmentMemberKey{GroupId: "g", MemberId: "m"},
		&coordrecord.ShareGroupTargetAssignmentMetadataKey{GroupId: "g"},
		&coordrecord.ShareGroupMemberMetadataKey{GroupId: "g", MemberId: "m"},
		&coordrecord.ShareGroupStatePartitionMetadataKey{GroupId: "g"},
		&coordrecord.ShareGroupMetadataKey{GroupId: "g"},
	} {
		applyShareRecord(t, c, key, nil)
		if len(c.groups) > 0 {
			t.Errorf("a tombstone of a %T made a group", key)
		}
	}
}

func TestATombstoneOfAShareGroupDoesNotDeleteAGroupOfAnotherKind(t *testing.T) {
	c := newCore(&Settings{}, &cluster{})
	applyShareRecord(t, c, &coordrecord.ConsumerGroupMetadataKey{GroupId: "g"}, &coordrecord.ConsumerGroupMetadataValue{Epoch: 3})
	applyShareRecord(t, c, &coordrecord.ShareGroupMetadataKey{GroupId: "g"}, nil)
	if _, isShare := c.groups["g"].(*share.Group); isShare || c.groups["g"] == nil {
		t.Errorf("the consumer group has become %v", c.groups["g"])
	}
}

func TestManyMembersOfShareGroupsOnRealGoroutines(t *testing.T) {
	c := New(Config{
		Settings: DefaultSettings(), Partitions: 3, Log: runtimetest.NewLog(), Clock: wallClock{}, NewUUID: func() string { return "u" },
		Logger: slog.New(slog.DiscardHandler), Persister: noPersister{},
	})
	for p := range int32(3) {
		c.OnElected(p, 1)
	}
	for !loaded(c) {
		continue // it is the work of microseconds
	}
	c.setMetadata(&cluster{version: 1, topics: []consumer.Topic{{Name: "t", ID: protocol.UUID{1}, Partitions: 3}}})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				epoch, group := int32(0), fmt.Sprint("g", g%4)
				if i%10 == 9 {
					epoch = -1
				}
				beaten := make(chan struct{})
				c.ShareGroupHeartbeat(ctx("c", 1), &protocol.ShareGroupHeartbeatRequest{
					GroupId: group, MemberId: fmt.Sprint(g), MemberEpoch: epoch, SubscribedTopicNames: []string{"t"},
				}, func(*protocol.ShareGroupHeartbeatResponse) { close(beaten) })
				<-beaten
				deleted := make(chan struct{})
				c.DeleteGroups(ctx("c", 2), &protocol.DeleteGroupsRequest{GroupsNames: []string{group, "g0"}}, func(*protocol.DeleteGroupsResponse) { close(deleted) })
				<-deleted
			}
		})
	}
	wg.Wait()
	c.Close()
}
