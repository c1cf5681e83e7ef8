package group

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// churnSessionMs is the session timeout of the members. One that was not heard for so
// long may be out without knowing it, and owns nothing then, whatever it believes.
const churnSessionMs = 20_000

// place is a partition of a topic.
type place struct {
	topic     protocol.UUID
	partition int32
}

// heartbeater is a member of the consumer protocol, as clients are: it believes what it
// was answered, reports what it owns, and takes its time to give up partitions.
type heartbeater struct {
	group    *heartbeaters
	id       string
	instance *string
	topics   []string
	regex    *string
	assignor *string

	epoch   int32
	owns    map[place]bool
	told    map[place]bool // what it reported last: it does not repeat itself
	target  map[place]bool // of the last answer with an assignment; nil: none
	full    bool           // the next heartbeat says everything
	waiting bool
	gone    bool  // it does not send heartbeats any more
	serial  int   // of the request whose answer counts
	heardMs int64 // when the last heartbeat was sent that was answered well
}

// heartbeaters is a group as an observer sees it.
type heartbeaters struct {
	id      string
	members []*heartbeater
	zombies []*heartbeater // members that hang and do not know that they are out
}

type heartbeatChurn struct {
	*world
	rnd     *rand.Rand
	groups  []*heartbeaters
	members int
	fenced  int
	steps   int // assignments taken over
	stale   int // commits of zombies that were refused
}

func newHeartbeatChurn(t *testing.T, seed uint64) *heartbeatChurn {
	c := &heartbeatChurn{rnd: rand.New(rand.NewPCG(seed, 9))}
	c.world = newWorld(t, func(s *Settings) {
		s.Consumer.MaxSize, s.Consumer.SessionTimeoutMs = 120, churnSessionMs
	})
	for i := range 4 {
		c.groups = append(c.groups, &heartbeaters{id: fmt.Sprint("group", i)})
	}
	c.setTopic("ta", 40)
	c.setTopic("tb", 7)
	return c
}

func (c *heartbeatChurn) add(g *heartbeaters) {
	c.members++
	m := &heartbeater{group: g, id: fmt.Sprint("m", c.members), owns: map[place]bool{}, topics: []string{"ta", "tb"}, full: true}
	if c.rnd.IntN(3) == 0 {
		m.instance = ptr(fmt.Sprint("static", c.members))
	}
	// The groups differ: all the same, different topics, regular expressions.
	switch n := c.rnd.IntN(4); {
	case g.id == "group1" && n == 0:
		m.topics = []string{"tb"}
	case g.id == "group1" && n == 1:
		m.topics = []string{"tc", "tb"}
	case g.id == "group2" && n < 2:
		m.topics, m.regex = []string{}, ptr("t[a-c]")
	case g.id == "group3" && n == 0:
		m.assignor = ptr("range")
	}
	g.members = append(g.members, m)
}

func (c *heartbeatChurn) beat(m *heartbeater) {
	req := &protocol.ConsumerGroupHeartbeatRequest{}
	req.SetDefaults()
	req.GroupId, req.MemberId, req.MemberEpoch, req.InstanceId = m.group.id, m.id, m.epoch, m.instance
	if m.full || m.epoch == 0 {
		req.RebalanceTimeoutMs, req.SubscribedTopicNames, req.SubscribedTopicRegex = 300_000, m.topics, m.regex
		req.ServerAssignor = m.assignor
	}
	c.giveUp(m)
	if m.full || m.epoch == 0 || !maps.Equal(m.owns, m.told) {
		m.told = maps.Clone(m.owns)
		req.TopicPartitions = []protocol.ConsumerGroupHeartbeatRequestTopicPartitions{}
		for _, p := range places(m.owns) {
			req.TopicPartitions = append(req.TopicPartitions, protocol.ConsumerGroupHeartbeatRequestTopicPartitions{
				TopicId: p.topic, Partitions: []int32{p.partition},
			})
		}
	}
	m.waiting = true
	m.serial++
	lost := c.rnd.IntN(50) == 0
	serial := m.serial
	sentMs := c.NowMs()
	c.c.ConsumerGroupHeartbeat(ctx(m.id, 1), req, func(r *protocol.ConsumerGroupHeartbeatResponse) {
		switch {
		case serial != m.serial || m.gone:
		case lost:
			m.waiting, m.full = false, true
		default:
			if r.ErrorCode == protocol.None {
				m.heardMs = sentMs
			}
			c.beaten(m, r)
		}
	})
}

