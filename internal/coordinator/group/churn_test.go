package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// churn is a crowd of consumers that come, go, hang, restart and commit, on a
// coordinator that crashes and a log that stalls and fails.
type churn struct {
	*world
	rnd     *rand.Rand
	groups  []*crowd
	members int
}

// crowd is one group as an observer sees it who believes only what was answered.
type crowd struct {
	id         string
	consumers  []*joiner
	leaders    map[term]string
	commits    map[int]*history
	partitions int
}

// term is a generation of a life of the coordinator: one that nobody had committed in
// may be numbered again after a crash.
type term struct {
	life       *core
	generation int32
}

// history is what may be found committed for one partition.
type history struct {
	acked      int64   // the last commit that was confirmed; -1: none
	generation int32   // its generation
	maybe      []int64 // later commits whose fate is not known
	nextOffset int64
}

type joiner struct {
	crowd      *crowd
	name       string
	instance   *string
	version    int16
	memberID   string
	generation int32
	leads      []string // the members to assign to
	owns       []string
	waiting    bool
	joined     bool
	stable     bool
	gone       bool
}

func newChurn(t *testing.T, seed uint64) *churn {
	c := &churn{rnd: rand.New(rand.NewPCG(seed, 7))}
	c.world = newWorld(t, func(s *Settings) {
		s.InitialRebalanceDelayMs = 200
		s.MaxSize = 120
	})
	for i := range 4 {
		c.groups = append(c.groups, &crowd{
			id: fmt.Sprint("group", i), leaders: map[term]string{}, commits: map[int]*history{}, partitions: 64,
		})
	}
	return c
}

func (c *churn) add(g *crowd) {
	c.members++
	m := &joiner{crowd: g, name: fmt.Sprint("m", c.members), version: []int16{3, 5, 9}[c.rnd.IntN(3)]}
	if m.version >= 5 && c.rnd.IntN(3) == 0 {
		m.instance = ptr(fmt.Sprint("static", c.members))
	}
	g.consumers = append(g.consumers, m)
}

func (c *churn) join(m *joiner) {
	m.waiting, m.stable, m.joined = true, false, false
	req := &protocol.JoinGroupRequest{
		GroupId: m.crowd.id, MemberId: m.memberID, GroupInstanceId: m.instance, ProtocolType: "consumer",
		SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 15_000,
		Protocols: []protocol.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription("t")}},
	}
	if c.rnd.IntN(20) == 0 {
		req.Protocols = append(req.Protocols, protocol.JoinGroupRequestProtocol{Name: "sticky", Metadata: subscription("t", "u")})
	}
	c.c.JoinGroup(ctx(m.name, m.version), req, func(r *protocol.JoinGroupResponse) { c.joined(m, r) })
}

func (c *churn) joined(m *joiner, r *protocol.JoinGroupResponse) {
	m.waiting = false
	if r.ErrorCode != protocol.None {
		c.rejected(m, r.ErrorCode)
		if r.ErrorCode == protocol.MemberIdRequired {
			m.memberID = r.MemberId
		}
		return
	}
	m.memberID, m.generation, m.joined = r.MemberId, r.GenerationId, true
	g := m.crowd
	when := term{c.cores[c.c.PartitionFor(g.id)], r.GenerationId}
	if old, ok := g.leaders[when]; ok && old != r.Leader && !strings.HasPrefix(old, "static") {
		c.t.Fatalf("%s has the leaders %s and %s in generation %d", g.id, old, r.Leader, r.GenerationId)
	}
	g.leaders[when] = r.Leader
	leads := r.Leader == r.MemberId
	m.leads = nil
	if !leads && len(r.Members) > 0 {
		c.t.Fatalf("%s follows and was given the members of %s", m.memberID, g.id)
	}
	if leads && !r.SkipAssignment {
		for _, x := range r.Members {
			m.leads = append(m.leads, x.MemberId)
		}
		if !slices.Contains(m.leads, m.memberID) {
			c.t.Fatalf("the leader %s is not among the members %v of %s", m.memberID, m.leads, g.id)
		}
	}
}

