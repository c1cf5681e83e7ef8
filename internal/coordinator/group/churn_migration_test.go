package group

import (
	"fmt"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// oldie is a member of the classic protocol, an eager one: when it has to join again it
// gives everything up first.
type oldie struct {
	*heartbeater // what it owns, for the observer
	memberID     string
	generation   int32
	leads        []string // the members to assign to, if it leads
	joined       bool
	synced       bool
}

// mixed is a churn with members of both protocols in one group.
type mixed struct {
	*heartbeatChurn
	group  *heartbeaters
	oldies []*oldie
	kinds  map[string]int
}

func (c *mixed) addOldie() {
	c.members++
	o := &oldie{heartbeater: &heartbeater{group: c.group, id: fmt.Sprint("old", c.members), owns: map[place]bool{}}}
	c.oldies = append(c.oldies, o)
	// The observer of the other members looks at it too.
	c.group.members = append(c.group.members, o.heartbeater)
}

func (c *mixed) drop(o *oldie) {
	clear(o.owns)
	o.joined, o.synced = false, false
}

// act lets a member of the classic protocol do what comes next.
func (c *mixed) act(o *oldie) {
	switch {
	case o.waiting:
	case !o.joined:
		c.join(o)
	case !o.synced:
		c.sync(o)
	default:
		c.beatOld(o)
	}
}

func (c *mixed) join(o *oldie) {
	o.waiting = true
	c.c.JoinGroup(ctx(o.id, 9), &protocol.JoinGroupRequest{
		GroupId: c.group.id, MemberId: o.memberID, ProtocolType: "consumer", SessionTimeoutMs: churnSessionMs, RebalanceTimeoutMs: churnSessionMs,
		Protocols: []protocol.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription("ta")}},
	}, func(r *protocol.JoinGroupResponse) {
		o.waiting = false
		switch r.ErrorCode {
		case protocol.None:
			o.memberID, o.generation, o.joined, o.leads = r.MemberId, r.GenerationId, true, nil
			for _, m := range r.Members {
				o.leads = append(o.leads, m.MemberId)
			}
		case protocol.MemberIdRequired:
			o.memberID = r.MemberId
		case protocol.UnknownMemberId:
			o.memberID = ""
		}
	})
}

func (c *mixed) sync(o *oldie) {
	topic, _ := c.cluster.Topic("ta")
	kind, name := "consumer", "range"
	req := &protocol.SyncGroupRequest{GroupId: c.group.id, MemberId: o.memberID, GenerationId: o.generation, ProtocolType: &kind, ProtocolName: &name}
	for i, id := range o.leads {
		var share []int32
		for p := int32(i); p < topic.Partitions; p += int32(len(o.leads)) {
			share = append(share, p)
		}
		a := coordrecord.ConsumerProtocolAssignment{AssignedPartitions: []coordrecord.ConsumerProtocolAssignmentTopicPartition{{Topic: "ta", Partitions: share}}}
		req.Assignments = append(req.Assignments, protocol.SyncGroupRequestAssignment{MemberId: id, Assignment: coordrecord.AppendAssignment(nil, &a, 1)})
	}
	o.waiting = true
	sentMs := c.NowMs()
	c.c.SyncGroup(ctx(o.id, 5), req, func(r *protocol.SyncGroupResponse) {
		o.waiting = false
		if r.ErrorCode != protocol.None {
			c.drop(o)
			if r.ErrorCode == protocol.UnknownMemberId {
				o.memberID = ""
			}
			return
		}
		o.synced, o.heardMs, o.epoch = true, sentMs, o.generation
		if len(r.Assignment) == 0 {
			return
		}
		assignment, _, err := coordrecord.ParseAssignment(r.Assignment)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, t := range assignment.AssignedPartitions {
			for _, p := range t.Partitions {
				c.take(o, place{topic.ID, p})
			}
		}
	})
}