// giveUp lets a member give up what it has to, mostly.
func (c *heartbeatChurn) giveUp(m *heartbeater) {
	if m.target == nil || c.rnd.IntN(3) == 0 {
		return
	}
	for p := range m.owns {
		if !m.target[p] {
			delete(m.owns, p)
		}
	}
}

func (c *heartbeatChurn) beaten(m *heartbeater, r *protocol.ConsumerGroupHeartbeatResponse) {
	m.waiting = false
	switch r.ErrorCode {
	case protocol.None:
	case protocol.FencedMemberEpoch, protocol.UnknownMemberId, protocol.GroupIdNotFound:
		c.fenced++
		m.epoch, m.target, m.full = 0, nil, true
		clear(m.owns)
		return
	case protocol.UnreleasedInstanceId, protocol.GroupMaxSizeReached, protocol.FencedInstanceId:
		m.gone = true
		clear(m.owns)
		return
	default:
		m.full = true
		return
	}
	m.epoch, m.full = r.MemberEpoch, false
	if r.Assignment == nil {
		return
	}
	c.steps++
	m.target = map[place]bool{}
	for _, t := range r.Assignment.TopicPartitions {
		for _, p := range t.Partitions {
			m.target[place{t.TopicId, p}] = true
		}
	}
	for _, p := range places(m.target) {
		if m.owns[p] {
			continue
		}
		for _, other := range m.group.members {
			if other != m && !other.gone && other.owns[p] && c.NowMs() < other.heardMs+churnSessionMs {
				c.t.Fatalf("%s: partition %d of %s is given to %s in epoch %d while %s owns it in epoch %d",
					m.group.id, p.partition, p.topic, m.id, m.epoch, other.id, other.epoch)
			}
		}
		m.owns[p] = true
	}
}

// places returns the partitions in order, so that a seed replays a run.
func places(set map[place]bool) []place {
	return slices.SortedFunc(maps.Keys(set), func(a, b place) int {
		return cmp.Or(slices.Compare(a.topic[:], b.topic[:]), cmp.Compare(a.partition, b.partition))
	})
}

// zombie lets a member that hung try to commit what another owns by now.
func (c *heartbeatChurn) zombie(m *heartbeater) {
	for _, p := range places(m.owns) {
		topic, ok := c.cluster.TopicByID(p.topic)
		if !ok || !slices.ContainsFunc(m.group.members, func(x *heartbeater) bool { return !x.gone && x.owns[p] }) {
			continue
		}
		c.c.OffsetCommit(ctx(m.id, 9), &protocol.OffsetCommitRequest{
			GroupId: m.group.id, MemberId: m.id, GenerationIdOrMemberEpoch: m.epoch, GroupInstanceId: m.instance, RetentionTimeMs: -1,
			Topics: []protocol.OffsetCommitRequestTopic{{Name: topic.Name, TopicId: p.topic, Partitions: []protocol.OffsetCommitRequestPartition{
				{PartitionIndex: p.partition, CommittedOffset: 1, CommittedLeaderEpoch: -1},
			}}},
		}, func(r *protocol.OffsetCommitResponse) {
			c.stale++
			if code := r.Topics[0].Partitions[0].ErrorCode; code == protocol.None {
				c.t.Fatalf("%s: %s hung, another owns partition %d of %s, and yet it may commit in epoch %d", m.group.id, m.id, p.partition, topic.Name, m.epoch)
			}
		})
		return
	}
}