// rejected does what a client does with an error.
func (c *churn) rejected(m *joiner, code protocol.ErrorCode) {
	m.stable, m.joined = false, false
	switch code {
	case protocol.UnknownMemberId, protocol.GroupMaxSizeReached:
		m.memberID = ""
	case protocol.FencedInstanceId:
		m.gone = true
	}
}

func (c *churn) sync(m *joiner) {
	g := m.crowd
	req := &protocol.SyncGroupRequest{GroupId: g.id, MemberId: m.memberID, GenerationId: m.generation, GroupInstanceId: m.instance}
	if len(m.leads) > 0 {
		shares := make(map[string][]string)
		for p := range g.partitions {
			owner := m.leads[p%len(m.leads)]
			shares[owner] = append(shares[owner], strconv.Itoa(p))
		}
		for id, share := range shares {
			req.Assignments = append(req.Assignments, protocol.SyncGroupRequestAssignment{MemberId: id, Assignment: []byte(strings.Join(share, " "))})
		}
	}
	m.waiting = true
	generation := m.generation
	c.c.SyncGroup(ctx(m.name, 4), req, func(r *protocol.SyncGroupResponse) {
		m.waiting = false
		if r.ErrorCode != protocol.None {
			c.rejected(m, r.ErrorCode)
			return
		}
		m.stable = true
		m.owns = strings.Fields(string(r.Assignment))
		c.checkOwners(m, generation)
	})
}

// checkOwners sees to it that no partition has two owners in one generation.
func (c *churn) checkOwners(m *joiner, generation int32) {
	for _, other := range m.crowd.consumers {
		if other == m || !other.stable || other.gone || other.generation != generation {
			continue
		}
		for _, p := range m.owns {
			// A static member that was replaced does not know yet that it is fenced.
			if slices.Contains(other.owns, p) && (m.instance == nil || other.instance == nil || *m.instance != *other.instance) {
				c.t.Fatalf("%s: partition %s belongs to %s and %s in generation %d", m.crowd.id, p, m.memberID, other.memberID, generation)
			}
		}
	}
}

func (c *churn) heartbeat(m *joiner) {
	c.c.Heartbeat(ctx(m.name, 4), &protocol.HeartbeatRequest{
		GroupId: m.crowd.id, MemberId: m.memberID, GenerationId: m.generation, GroupInstanceId: m.instance,
	}, func(r *protocol.HeartbeatResponse) {
		switch r.ErrorCode {
		case protocol.None, protocol.CoordinatorNotAvailable, protocol.NotCoordinator:
		default:
			c.rejected(m, r.ErrorCode)
		}
	})
}

func (c *churn) commit(m *joiner) {
	if len(m.owns) == 0 {
		return
	}
	p, _ := strconv.Atoi(m.owns[c.rnd.IntN(len(m.owns))])
	g := m.crowd
	h := g.commits[p]
	if h == nil {
		h = &history{acked: -1}
		g.commits[p] = h
	}
	h.nextOffset++
	offset, generation := h.nextOffset, m.generation
	h.maybe = append(h.maybe, offset)
	c.c.OffsetCommit(ctx(m.name, 9), &protocol.OffsetCommitRequest{
		GroupId: g.id, MemberId: m.memberID, GenerationIdOrMemberEpoch: generation, GroupInstanceId: m.instance, RetentionTimeMs: -1,
		Topics: []protocol.OffsetCommitRequestTopic{{Name: "t", Partitions: []protocol.OffsetCommitRequestPartition{
			{PartitionIndex: int32(p), CommittedOffset: offset, CommittedLeaderEpoch: -1},
		}}},
	}, func(r *protocol.OffsetCommitResponse) {
		switch code := r.Topics[0].Partitions[0].ErrorCode; code {
		case protocol.None:
			if generation < h.generation {
				c.t.Fatalf("%s: a commit of generation %d was taken after one of generation %d", g.id, generation, h.generation)
			}
			h.acked, h.generation = offset, generation
			h.maybe = slices.DeleteFunc(h.maybe, func(o int64) bool { return o <= offset })
		case protocol.CoordinatorNotAvailable, protocol.NotCoordinator, protocol.CoordinatorLoadInProgress:
			// It may be found, or not.
		default:
			h.maybe = slices.DeleteFunc(h.maybe, func(o int64) bool { return o == offset })
			c.rejected(m, code)
		}
	})
}