func (c *mixed) take(o *oldie, p place) {
	for _, other := range c.group.members {
		if other != o.heartbeater && !other.gone && other.owns[p] && c.NowMs() < other.heardMs+churnSessionMs {
			c.t.Fatalf("partition %d is given to %s in generation %d while %s owns it in epoch %d", p.partition, o.id, o.generation, other.id, other.epoch)
		}
	}
	o.owns[p] = true
}

func (c *mixed) beatOld(o *oldie) {
	sentMs := c.NowMs()
	c.c.Heartbeat(ctx(o.id, 4), &protocol.HeartbeatRequest{GroupId: c.group.id, MemberId: o.memberID, GenerationId: o.generation},
		func(r *protocol.HeartbeatResponse) {
			switch r.ErrorCode {
			case protocol.None:
				o.heardMs = sentMs
			case protocol.RebalanceInProgress, protocol.IllegalGeneration:
				c.drop(o)
			case protocol.UnknownMemberId:
				c.drop(o)
				o.memberID = ""
			}
		})
}

// round lets everybody act once. Of the members of the consumer protocol at most most
// are there.
func (c *mixed) round(most int, calm bool) {
	isOld := func(m *heartbeater) bool {
		return slices.ContainsFunc(c.oldies, func(o *oldie) bool { return o.heartbeater == m })
	}
	young := 0
	for _, m := range slices.Clone(c.group.members) {
		switch {
		case m.gone || isOld(m):
		case young >= most:
			c.leave(m, -1)
		case !m.waiting || calm:
			c.beat(m)
			young++
		default:
			young++
		}
	}
	if young < most {
		c.add(c.group)
	}
	for _, o := range c.oldies {
		if calm || c.rnd.IntN(3) > 0 {
			c.act(o)
		}
	}
	c.group.members = slices.DeleteFunc(c.group.members, func(m *heartbeater) bool { return m.gone })
	c.Run()
	if g := c.cores[c.c.PartitionFor(c.group.id)]; g != nil && g.groups[c.group.id] != nil {
		c.kinds[typeOf(g.groups[c.group.id])]++
	}
}

func TestMembersOfBothProtocolsShareAGroupThatChangesOverAndNoPartitionHasTwoOwners(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Logf("seed %d", seed)
			c := &mixed{heartbeatChurn: newHeartbeatChurn(t, seed), kinds: map[string]int{}}
			c.group = &heartbeaters{id: "mixed"}
			for range 8 {
				c.addOldie()
			}
			changes, most := 0, 0
			for step := range 1200 {
				if c.rnd.IntN(40) == 0 {
					if next := c.rnd.IntN(4); next != most {
						most = next
						changes++
					}
				}
				c.round(most, false)
				if c.rnd.IntN(150) == 0 {
					c.crash()
				}
				c.Advance(int64(c.rnd.IntN(600)))
				if step%50 == 49 {
					c.check()
				}
			}
			for range 200 {
				c.round(2, true)
				c.Advance(500)
			}
			c.checkRest()
			if c.kinds["classic"] < 50 || c.kinds["consumer"] < 50 {
				t.Errorf("the group did not change over: %v", c.kinds)
			}
			t.Logf("%d changes, seen as %v", changes, c.kinds)
		})
	}
}

// checkRest sees to it that the group has come to rest and every partition of the topic
// that all read has an owner.
func (c *mixed) checkRest() {
	c.check()
	live, ok := c.cores[c.c.PartitionFor("mixed")].groups["mixed"].(*consumer.Group)
	if !ok || live.StateName() != "Stable" {
		c.t.Fatalf("the group does not come to rest:\n%v", c.cores[c.c.PartitionFor("mixed")].groups["mixed"])
	}
	topic, _ := c.cluster.Topic("ta")
	for p := range topic.Partitions {
		owners := 0
		for _, m := range c.group.members {
			if m.owns[place{topic.ID, p}] {
				owners++
			}
		}
		if owners != 1 {
			c.t.Fatalf("partition %d has %d owners:\n%s", p, owners, live)
		}
	}
}
