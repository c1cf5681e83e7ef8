package fetchsession

import (
	"fmt"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

func request(id, epoch int32, partitions ...int32) *protocol.FetchRequest {
	t := protocol.FetchRequestFetchTopic{Topic: "t"}
	for _, p := range partitions {
		t.Partitions = append(t.Partitions, protocol.FetchRequestFetchPartition{Partition: p, PartitionMaxBytes: 1 << 20})
	}
	r := &protocol.FetchRequest{SessionId: id, SessionEpoch: epoch}
	if len(partitions) > 0 {
		r.Topics = append(r.Topics, t)
	}
	return r
}

func begin(t *testing.T, c *Cache, r *protocol.FetchRequest, want protocol.ErrorCode) *Context {
	t.Helper()
	ctx, code := c.Begin(r, 12, 0, 7)
	if code != want {
		t.Fatalf("Begin(id %d, epoch %d) = %v, want %v", r.SessionId, r.SessionEpoch, code, want)
	}
	return ctx
}

func order(ctx *Context) string {
	s := ""
	for _, p := range ctx.Partitions {
		s += fmt.Sprint(p.Index)
	}
	return s
}

func TestIncrementalFetchNamesOnlyNews(t *testing.T) {
	c := NewCache(10)
	ctx := begin(t, c, request(0, 0, 0, 1, 2), protocol.None)
	id := ctx.SessionID()
	if id == 0 {
		t.Fatal("no session was opened")
	}
	for _, p := range ctx.Partitions {
		if !ctx.News(p, protocol.None, 10, 0, 0, false) {
			t.Error("a full fetch answers every partition")
		}
	}
	ctx.End()

	ctx = begin(t, c, request(id, 1), protocol.None)
	if !ctx.Incremental() || order(ctx) != "012" {
		t.Fatalf("partitions %q, want all three remembered", order(ctx))
	}
	if ctx.News(ctx.Partitions[0], protocol.None, 10, 0, 0, false) {
		t.Error("nothing changed, yet the partition is answered")
	}
	if !ctx.News(ctx.Partitions[1], protocol.None, 11, 0, 0, false) {
		t.Error("the high watermark moved, yet the partition is left out")
	}
	if !ctx.News(ctx.Partitions[2], protocol.NotLeaderOrFollower, -1, -1, 0, false) {
		t.Error("an error is left out")
	}
	ctx.End()

	ctx = begin(t, c, request(id, 2), protocol.None)
	if !ctx.News(ctx.Partitions[2], protocol.NotLeaderOrFollower, -1, -1, 0, false) {
		t.Error("an error that lasts is told again")
	}
	ctx.End()
}

func TestPartitionThatGaveDataIsReadLastNextTime(t *testing.T) {
	c := NewCache(10)
	ctx := begin(t, c, request(0, 0, 0, 1, 2), protocol.None)
	ctx.News(ctx.Partitions[0], protocol.None, 10, 0, 100, false)
	ctx.End()
	ctx = begin(t, c, request(ctx.SessionID(), 1), protocol.None)
	if got := order(ctx); got != "120" {
		t.Errorf("order %s, want 120", got)
	}
}

func TestWrongEpochAndUnknownSessionAreTold(t *testing.T) {
	c := NewCache(10)
	ctx := begin(t, c, request(0, 0, 0), protocol.None)
	ctx.End()
	begin(t, c, request(ctx.SessionID(), 2), protocol.InvalidFetchSessionEpoch)
	begin(t, c, request(ctx.SessionID()+1, 1), protocol.FetchSessionIdNotFound)
	_, code := c.Begin(request(ctx.SessionID(), 1), 13, 0, 7)
	if code != protocol.FetchSessionTopicIdError {
		t.Errorf("a session by name used with ids: %v", code)
	}
	begin(t, c, request(ctx.SessionID(), -1, 0), protocol.None)
	if c.Len() != 0 {
		t.Error("the final epoch must close the session")
	}
}

func TestSessionServesOneRequestAtATime(t *testing.T) {
	c := NewCache(10)
	ctx := begin(t, c, request(0, 0, 0), protocol.None)
	begin(t, c, request(ctx.SessionID(), 1), protocol.InvalidFetchSessionEpoch)
	ctx.End()
	begin(t, c, request(ctx.SessionID(), 1), protocol.None)
}

func TestForgottenAndAddedPartitions(t *testing.T) {
	c := NewCache(10)
	ctx := begin(t, c, request(0, 0, 0, 1), protocol.None)
	ctx.End()
	r := request(ctx.SessionID(), 1, 5)
	r.ForgottenTopicsData = []protocol.FetchRequestForgottenTopic{{Topic: "t", Partitions: []int32{0, 9}}}
	ctx = begin(t, c, r, protocol.None)
	if got := order(ctx); got != "15" {
		t.Errorf("partitions %s, want 15", got)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := NewCache(2)
	for i := range 3 {
		ctx, _ := c.Begin(request(0, 0, 0), 12, 0, int32(i))
		if (ctx.SessionID() != 0) != (i < 2) {
			t.Errorf("session %d: id %d", i, ctx.SessionID())
		}
	}
	ctx, _ := c.Begin(request(0, 0, 0), 12, EvictionMs, 9)
	if ctx.SessionID() == 0 || c.Len() != 2 || c.total != 2 {
		t.Errorf("an idle session must give way: id %d, %d sessions, %d partitions", ctx.SessionID(), c.Len(), c.total)
	}
}