func (c *churn) leave(m *joiner) {
	m.gone = true
	c.c.LeaveGroup(ctx(m.name, 5), &protocol.LeaveGroupRequest{
		GroupId: m.crowd.id, Members: []protocol.LeaveGroupRequestMemberIdentity{{MemberId: m.memberID, GroupInstanceId: m.instance}},
	}, func(*protocol.LeaveGroupResponse) {})
}

// act lets a consumer do what comes next, or something unexpected.
func (c *churn) act(m *joiner) {
	switch luck := c.rnd.IntN(400); {
	case luck == 0:
		c.leave(m)
	case luck == 1:
		m.gone = true // it hangs for ever
	case luck == 2 && m.instance != nil:
		// It is started again and has forgotten who it was.
		m.memberID, m.stable, m.joined, m.waiting = "", false, false, false
		m.gone = true
		m.crowd.consumers = append(m.crowd.consumers, &joiner{crowd: m.crowd, name: m.name, instance: m.instance, version: m.version})
	case m.waiting:
	case m.stable && luck%2 == 0:
		c.commit(m)
	case m.stable:
		c.heartbeat(m)
	case m.joined:
		c.sync(m)
	default:
		c.join(m)
	}
}

// disturb does something to the coordinator.
func (c *churn) disturb() {
	switch c.rnd.IntN(60) {
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
	}
}

// checkOffsets sees to it that what was confirmed is there.
func (c *churn) checkOffsets() {
	c.world.log.Release()
	c.world.log.FailAppends(nil)
	c.Advance(2000)
	for _, g := range c.groups {
		c.c.OffsetFetch(ctx("observer", 9), &protocol.OffsetFetchRequest{Groups: []protocol.OffsetFetchRequestGroup{{GroupId: g.id}}},
			func(r *protocol.OffsetFetchResponse) {
				if r.Groups[0].ErrorCode != protocol.None {
					c.t.Fatalf("fetching the offsets of %s: %s", g.id, r.Groups[0].ErrorCode)
				}
				found := map[int]int64{}
				for _, t := range r.Groups[0].Topics {
					for _, p := range t.Partitions {
						found[int(p.PartitionIndex)] = p.CommittedOffset
					}
				}
				for p, h := range g.commits {
					offset, ok := found[p]
					if !ok {
						offset = -1
					}
					if offset != h.acked && !slices.Contains(h.maybe, offset) {
						c.t.Fatalf("%s partition %d has offset %d, confirmed was %d, possible are %v", g.id, p, offset, h.acked, h.maybe)
					}
				}
			})
	}
	c.Run()
}

func TestHundredsOfMembersComeAndGoWithoutHarm(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Logf("seed %d", seed)
			c := newChurn(t, seed)
			for step := range 600 {
				for _, g := range c.groups {
					if len(g.consumers) < 75 && c.rnd.IntN(2) == 0 {
						c.add(g)
					}
					for _, m := range slices.Clone(g.consumers) {
						if !m.gone && c.rnd.IntN(4) != 0 {
							c.act(m)
						}
					}
					g.consumers = slices.DeleteFunc(g.consumers, func(m *joiner) bool { return m.gone && !m.waiting })
				}
				c.disturb()
				c.Advance(int64(c.rnd.IntN(400)))
				if step%20 == 19 {
					c.checkOffsets()
					c.check()
				}
			}
			generations, commits := int32(0), 0
			for _, g := range c.groups {
				for _, h := range g.commits {
					generations = max(generations, h.generation)
					commits += int(h.nextOffset)
				}
			}
			if generations < 10 || commits < 1000 {
				t.Errorf("nothing happened: the highest generation that committed is %d, with %d commits in all", generations, commits)
			}
			t.Logf("%d members, highest generation %d, %d commits", c.members, generations, commits)
		})
	}
}
