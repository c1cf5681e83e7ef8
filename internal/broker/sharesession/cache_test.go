package sharesession

import (
	"fmt"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

func at(indexes ...int32) (out []Partition) {
	for _, i := range indexes {
		out = append(out, Partition{Index: i})
	}
	return out
}

func begin(t *testing.T, c *Cache, f Fetch, want protocol.ErrorCode) *Context {
	t.Helper()
	f.MaxSessions = 2
	if f.Key == (Key{}) {
		f.Key = Key{"g", "a"}
	}
	x, code := c.Begin(&f)
	if code != want {
		t.Fatalf("Begin(%+v) = %v, want %v", f, code, want)
	}
	return x
}

func order(x *Context) (s string) {
	for _, p := range x.Partitions {
		s += fmt.Sprint(p.Index)
	}
	return s
}

func TestLaterRequestsNameOnlyWhatChanges(t *testing.T) {
	c := NewCache()
	x := begin(t, c, Fetch{Added: at(0, 1, 2)}, protocol.None)
	if !x.Opened || order(x) != "012" || !x.News(Partition{}, protocol.None, 0) {
		t.Fatalf("the first answer tells of all: %+v", x)
	}
	x = begin(t, c, Fetch{Epoch: 1, Added: at(1, 3), Forgotten: at(0)}, protocol.None)
	if order(x) != "123" {
		t.Fatalf("partitions %s, want 123", order(x))
	}
	for index, want := range map[int32]bool{1: false, 3: true} {
		if got := x.News(Partition{Index: index}, protocol.None, 0); got != want {
			t.Errorf("partition %d without records is told: %v", index, got)
		}
	}
	// What gave records is read last next time; an error is told until it is gone.
	if !x.News(Partition{Index: 1}, protocol.None, 10) || !x.News(Partition{Index: 2}, protocol.UnknownTopicId, 0) {
		t.Error("records and errors are told")
	}
	x = begin(t, c, Fetch{Epoch: 2}, protocol.None)
	if order(x) != "231" {
		t.Errorf("partitions %s, want 231", order(x))
	}
	if !x.News(Partition{Index: 2}, protocol.None, 0) || x.News(Partition{Index: 2}, protocol.None, 0) {
		t.Error("that an error is gone is told once")
	}
}

func TestEpochsOfASessionAreChecked(t *testing.T) {
	c := NewCache()
	begin(t, c, Fetch{Epoch: 1}, protocol.ShareSessionNotFound)
	begin(t, c, Fetch{Epoch: FinalEpoch}, protocol.ShareSessionNotFound)
	begin(t, c, Fetch{Acknowledges: true, Added: at(0)}, protocol.InvalidRequest)
	begin(t, c, Fetch{Added: at(0)}, protocol.None)
	begin(t, c, Fetch{Epoch: 2}, protocol.InvalidShareSessionEpoch)
	for _, x := range []struct {
		epoch int32
		want  protocol.ErrorCode
	}{{0, protocol.InvalidShareSessionEpoch}, {2, protocol.InvalidShareSessionEpoch}, {1, protocol.None}, {1, protocol.InvalidShareSessionEpoch}, {FinalEpoch, protocol.None}} {
		if _, code := c.Acknowledge(Key{"g", "a"}, x.epoch); code != x.want {
			t.Errorf("acknowledging in epoch %d: %v, want %v", x.epoch, code, x.want)
		}
	}
	begin(t, c, Fetch{Epoch: 2}, protocol.None)
}

func TestSessionsEndWithTheirConnection(t *testing.T) {
	c := NewCache()
	if x := begin(t, c, Fetch{Conn: 7, Added: at(0)}, protocol.None); !x.FirstOfConn {
		t.Error("the first session of a connection must say so")
	}
	if x := begin(t, c, Fetch{Conn: 7, Key: Key{"g", "b"}, Added: at(1)}, protocol.None); x.FirstOfConn {
		t.Error("the second session of a connection is taken for the first")
	}
	begin(t, c, Fetch{Conn: 8, Key: Key{"g", "c"}}, protocol.ShareSessionLimitReached)
	// b comes over another connection now.
	begin(t, c, Fetch{Conn: 8, Key: Key{"g", "b"}, Added: at(1)}, protocol.None)
	closed := c.Disconnected(7)
	if len(closed) != 1 || closed[0].Key.Member != "a" || closed[0].Last || len(closed[0].Partitions) != 1 {
		t.Errorf("closed %+v, want a's", closed)
	}
	if x, ok := c.Close(Key{"g", "b"}); !ok || !x.Last || c.Len() != 0 || c.Members("g") != 0 {
		t.Errorf("closed %+v, %v", x, ok)
	}
	if len(c.Disconnected(8)) != 0 || len(c.conns) != 0 {
		t.Error("what was closed is closed again")
	}
}
