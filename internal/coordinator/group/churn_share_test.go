package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// shareMember is a member of a share group, as clients are: it believes what it was
// answered, and comes again when it was told to.
type shareMember struct {
	group  *shareMembers
	id     string
	topics []string

	epoch   int32
	has     map[place]bool
	full    bool // the next heartbeat says everything
	waiting bool
	gone    bool  // it does not send heartbeats any more
	serial  int   // of the request whose answer counts
	nextMs  int64 // when it comes again
}

// shareMembers is a group as an observer sees it.
type shareMembers struct {
	id      string
	members []*shareMember
}

type shareChurn struct {
	*world
	rnd     *rand.Rand
	groups  []*shareMembers
	members int
	fenced  int
	changes int // assignments taken over
}

func newShareChurn(t testing.TB, seed uint64) *shareChurn {
	c := &shareChurn{rnd: rand.New(rand.NewPCG(seed, 10))}
	c.world = newWorld(t, func(s *Settings) { s.Share.MaxSize = 1000 })
	return c
}

func (c *shareChurn) add(g *shareMembers, topics ...string) *shareMember {
	c.members++
	m := &shareMember{group: g, id: fmt.Sprint("m", c.members), topics: topics, has: map[place]bool{}, full: true}
	g.members = append(g.members, m)
	return m
}

func (c *shareChurn) beat(m *shareMember, lost bool) {
	req := &protocol.ShareGroupHeartbeatRequest{GroupId: m.group.id, MemberId: m.id, MemberEpoch: m.epoch}
	if m.full || m.epoch == 0 {
		req.SubscribedTopicNames = m.topics
	}
	m.waiting = true
	m.serial++
	serial := m.serial
	c.c.ShareGroupHeartbeat(ctx(m.id, 1), req, func(r *protocol.ShareGroupHeartbeatResponse) {
		switch {
		case serial != m.serial || m.gone:
		case lost:
			m.waiting, m.full = false, true
		default:
			c.beaten(m, r)
		}
	})
}

func (c *shareChurn) beaten(m *shareMember, r *protocol.ShareGroupHeartbeatResponse) {
	m.waiting = false
	switch r.ErrorCode {
	case protocol.None:
	case protocol.FencedMemberEpoch, protocol.UnknownMemberId, protocol.GroupIdNotFound:
		c.fenced++
		m.epoch, m.full = 0, true
		clear(m.has)
		return
	default:
		m.full = true
		return
	}
	m.epoch, m.full = r.MemberEpoch, false
	m.nextMs = c.NowMs() + int64(r.HeartbeatIntervalMs)
	if r.Assignment == nil {
		return
	}
	c.changes++
	clear(m.has)
	for _, t := range r.Assignment.TopicPartitions {
		topic, exists := c.cluster.TopicByID(t.TopicId)
		if exists && !slices.Contains(m.topics, topic.Name) {
			c.t.Fatalf("%s: %s got topic %s and is subscribed to %v", m.group.id, m.id, topic.Name, m.topics)
		}
		for _, p := range t.Partitions {
			if _, ok := c.persister.states[shareKey{m.group.id, t.TopicId, p}]; !ok {
				c.t.Fatalf("%s: %s got partition %d of %s, which is not initialized", m.group.id, m.id, p, topic.Name)
			}
			m.has[place{t.TopicId, p}] = true
		}
	}
}

func (c *shareChurn) leave(m *shareMember) {
	m.gone = true
	c.c.ShareGroupHeartbeat(ctx(m.id, 1), &protocol.ShareGroupHeartbeatRequest{GroupId: m.group.id, MemberId: m.id, MemberEpoch: -1},
		func(*protocol.ShareGroupHeartbeatResponse) {})
}

// unreachable returns a partition that a member is subscribed to and nobody has, nil if
// there is none.
func (c *shareChurn) unreachable(g *shareMembers) *place {
	has, wanted := map[place]bool{}, map[string]bool{}
	for _, m := range g.members {
		for p := range m.has {
			has[p] = has[p] || !m.gone
		}
		for _, topic := range m.topics {
			wanted[topic] = wanted[topic] || !m.gone
		}
	}
	for _, topic := range c.cluster.topics {
		for p := range topic.Partitions {
			if at := (place{topic.ID, p}); wanted[topic.Name] && !has[at] {
				return &at
			}
		}
	}
	return nil
}

