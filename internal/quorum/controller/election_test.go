package controller

import (
	"fmt"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// TestChanges is the table of what follows from a wish for a partition.
func TestChanges(t *testing.T) {
	none := []int32{}
	for _, c := range []struct {
		name string
		// before
		replicas, adding, removing, isr, elr, last []int32
		leader                                     int32
		// wish
		wish     []int32
		minISR   int
		live     []int32
		unclean  []int32
		election election
		elrOff   bool
		// after
		want string
	}{
		{name: "nothing changes", replicas: []int32{1, 2}, isr: []int32{1, 2}, leader: 1, wish: []int32{1, 2}, minISR: 1, live: []int32{1, 2},
			want: "no record"},
		{name: "the leader leaves, the next in assignment order follows", replicas: []int32{1, 2, 3}, isr: []int32{3, 1, 2}, leader: 1,
			wish: []int32{3, 2}, minISR: 2, live: []int32{2, 3},
			want: "leader 2 isr [3 2] elr [] last [] recovering false epoch+1"},
		{name: "a follower leaves, the leader epoch stays", replicas: []int32{1, 2}, isr: []int32{1, 2}, leader: 1,
			wish: []int32{1}, minISR: 1, live: []int32{1},
			want: "leader 1 isr [1] elr [] last [] recovering false epoch+0"},
		{name: "below min.insync.replicas who leaves stays eligible", replicas: []int32{1, 2, 3}, isr: []int32{1, 2}, leader: 1,
			wish: []int32{1}, minISR: 2, live: []int32{1},
			want: "leader 1 isr [1] elr [2] last [] recovering false epoch+0"},
		{name: "who may have lost records does not", replicas: []int32{1, 2, 3}, isr: []int32{1, 2}, leader: 1,
			wish: []int32{1}, minISR: 2, live: []int32{1}, unclean: []int32{2},
			want: "leader 1 isr [1] elr [] last [] recovering false epoch+0"},
		{name: "an eligible replica leads when the ISR is empty", replicas: []int32{1, 2, 3}, isr: none, elr: []int32{2, 3}, leader: -1,
			wish: none, minISR: 2, live: []int32{3},
			want: "leader 3 isr [3] elr [2] last [] recovering false epoch+1"},
		{name: "who was eligible when the feature was taken away still leads", replicas: []int32{1, 2, 3}, isr: none, elr: []int32{2, 3}, last: []int32{2},
			leader: -1, wish: none, minISR: 2, live: []int32{3}, elrOff: true,
			want: "leader 3 isr [3] elr [] last [] recovering false epoch+1"},
		{name: "without the feature nobody becomes eligible", replicas: []int32{1, 2, 3}, isr: []int32{1, 2}, elr: []int32{3}, leader: 1,
			wish: []int32{1}, minISR: 3, live: []int32{1}, elrOff: true,
			want: "leader 1 isr [1] elr [] last [] recovering false epoch+0"},
		{name: "an eligible replica does not lead while somebody is in sync", replicas: []int32{1, 2, 3}, isr: []int32{1}, elr: []int32{2}, leader: 1,
			wish: []int32{1}, minISR: 2, live: []int32{2},
			want: "leader -1 isr [1] elr [2] last [] recovering false epoch+1"},
		{name: "the last leader leads when nobody is eligible", replicas: []int32{1, 2}, isr: none, last: []int32{2}, leader: -1,
			wish: none, minISR: 1, live: []int32{1, 2},
			want: "leader 2 isr [2] elr [] last [] recovering true epoch+1"},
		{name: "the last leader does not lead while it is fenced (KAFKA-19522)", replicas: []int32{1, 2}, isr: none, last: []int32{2}, leader: -1,
			wish: none, minISR: 1, live: []int32{1},
			want: "no record"},
		{name: "an only replica has nobody to reconcile with", replicas: []int32{2}, isr: none, last: []int32{2}, leader: -1,
			wish: none, minISR: 1, live: []int32{2},
			want: "leader 2 isr [2] elr [] last [] recovering false epoch+1"},
		{name: "an unclean election takes whoever lives", replicas: []int32{1, 2, 3}, isr: none, elr: []int32{1}, last: []int32{1}, leader: -1,
			wish: none, minISR: 2, live: []int32{3}, election: electUnclean,
			want: "leader 3 isr [3] elr [] last [] recovering true epoch+1"},
		{name: "an unclean election is not needed while a clean one is possible", replicas: []int32{1, 2, 3}, isr: []int32{1, 2}, leader: 1,
			wish: []int32{2}, minISR: 1, live: []int32{2, 3}, election: electUnclean,
			want: "leader 2 isr [2] elr [] last [] recovering false epoch+1"},
		{name: "the preferred replica takes over", replicas: []int32{1, 2}, isr: []int32{2, 1}, leader: 2,
			wish: []int32{2, 1}, minISR: 1, live: []int32{1, 2}, election: electPreferred,
			want: "leader 1 isr [2 1] elr [] last [] recovering false epoch+1"},
		{name: "the preferred replica does not take over out of sync", replicas: []int32{1, 2}, isr: []int32{2}, leader: 2,
			wish: []int32{2}, minISR: 1, live: []int32{1, 2}, election: electPreferred,
			want: "no record"},
		{name: "a reassignment ends when the added replicas are in sync", replicas: []int32{1, 2, 3, 4}, adding: []int32{3, 4}, removing: []int32{1, 2},
			isr: []int32{1, 2, 3}, leader: 1, wish: []int32{1, 2, 3, 4}, minISR: 2, live: []int32{1, 2, 3, 4},
			want: "leader 3 isr [3 4] elr [] last [] recovering false epoch+1 replicas [3 4] dirs 2"},
		{name: "a reassignment that keeps the leader raises its epoch", replicas: []int32{1, 2, 3}, adding: []int32{3}, removing: []int32{2},
			isr: []int32{1, 2}, leader: 1, wish: []int32{1, 2, 3}, minISR: 2, live: []int32{1, 2, 3},
			want: "leader 1 isr [1 3] elr [] last [] recovering false epoch+1 replicas [1 3] dirs 2"},
		{name: "a reassignment waits for enough in-sync replicas", replicas: []int32{1, 2, 3}, adding: []int32{3}, removing: []int32{2},
			isr: []int32{1, 2}, leader: 2, wish: []int32{2, 3}, minISR: 2, live: []int32{1, 2, 3},
			want: "leader 2 isr [2 3] elr [] last [] recovering false epoch+0"},
		{name: "a reassignment to fewer replicas waits for all of them", replicas: []int32{1, 2, 3}, removing: []int32{3},
			isr: []int32{1, 2, 3}, leader: 3, wish: []int32{1, 3}, minISR: 1, live: []int32{1, 2, 3},
			want: "leader 3 isr [1 3] elr [] last [] recovering false epoch+0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := wire.UUID{1}
			before := &metarecord.PartitionRecord{
				TopicId: id, Replicas: c.replicas, AddingReplicas: c.adding, RemovingReplicas: c.removing, Isr: c.isr,
				EligibleLeaderReplicas: c.elr, LastKnownElr: c.last, Leader: c.leader, Directories: make([]wire.UUID, len(c.replicas)),
			}
			img := apply(t, metadata.NewImage(), &metarecord.TopicRecord{Name: "t", TopicId: id}, before)
			p, _ := img.Topic("t").Partition(0)
			ch := &change{
				topicID: id, old: p, isr: c.wish, replicas: c.replicas, adding: c.adding, removing: c.removing,
				minISR: c.minISR, elr: !c.elrOff, election: c.election, unclean: c.unclean,
				acceptable: func(id int32) bool { return slices.Contains(c.live, id) },
			}
			got := "no record"
			if r := ch.record(); r != nil {
				q, _ := apply(t, img, reencode(t, r)).Topic("t").Partition(0)
				got = fmt.Sprintf("leader %d isr %v elr %v last %v recovering %v epoch+%d",
					q.Leader, q.ISR(), q.ELR(), q.LastKnownELR(), q.Recovering, q.LeaderEpoch-p.LeaderEpoch)
				if !slices.Equal(q.Replicas(), p.Replicas()) {
					got += fmt.Sprintf(" replicas %v dirs %d", q.Replicas(), len(q.Directories()))
				}
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func apply(t *testing.T, img *metadata.Image, records ...metadata.Record) *metadata.Image {
	t.Helper()
	d := metadata.NewDelta(img)
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	return d.Image(0, 0)
}
