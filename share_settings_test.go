package naru_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// setGroup changes settings of group g: "key=value".
func (p *peer) setGroup(settings ...string) {
	p.t.Helper()
	resource := protocol.IncrementalAlterConfigsRequestAlterConfigsResource{ResourceType: 32, ResourceName: "g"}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		resource.Configs = append(resource.Configs, protocol.IncrementalAlterConfigsRequestAlterableConfig{Name: key, Value: &value})
	}
	r := p.mustAsk(&protocol.IncrementalAlterConfigsRequest{Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{resource}}, 1)
	if x := r.(*protocol.IncrementalAlterConfigsResponse).Responses[0]; x.ErrorCode != protocol.None {
		p.t.Fatalf("setting %v: %v", settings, x.ErrorCode)
	}
}

// startSharers starts a node on which group g shares topic t, with settings of the node:
// "key=value".
func startSharers(t *testing.T, settings ...string) (*naru.Node, *peer, protocol.UUID) {
	t.Helper()
	properties := map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir()}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		properties[key] = value
	}
	node, err := naru.Start(t.Context(), naru.Config{Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	p := dial(t, node.Addr())
	return node, p, startSharing(p)
}

// waitFor fetches in the background; what is acquired comes over the channel.
func (s *sharer) waitFor() <-chan []string {
	acquired := make(chan []string, 1)
	go func() {
		got, _ := s.share(20000)
		acquired <- got
	}()
	return acquired
}

// acquireAll fetches until as many records are acquired.
func (s *sharer) acquireAll(records int64) (ranges []string) {
	s.t.Helper()
	for left := records; left > 0; {
		got, _ := s.share(5000)
		if len(got) == 0 {
			s.t.Fatalf("%s acquires %v, and nothing more", s.member, ranges)
		}
		for _, text := range got {
			var first, last, count int64
			if _, err := fmt.Sscanf(text, "%d-%d:%d", &first, &last, &count); err != nil {
				s.t.Fatal(err)
			}
			left -= last - first + 1
		}
		ranges = append(ranges, got...)
	}
	return ranges
}

// A group that reads committed records gets nothing of transactions that are aborted, and
// what is behind an open one when that has ended. Markers are offsets like any other.
func TestAShareGroupThatReadsCommittedRecordsGetsNoOthers(t *testing.T) {
	node, p, topic := startSharers(t)
	p.setGroup("share.isolation.level=read_committed")
	ctx := txnContext(t)
	writer := newClient(t, node, kgo.TransactionalID("x"))
	begin := func(values ...string) {
		t.Helper()
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if err := writer.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(v)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	end := func(how kgo.TransactionEndTry) {
		t.Helper()
		if err := writer.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	for i, how := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		begin(fmt.Sprint(3*i), fmt.Sprint(3*i+1))
		end(how)
	}
	p.produce("t", batch(t, "12"))
	waitCommitted(t, ctx, node, "t", 0, []string{"0", "1", "6", "7", "12"})
	a, b := newSharer(t, node, "a", topic), newSharer(t, node, "b", topic)
	a.mustShare("0-2:1", "5-8:1", "11-12:1")
	a.mustAcknowledge(0, 2, 1)

	// One transaction is open, and hides what is behind it.
	begin("13")
	p.produce("t", batch(t, "14"))
	if got, _ := a.share(0); len(got) > 0 {
		t.Fatalf("a acquires %v behind an open transaction", got)
	}
	waiting := a.waitFor()
	end(kgo.TryCommit)
	if got := <-waiting; !slices.Equal(got, []string{"13-15:1"}) {
		t.Fatalf("a acquires %v when the transaction is committed", got)
	}

	// What is archived of aborted transactions is in nobody's way: 5-8 and 11-15 come again.
	b.share(0)
	a.nc.Close()
	if got := b.acquireAll(9); !slices.Equal(got, []string{"5-8:2", "11-12:2", "13-15:2"}) {
		t.Fatalf("b acquires %v", got)
	}

	// From now on it reads whatever there is.
	p.setGroup("share.isolation.level=read_uncommitted")
	begin("16")
	end(kgo.TryAbort)
	begin("18")
	b.mustShare("16-18:1")
}

func TestAShareGroupBeginsWhereItsSettingSays(t *testing.T) {
	const nothing = ""
	for reset, want := range map[string]string{
		"by_duration:PT1H": "2-4:1", "by_duration:P1DT1M": "0-4:1", "by_duration:PT1M": nothing, "earliest": "0-4:1", "latest": nothing,
	} {
		t.Run(reset, func(t *testing.T) {
			node := startNode(t)
			p := dial(t, node.Addr())
			p.setGroup("share.auto.offset.reset=" + reset)
			a := newSharer(t, node, "a", startSharingAt(p, -1))
			for _, age := range []time.Duration{24 * time.Hour, 2 * time.Hour, 50 * time.Minute, 40 * time.Minute, 30 * time.Minute} {
				var b record.Builder
				b.Reset(record.DefaultSpec())
				if err := b.Append(time.Now().Add(-age).UnixMilli(), nil, nil); err != nil {
					t.Fatal(err)
				}
				data, err := b.Build(nil)
				if err != nil {
					t.Fatal(err)
				}
				p.produce("t", data)
			}
			if got, _ := a.share(500); strings.Join(got, " ") != want {
				t.Fatalf("a acquires %v, want %s", got, want)
			}
			p.produce("t", batch(t, "now"))
			a.mustShare("5-5:1")
		})
	}
}

// Locks last as long as the group's setting says when the records are acquired, but not
// shorter than the brokers allow.
func TestLocksLastAsLongAsTheSettingSays(t *testing.T) {
	node, p, topic := startSharers(t, "group.share.min.record.lock.duration.ms=1000", "group.share.record.lock.duration.ms=40000")
	a, b := newSharer(t, node, "a", topic), newSharer(t, node, "b", topic)
	p.produce("t", batch(t, "0"))
	a.lockMs, b.lockMs = 40000, 1000
	a.mustShare("0-0:1")
	p.setGroup("share.record.lock.duration.ms=1000")
	p.produce("t", batch(t, "1"))
	began := time.Now()
	b.mustShare("1-1:1")
	a.lockMs = 1000
	a.mustShare("1-1:2") // b's time is up; a's own lock lasts 40 s
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("b's lock lasted %s", waited)
	}
	a.mustAcknowledge(0, 0, 1)
	if _, code := b.acknowledge(b.epoch, 1, 1, 1); code != protocol.InvalidRecordState {
		t.Errorf("b acknowledges too late and is answered %v", code)
	}
	p.setGroup("share.record.lock.duration.ms=60000")
	p.produce("t", batch(t, "2"))
	a.lockMs = 60000
	a.mustShare("2-2:1")
}

func TestRecordsAreDeliveredAsOftenAsTheSettingSays(t *testing.T) {
	node, p, topic := startSharers(t, "group.share.delivery.count.limit=3")
	a := newSharer(t, node, "a", topic)
	const release, renew = 2, 4
	deliver := func(offset int64, counts ...int) {
		t.Helper()
		for _, n := range counts {
			a.mustShare(fmt.Sprintf("%d-%d:%d", offset, offset, n))
			a.mustAcknowledge(offset, offset, release)
		}
	}
	p.produce("t", batch(t, "0"))
	deliver(0, 1, 2, 3)
	p.produce("t", batch(t, "1"))
	deliver(1, 1, 2) // 0 is given up
	p.setGroup("share.delivery.count.limit=5")
	deliver(1, 3, 4, 5)
	p.produce("t", batch(t, "2"))
	deliver(2, 1, 2, 3)
	// Records that were delivered more often than is allowed now come once more, as in Kafka:
	// what counts is the limit when they are given back.
	p.setGroup("share.delivery.count.limit=2")
	deliver(2, 4)
	p.produce("t", batch(t, "3"))
	a.mustShare("3-3:1")

	p.setGroup("share.renew.acknowledge.enable=false")
	group := "g"
	r := &protocol.ShareAcknowledgeRequest{
		GroupId: &group, MemberId: &a.member, ShareSessionEpoch: a.epoch, IsRenewAck: true,
		Topics: []protocol.ShareAcknowledgeRequestAcknowledgeTopic{{TopicId: topic, Partitions: []protocol.ShareAcknowledgeRequestAcknowledgePartition{{
			AcknowledgementBatches: []protocol.ShareAcknowledgeRequestAcknowledgementBatch{{FirstOffset: 3, LastOffset: 3, AcknowledgeTypes: []int8{renew}}},
		}}}},
	}
	for _, enabled := range []string{"false", "true"} {
		p.setGroup("share.renew.acknowledge.enable=" + enabled)
		answer := a.mustAsk(r, 2).(*protocol.ShareAcknowledgeResponse)
		r.ShareSessionEpoch++
		want := map[string]protocol.ErrorCode{"false": protocol.InvalidRecordState, "true": protocol.None}[enabled]
		if code := answer.Responses[0].Partitions[0].ErrorCode; code != want {
			t.Errorf("with renewing %s a is answered %v, want %v", enabled, code, want)
		}
	}
}

// No more than so many records are in flight; a member that comes later gets none until
// the setting allows for more.
func TestAsManyRecordsAreInFlightAsTheSettingSays(t *testing.T) {
	node, p, topic := startSharers(t, "group.share.partition.max.record.locks=100", "group.share.min.partition.max.record.locks=100")
	a, b := newSharer(t, node, "a", topic), newSharer(t, node, "b", topic)
	ten := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
	for range 30 {
		p.produce("t", batch(t, ten...))
	}
	a.mustShare("0-99:1")
	if got, _ := b.share(100); len(got) > 0 {
		t.Fatalf("b acquires %v beyond the limit", got)
	}
	a.mustAcknowledge(0, 49, 1)
	b.mustShare("100-149:1")
	p.setGroup("share.partition.max.record.locks=200")
	b.mustShare("150-249:1")
	p.setGroup("share.partition.max.record.locks=100")
	a.mustAcknowledge(50, 99, 1)
	if got, _ := a.share(100); len(got) > 0 {
		t.Fatalf("a acquires %v beyond the limit", got)
	}
	b.mustAcknowledge(100, 249, 1)
	a.mustShare("250-299:1")
}

// Members are told new intervals with their next heartbeat. Settings of the brokers that
// Kafka reads once are not to be changed while they run.
func TestMembersOfAShareGroupFollowItsSettings(t *testing.T) {
	p := dial(t, startNode(t).Addr())
	p.ready()
	heartbeat := &protocol.ShareGroupHeartbeatRequest{GroupId: "g", MemberId: "m", SubscribedTopicNames: []string{"none"}}
	beat := func() *protocol.ShareGroupHeartbeatResponse {
		t.Helper()
		r := p.mustAsk(heartbeat, 1).(*protocol.ShareGroupHeartbeatResponse)
		if r.ErrorCode != protocol.None {
			t.Fatal(r.ErrorCode)
		}
		heartbeat.MemberEpoch, heartbeat.SubscribedTopicNames = r.MemberEpoch, nil
		return r
	}
	if ms := beat().HeartbeatIntervalMs; ms != 5000 {
		t.Errorf("the heartbeat's interval is %d ms", ms)
	}
	p.setGroup("share.heartbeat.interval.ms=7000")
	if ms := beat().HeartbeatIntervalMs; ms != 7000 {
		t.Errorf("the heartbeat's interval is %d ms after it was changed", ms)
	}
	for _, c := range []struct {
		kind     int8
		resource string
		setting  string
		want     protocol.ErrorCode
	}{
		{4, "", "group.share.assignment.interval.ms=2000", protocol.None},
		{4, "", "group.share.record.lock.duration.ms=20000", protocol.InvalidRequest},
		{4, "1", "group.share.delivery.count.limit=4", protocol.InvalidRequest},
		{32, "g", "share.heartbeat.interval.ms=70000", protocol.InvalidConfig},
		{32, "g", "share.delivery.count.limit=1", protocol.InvalidConfig},
		{32, "g", "share.delivery.count.limit=11", protocol.InvalidConfig},
		{32, "g", "share.record.lock.duration.ms=14999", protocol.InvalidConfig},
		{32, "g", "share.partition.max.record.locks=4001", protocol.InvalidConfig},
		{32, "g", "share.auto.offset.reset=by_duration:-PT1H", protocol.InvalidConfig},
		{32, "g", "share.isolation.level=read_everything", protocol.InvalidConfig},
	} {
		key, value, _ := strings.Cut(c.setting, "=")
		r := p.mustAsk(&protocol.IncrementalAlterConfigsRequest{Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{{
			ResourceType: c.kind, ResourceName: c.resource, Configs: []protocol.IncrementalAlterConfigsRequestAlterableConfig{{Name: key, Value: &value}},
		}}}, 1).(*protocol.IncrementalAlterConfigsResponse)
		if code := r.Responses[0].ErrorCode; code != c.want {
			t.Errorf("setting %s is answered %v, want %v", c.setting, code, c.want)
		}
	}
}