// converge lets members come when they were told to, until every partition has one, and
// returns how long that took.
func (c *shareChurn) converge(g *shareMembers, limitMs int64) int64 {
	startMs := c.NowMs()
	for {
		for _, m := range g.members {
			if !m.gone && !m.waiting && m.nextMs <= c.NowMs() {
				c.beat(m, false)
			}
		}
		c.Run()
		at := c.unreachable(g)
		took := c.NowMs() - startMs
		if at == nil {
			return took
		}
		if took > limitMs {
			c.t.Fatalf("with %d members, nobody has partition %d of %s after %d ms", len(g.members), at.partition, at.topic, took)
		}
		c.Advance(100)
	}
}

// rest lets members come for a while, so that all know what there is to know.
func (c *shareChurn) rest(g *shareMembers, forMs int64) {
	for endMs := c.NowMs() + forMs; c.NowMs() < endMs; c.Advance(100) {
		for _, m := range g.members {
			if !m.gone && !m.waiting && m.nextMs <= c.NowMs() {
				c.beat(m, false)
			}
		}
		c.Run()
	}
}

// TestEveryPartitionIsReachableSoonAfterMembersOrTopicsChange measures how long groups
// of different sizes are without somebody for a partition.
func TestEveryPartitionIsReachableSoonAfterMembersOrTopicsChange(t *testing.T) {
	for _, members := range []int{1, 10, 1000} {
		t.Run(fmt.Sprint(members, " members"), func(t *testing.T) {
			c := newShareChurn(t, 1)
			g := &shareMembers{id: "g"}
			c.setTopic("ta", 100)
			for range members {
				c.add(g, "ta")
			}
			join := c.converge(g, 2500) // initialize, one assignment interval, assign
			c.rest(g, 6000)
			for _, m := range g.members {
				if len(m.has) == 0 {
					t.Fatalf("%s has nothing to do", m.id)
				}
			}
			c.setTopic("ta", 130)
			grow := c.converge(g, 5000+3000)
			c.rest(g, 6000)
			quit, crash := int64(0), int64(0)
			if members > 1 {
				for _, m := range g.members[:members/2] {
					c.leave(m)
				}
				quit = c.converge(g, 5000+2000)
				c.rest(g, 6000)
				for _, m := range g.members[members/2 : members/2+members/5] {
					m.gone = true
				}
				crash = c.converge(g, 45_000+5000+2000)
			} else {
				g.members[0].gone = true
				c.add(g, "ta")
				crash = c.converge(g, 45_000+5000+2000)
			}
			c.check()
			t.Logf("%d members: all partitions have one %d ms after they join, %d ms after 30 partitions come, %d ms after half of them leave, %d ms after a fifth crashes",
				members, join, grow, quit, crash)
		})
	}
}

// act lets a member do what comes next, or something unexpected.
func (c *shareChurn) act(m *shareMember) {
	switch luck := c.rnd.IntN(300); {
	case luck < 2:
		c.leave(m)
	case luck == 2:
		m.gone = true // it hangs for ever
	case luck == 3 && !m.waiting:
		m.topics, m.full = []string{"ta", "tc"}, true
	case luck == 4:
		m.epoch, m.full, m.waiting = 0, true, false // it starts over
		m.serial++
		clear(m.has)
	case luck == 5:
		m.nextMs = c.NowMs() + 60_000 // it sleeps for longer than its session
	case !m.waiting && m.nextMs < c.NowMs()+20_000:
		c.beat(m, c.rnd.IntN(50) == 0)
	case luck%20 == 0:
		m.waiting, m.full = false, true // it does not wait any longer
		m.serial++
	}
}

// disturb does something to the coordinators, to the topics, or to the groups.
func (c *shareChurn) disturb() {
	switch c.rnd.IntN(90) {
	case 0:
		c.world.log.Release()
		c.Run()
		c.world.log = c.world.log.Compacted()
		c.crash()
	case 1:
		c.world.log.Hold()
	case 2, 3, 4:
		c.world.log.Release()
	case 5:
		c.world.log.FailAppends(protocol.NotEnoughReplicas)
	case 6, 7, 8:
		c.world.log.FailAppends(nil)
	case 9:
		c.world.log.LoseLeadership(int32(c.rnd.IntN(testPartitions)))
	case 10:
		if t, _ := c.cluster.Topic("ta"); t.Partitions < 64 {
			c.setTopic("ta", t.Partitions+3)
		}
	case 11:
		if n := int32(c.rnd.IntN(2) * 8); n > 0 {
			c.setTopic("tc", n)
		} else if id, ok := c.topicIDs["tc"]; ok {
			c.setTopic("tc", 0)
			c.c.OnTopicDeleted("tc", id)
		}
	case 12:
		c.persister.hold = true
	case 13:
		c.persister.lose = true
	case 14:
		c.persister.refuse = protocol.NotCoordinator
	case 15, 16, 17, 18:
		c.persister.refuse = protocol.None
		c.persister.release()
	case 19:
		c.administer(c.groups[c.rnd.IntN(len(c.groups))].id)
	}
}

