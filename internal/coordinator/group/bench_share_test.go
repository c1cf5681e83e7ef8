package group

import (
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// BenchmarkShareGroupHeartbeat is one of 1,000 members after the other saying that it
// lives, in a group at rest.
func BenchmarkShareGroupHeartbeat(b *testing.B) {
	c := newShareChurn(b, 1)
	g := &shareMembers{id: "g"}
	c.setTopic("ta", 2000)
	for range 1000 {
		c.add(g, "ta")
	}
	c.converge(g, 5000)
	c.rest(g, 10_000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		m := g.members[n%len(g.members)]
		c.c.ShareGroupHeartbeat(ctx(m.id, 1), &protocol.ShareGroupHeartbeatRequest{GroupId: g.id, MemberId: m.id, MemberEpoch: m.epoch},
			func(r *protocol.ShareGroupHeartbeatResponse) {
				if r.ErrorCode != protocol.None || r.Assignment != nil {
					b.Fatalf("%+v", r)
				}
			})
		c.Run()
		n++
	}
}