// act lets a member do what comes next, or something unexpected.
func (c *heartbeatChurn) act(m *heartbeater) {
	switch luck := c.rnd.IntN(400); {
	case luck == 0:
		c.leave(m, -1)
	case luck == 1:
		m.gone = true // it hangs for ever
		m.group.zombies = append(m.group.zombies, m)
	case luck == 2 && m.instance != nil && m.epoch > 0 && !m.waiting:
		// It is started again, with another id.
		c.leave(m, -2)
		next := &heartbeater{group: m.group, id: m.id + "'", instance: m.instance, topics: m.topics, regex: m.regex, owns: map[place]bool{}, full: true}
		m.group.members = append(m.group.members, next)
	case luck == 3 && m.group.id == "group1":
		m.topics, m.full = []string{"ta", "tc"}, true
	case luck == 4:
		m.epoch, m.target, m.full, m.waiting = 0, nil, true, false // it starts over
		m.serial++
		clear(m.owns)
	case !m.waiting:
		c.beat(m)
	case luck%20 == 0:
		m.waiting, m.full = false, true // it does not wait any longer
		m.serial++
	}
}

func (c *heartbeatChurn) leave(m *heartbeater, epoch int32) {
	m.gone = true
	clear(m.owns)
	req := &protocol.ConsumerGroupHeartbeatRequest{}
	req.SetDefaults()
	req.GroupId, req.MemberId, req.MemberEpoch, req.InstanceId = m.group.id, m.id, epoch, m.instance
	c.c.ConsumerGroupHeartbeat(ctx(m.id, 1), req, func(*protocol.ConsumerGroupHeartbeatResponse) {})
}

// disturb does something to the coordinator or to the topics.
func (c *heartbeatChurn) disturb() {
	switch c.rnd.IntN(80) {
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
		c.setTopic("tc", int32(c.rnd.IntN(2)*8))
	}
}

func (c *heartbeatChurn) step() {
	for _, g := range c.groups {
		if len(g.members) < 75 && c.rnd.IntN(2) == 0 {
			c.add(g)
		}
		for _, m := range slices.Clone(g.members) {
			if !m.gone && c.rnd.IntN(4) != 0 {
				c.act(m)
			}
		}
		if len(g.zombies) > 0 {
			c.zombie(g.zombies[c.rnd.IntN(len(g.zombies))])
		}
		g.members = slices.DeleteFunc(g.members, func(m *heartbeater) bool { return m.gone })
	}
	c.disturb()
	c.Advance(int64(c.rnd.IntN(1000)))
}

// settle lets everything come to rest and sees to it that every partition has an owner.
func (c *heartbeatChurn) settle() {
	c.world.log.Release()
	c.world.log.FailAppends(nil)
	for range 120 {
		for _, g := range c.groups {
			for _, m := range g.members {
				if m.waiting = false; !m.gone {
					c.beat(m)
				}
			}
			g.members = slices.DeleteFunc(g.members, func(m *heartbeater) bool { return m.gone })
		}
		c.Advance(1000)
	}
	c.check()
	for _, g := range c.groups {
		live := c.cores[c.c.PartitionFor(g.id)].groups[g.id].(*consumer.Group)
		if live.StateName() != "Stable" {
			c.t.Fatalf("%s does not come to rest, it is %s:\n%s", g.id, live.StateName(), live)
		}
		owned := map[place]string{}
		for _, m := range g.members {
			for p := range m.owns {
				if owned[p] != "" {
					c.t.Fatalf("%s: partition %d of %s belongs to %s and %s", g.id, p.partition, p.topic, owned[p], m.id)
				}
				owned[p] = m.id
			}
		}
		for _, topic := range c.cluster.topics {
			if !live.Subscribed(topic.Name) {
				continue
			}
			for p := range topic.Partitions {
				if owned[place{topic.ID, p}] == "" {
					c.t.Fatalf("%s: partition %d of %s belongs to nobody:\n%s", g.id, p, topic.Name, live)
				}
			}
		}
	}
}

func TestHundredsOfMembersOfConsumerGroupsComeAndGoAndNoPartitionHasTwoOwners(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Logf("seed %d", seed)
			c := newHeartbeatChurn(t, seed)
			for step := range 300 {
				c.step()
				if step%25 == 24 {
					c.check()
				}
			}
			c.settle()
			if c.steps < 1000 || c.fenced == 0 || c.stale < 10 {
				t.Errorf("nothing happened: %d assignments, %d fenced, %d zombies' commits", c.steps, c.fenced, c.stale)
			}
			t.Logf("%d members, %d assignments, %d times fenced, %d commits of zombies", c.members, c.steps, c.fenced, c.stale)
		})
	}
}