// administer does what an administrator may want, and is mostly refused.
func (c *shareChurn) administer(group string) {
	switch c.rnd.IntN(3) {
	case 0:
		c.c.DeleteGroups(ctx("admin", 2), &protocol.DeleteGroupsRequest{GroupsNames: []string{group}}, func(*protocol.DeleteGroupsResponse) {})
	case 1:
		c.c.AlterShareGroupOffsets(ctx("admin", 0), &protocol.AlterShareGroupOffsetsRequest{GroupId: group, Topics: []protocol.AlterShareGroupOffsetsRequestTopic{
			{TopicName: "ta", Partitions: []protocol.AlterShareGroupOffsetsRequestPartition{{PartitionIndex: 1, StartOffset: 5}}},
		}}, func(*protocol.AlterShareGroupOffsetsResponse) {})
	case 2:
		c.c.DeleteShareGroupOffsets(ctx("admin", 0), &protocol.DeleteShareGroupOffsetsRequest{GroupId: group, Topics: []protocol.DeleteShareGroupOffsetsRequestTopic{
			{TopicName: "ta"}, {TopicName: "tb"},
		}}, func(*protocol.DeleteShareGroupOffsetsResponse) {})
	}
}

func (c *shareChurn) step() {
	for i, g := range c.groups {
		// The last group is empty again and again.
		if len(g.members) < 40 && c.rnd.IntN(2+40*(i/2)) == 0 {
			topics := [][]string{{"ta", "tb"}, {"tb"}, {"tc", "ta"}}
			c.add(g, topics[c.rnd.IntN(1+i)]...)
		}
		for _, m := range slices.Clone(g.members) {
			if !m.gone && c.rnd.IntN(4) != 0 {
				c.act(m)
			}
		}
		if i == 2 && c.rnd.IntN(20) == 0 {
			for _, m := range g.members {
				c.leave(m)
			}
		}
		g.members = slices.DeleteFunc(g.members, func(m *shareMember) bool { return m.gone })
	}
	c.disturb()
	c.Advance(int64(c.rnd.IntN(1000)))
}

// settle lets everything come to rest and sees to it that every partition has somebody.
func (c *shareChurn) settle() {
	c.world.log.Release()
	c.world.log.FailAppends(nil)
	c.persister.refuse = protocol.None
	c.persister.release()
	for range 90 {
		for _, g := range c.groups {
			for _, m := range g.members {
				m.waiting = false
				c.beat(m, false)
			}
		}
		c.Advance(1000)
	}
	c.check()
	for _, g := range c.groups {
		live, ok := c.cores[c.c.PartitionFor(g.id)].groups[g.id].(*share.Group)
		if at := c.unreachable(g); at != nil {
			c.t.Fatalf("%s: nobody has partition %d of %s:\n%s", g.id, at.partition, at.topic, live)
		}
		if !ok && len(g.members) > 0 {
			c.t.Fatalf("%s with %d members is gone", g.id, len(g.members))
		}
	}
}

func TestMembersOfShareGroupsComeAndGoAndEveryPartitionHasSomebody(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Logf("seed %d", seed)
			c := newShareChurn(t, seed)
			c.setTopic("ta", 40)
			c.setTopic("tb", 7)
			for i := range 3 {
				c.groups = append(c.groups, &shareMembers{id: fmt.Sprint("group", i)})
			}
			for step := range 400 {
				c.step()
				if step%25 == 24 {
					c.Run()
					c.check()
				}
			}
			c.settle()
			if c.changes < 200 || c.fenced == 0 {
				t.Errorf("nothing happened: %d assignments, %d fenced", c.changes, c.fenced)
			}
			t.Logf("%d members, %d assignments, %d times fenced", c.members, c.changes, c.fenced)
		})
	}
}
