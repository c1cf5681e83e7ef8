package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/assignor"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// thread is a member of a streams group, as clients are: it believes what it was
// answered, reports what it has, and takes its time to give tasks up.
type thread struct {
	id, process string
	epoch       int32
	has         [2]map[assignor.Task]bool // active, standby
	target      [2]map[assignor.Task]bool // of the last answer with tasks; nil: none
	waiting     bool
	gone        bool
	serial      int
	heardMs     int64
}

// streamsChurn is applications whose threads come, go, hang, restart and work, on a
// coordinator that crashes and a log that stalls and fails.
type streamsChurn struct {
	*world
	rnd     *rand.Rand
	groups  map[string][]*thread
	threads int
	fenced  int
	steps   int // assignments taken over
}

func newStreamsChurn(t *testing.T, seed uint64) *streamsChurn {
	c := &streamsChurn{rnd: rand.New(rand.NewPCG(seed, 3)), groups: map[string][]*thread{}}
	c.world = newWorld(t, func(s *Settings) {
		s.Streams.SessionTimeoutMs, s.Streams.InitialRebalanceDelayMs, s.Streams.StandbyReplicas = churnSessionMs, 500, 1
	})
	c.groups["group0"], c.groups["group1"] = nil, nil
	c.setTopic("ta", 6)
	return c
}

func (c *streamsChurn) ids() []string { return slices.Sorted(maps.Keys(c.groups)) }

func (c *streamsChurn) add(group string) {
	c.threads++
	m := &thread{id: fmt.Sprint("m", c.threads), process: fmt.Sprint("p", c.rnd.IntN(6))}
	m.forget()
	c.groups[group] = append(c.groups[group], m)
}

// forget makes a thread start over.
func (m *thread) forget() {
	m.epoch = 0
	for kind := range m.has {
		m.has[kind], m.target[kind] = map[assignor.Task]bool{}, nil
	}
}

func taskList(set map[assignor.Task]bool) []protocol.StreamsGroupHeartbeatRequestTaskIds {
	out := []protocol.StreamsGroupHeartbeatRequestTaskIds{}
	for _, t := range slices.SortedFunc(maps.Keys(set), assignor.Compare) {
		out = append(out, protocol.StreamsGroupHeartbeatRequestTaskIds{SubtopologyId: t.Subtopology, Partitions: []int32{t.Partition}})
	}
	return out
}

func (c *streamsChurn) beat(group string, m *thread) {
	req := &protocol.StreamsGroupHeartbeatRequest{}
	req.SetDefaults()
	req.GroupId, req.MemberId, req.MemberEpoch = group, m.id, m.epoch
	if m.epoch == 0 {
		req.RebalanceTimeoutMs, req.ProcessId = 300_000, &m.process
		req.Topology = topologyOf(script.Parse(c.t, "topology=0:ta>r;1:r*,s!"))
	}
	if m.target[0] != nil && c.rnd.IntN(3) > 0 {
		for kind := range m.has {
			maps.DeleteFunc(m.has[kind], func(t assignor.Task, _ bool) bool { return !m.target[kind][t] })
		}
	}
	req.ActiveTasks, req.StandbyTasks = taskList(m.has[0]), taskList(m.has[1])
	req.WarmupTasks = []protocol.StreamsGroupHeartbeatRequestTaskIds{}
	m.waiting = true
	m.serial++
	serial, lost, sentMs := m.serial, c.rnd.IntN(50) == 0, c.NowMs()
	c.c.StreamsGroupHeartbeat(ctx(m.id, 0), req, func(r *protocol.StreamsGroupHeartbeatResponse, missing []protocol.CreateTopicsRequestCreatableTopic) {
		for _, t := range missing {
			defer c.setTopic(t.Name, t.NumPartitions)
		}
		if serial != m.serial || m.gone {
			return
		}
		if m.waiting = false; lost {
			return
		}
		if r.ErrorCode == protocol.None {
			m.heardMs = sentMs
		}
		c.beaten(group, m, r)
	})
}

func (c *streamsChurn) beaten(group string, m *thread, r *protocol.StreamsGroupHeartbeatResponse) {
	switch r.ErrorCode {
	case protocol.None:
	case protocol.FencedMemberEpoch, protocol.UnknownMemberId, protocol.GroupIdNotFound:
		c.fenced++
		m.forget()
		return
	default:
		return
	}
	m.epoch = r.MemberEpoch
	if r.ActiveTasks == nil {
		return
	}
	c.steps++
	for kind, ids := range [][]protocol.StreamsGroupHeartbeatResponseTaskIds{r.ActiveTasks, r.StandbyTasks} {
		m.target[kind] = map[assignor.Task]bool{}
		for _, t := range ids {
			for _, p := range t.Partitions {
				m.target[kind][assignor.Task{Subtopology: t.SubtopologyId, Partition: p}] = true
			}
		}
	}
	for kind := range m.has {
		for _, t := range slices.SortedFunc(maps.Keys(m.target[kind]), assignor.Compare) {
			if !m.has[kind][t] {
				c.checkFree(group, m, kind, t)
				m.has[kind][t] = true
			}
		}
	}
}

// checkFree fails if a task is given to a thread while another works on it.
func (c *streamsChurn) checkFree(group string, m *thread, kind int, t assignor.Task) {
	for _, other := range c.groups[group] {
		if other == m || other.gone || c.NowMs() >= other.heardMs+churnSessionMs {
			continue
		}
		if kind == 0 && other.has[0][t] || other.process == m.process && (other.has[0][t] || other.has[1][t]) {
			c.t.Fatalf("%s: task %v is given to %s of %s (kind %d) in epoch %d while %s of %s has it in epoch %d",
				group, t, m.id, m.process, kind, m.epoch, other.id, other.process, other.epoch)
		}
	}
}

func (c *streamsChurn) act(group string, m *thread) {
	switch luck := c.rnd.IntN(300); {
	case luck == 0:
		m.gone = true
		req := &protocol.StreamsGroupHeartbeatRequest{}
		req.SetDefaults()
		req.GroupId, req.MemberId, req.MemberEpoch = group, m.id, -1
		c.c.StreamsGroupHeartbeat(ctx(m.id, 0), req, func(*protocol.StreamsGroupHeartbeatResponse, []protocol.CreateTopicsRequestCreatableTopic) {})
	case luck == 1:
		m.gone = true // it hangs for ever
	case luck == 2:
		m.waiting = false // it starts over
		m.serial++
		m.forget()
	case !m.waiting:
		c.beat(group, m)
	case luck%20 == 0:
		m.waiting = false // it does not wait any longer
		m.serial++
	}
}

// disturb does something to the coordinator, the topics or the settings.
func (c *streamsChurn) disturb() {
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
		c.setTopic("s", 0)
	case 11:
		s := &scene{world: c.world}
		s.setStreamsOverrides(script.Parse(c.t, fmt.Sprintf("group=group0 standbys=%d", c.rnd.IntN(3))))
	case 12:
		if t, _ := c.cluster.Topic("ta"); t.Partitions < 20 {
			for _, name := range []string{"ta", "r", "s"} {
				c.setTopic(name, t.Partitions+2)
			}
		}
	}
}

func (c *streamsChurn) step() {
	for _, g := range c.ids() {
		if len(c.groups[g]) < 25 && c.rnd.IntN(2) == 0 {
			c.add(g)
		}
		for _, m := range slices.Clone(c.groups[g]) {
			if !m.gone && c.rnd.IntN(4) != 0 {
				c.act(g, m)
			}
		}
		c.groups[g] = slices.DeleteFunc(c.groups[g], func(m *thread) bool { return m.gone })
	}
	c.disturb()
	c.Advance(int64(c.rnd.IntN(1000)))
}

// settle lets everything come to rest and sees to it that every task is worked on.
func (c *streamsChurn) settle() {
	c.world.log.Release()
	c.world.log.FailAppends(nil)
	for range 120 {
		for _, g := range c.ids() {
			for _, m := range c.groups[g] {
				m.waiting = false
				c.beat(g, m)
			}
		}
		c.Advance(1000)
	}
	c.check()
	topic, _ := c.cluster.Topic("ta")
	for _, g := range c.ids() {
		live := c.cores[c.c.PartitionFor(g)].groups[g].(*streams.Group)
		if live.StateName() != "Stable" {
			c.t.Fatalf("%s does not come to rest, it is %s:\n%s", g, live.StateName(), live)
		}
		active := map[assignor.Task]string{}
		for _, m := range c.groups[g] {
			for t := range m.has[0] {
				if active[t] != "" {
					c.t.Fatalf("%s: task %v is active at %s and %s", g, t, active[t], m.id)
				}
				active[t] = m.id
			}
		}
		if len(active) != 2*int(topic.Partitions) {
			c.t.Fatalf("%s: %d tasks are worked on, there are %d:\n%s", g, len(active), 2*topic.Partitions, live)
		}
	}
}

func TestThreadsOfStreamsGroupsComeAndGoAndNoTaskIsActiveTwice(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Logf("seed %d", seed)
			c := newStreamsChurn(t, seed)
			for step := range 300 {
				c.step()
				if step%25 == 24 {
					c.check()
				}
			}
			c.settle()
			if c.steps < 300 || c.fenced == 0 {
				t.Errorf("nothing happened: %d assignments, %d fenced", c.steps, c.fenced)
			}
			t.Logf("%d threads, %d assignments, %d times fenced", c.threads, c.steps, c.fenced)
		})
	}
}
