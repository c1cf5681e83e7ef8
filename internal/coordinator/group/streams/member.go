package streams

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/assignor"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Epochs that a member sends to say something else.
const (
	joinEpoch        = 0
	leaveEpoch       = -1
	leaveStaticEpoch = -2
)

// memberState is where a member is on its way to its target. The numbers are those of
// the record.
type memberState int8

const (
	stable          memberState = 1
	unrevokedTasks  memberState = 2
	unreleasedTasks memberState = 3
)

// The kinds of tasks. The coordinator gives nobody a warm-up task yet, but records of
// brokers to come may have some.
const (
	active = iota
	standby
	warmup
	kinds
)

// held is tasks, each with the epoch in which the member got it; 0 for those that are
// not active. It is not changed once a member has it.
type held map[assignor.Task]int32

// holding is held tasks of every kind.
type holding [kinds]held

func nothing() holding { return holding{held{}, held{}, held{}} }

func (h holding) equal(o holding) bool {
	return slices.EqualFunc(h[:], o[:], func(a, b held) bool { return maps.Equal(a, b) })
}

func (h holding) empty() bool {
	return len(h[active])+len(h[standby])+len(h[warmup]) == 0
}

// reported is what a member says that it has; known is false if it says nothing of that.
type reported struct {
	known bool
	tasks [kinds][]protocol.StreamsGroupHeartbeatRequestTaskIds
}

func reportedBy(req *protocol.StreamsGroupHeartbeatRequest) reported {
	return reported{
		known: req.ActiveTasks != nil && req.StandbyTasks != nil && req.WarmupTasks != nil,
		tasks: [kinds][]protocol.StreamsGroupHeartbeatRequestTaskIds{req.ActiveTasks, req.StandbyTasks, req.WarmupTasks},
	}
}

// find calls f for the tasks reported until it returns true, and tells whether it did.
func (r reported) find(f func(kind int, t assignor.Task) bool) bool {
	for kind, tasks := range r.tasks {
		for i := range tasks {
			for _, p := range tasks[i].Partitions {
				if f(kind, assignor.Task{Subtopology: tasks[i].SubtopologyId, Partition: p}) {
					return true
				}
			}
		}
	}
	return false
}

// stillHas tells whether the member has to be taken to have some of the tasks.
func (r reported) stillHas(h holding) bool {
	return !r.known || r.find(func(kind int, t assignor.Task) bool {
		_, ok := h[kind][t]
		return ok
	})
}

// within tells whether all that the member reports is among the tasks.
func (r reported) within(h holding) bool {
	return r.known && !r.find(func(kind int, t assignor.Task) bool {
		_, ok := h[kind][t]
		return !ok
	})
}

// differs tells whether the member reports something else than that.
func (r reported) differs(h holding) bool {
	n := 0
	r.find(func(int, assignor.Task) bool { n++; return false })
	return r.known && (n != len(h[active])+len(h[standby])+len(h[warmup]) || !r.within(h))
}

// tag is a client tag.
type tag = coordrecord.StreamsGroupMemberMetadataValueKeyValue

// endpoint is where a member answers interactive queries.
type endpoint = coordrecord.StreamsGroupMemberMetadataValueEndpoint

// member is one member. What a group holds of it is replaced, not changed.
type member struct {
	id                 string
	instanceID         *string
	rackID             *string
	clientID           string
	clientHost         string
	rebalanceTimeoutMs int32
	topologyEpoch      int32
	processID          string
	endpoint           *endpoint
	tags               []tag // by key

	epoch         int32
	previousEpoch int32
	state         memberState
	assigned      holding
	pending       holding // what the member has to give up
}

func newMember(id string) *member {
	return &member{
		id: strings.Clone(id), rebalanceTimeoutMs: -1, topologyEpoch: -1,
		state: stable, assigned: nothing(), pending: nothing(),
	}
}

// updated returns what the member is after a heartbeat that says who it is. It shares
// the memory of the request.
func (m *member) updated(call *HeartbeatCall) *member {
	req, next := call.Request, *m
	next.clientID, next.clientHost = call.Context.ClientID, call.Context.ClientHost
	if req.RackId != nil {
		next.rackID = req.RackId
	}
	if req.RebalanceTimeoutMs != -1 {
		next.rebalanceTimeoutMs = req.RebalanceTimeoutMs
	}
	if req.Topology != nil {
		next.topologyEpoch = req.Topology.Epoch
	}
	if req.ProcessId != nil {
		next.processID = *req.ProcessId
	}
	if req.UserEndpoint != nil {
		next.endpoint = &endpoint{Host: req.UserEndpoint.Host, Port: req.UserEndpoint.Port}
	}
	if req.ClientTags != nil {
		next.tags = nil
		for _, t := range req.ClientTags {
			next.tags = append(next.tags, tag(t))
		}
		slices.SortFunc(next.tags, func(a, b tag) int { return cmp.Compare(a.Key, b.Key) })
	}
	return &next
}

// keep gives the member memory of its own.
func (m *member) keep() {
	m.rackID = wire.CloneNullable(m.rackID)
	m.clientID, m.clientHost, m.processID = strings.Clone(m.clientID), strings.Clone(m.clientHost), strings.Clone(m.processID)
	if m.endpoint != nil {
		m.endpoint = &endpoint{Host: strings.Clone(m.endpoint.Host), Port: m.endpoint.Port}
	}
	tags := m.tags
	m.tags = nil
	for _, t := range tags {
		m.tags = append(m.tags, tag{Key: strings.Clone(t.Key), Value: strings.Clone(t.Value)})
	}
}

// sameMetadata tells whether both say the same of who the member is.
func (m *member) sameMetadata(o *member) bool {
	return equalNullable(m.rackID, o.rackID) && m.clientID == o.clientID && m.clientHost == o.clientHost &&
		m.rebalanceTimeoutMs == o.rebalanceTimeoutMs && m.topologyEpoch == o.topologyEpoch && m.processID == o.processID &&
		equalNullable(m.endpoint, o.endpoint) && slices.Equal(m.tags, o.tags)
}

// reconciled tells whether the member has all of the target of that epoch.
func (m *member) reconciled(assignmentEpoch int32) bool {
	return m.state == stable && m.epoch == assignmentEpoch
}

// checkEpoch checks that the member is as far as the group believes. The answer to its
// last heartbeat may have been lost: then it is one epoch behind. A member may join
// again at any time.
func (m *member) checkEpoch(req *protocol.StreamsGroupHeartbeatRequest) *refusal {
	switch epoch := req.MemberEpoch; {
	case epoch == joinEpoch || epoch == m.epoch:
		return nil
	case epoch > m.epoch:
		return refuse(protocol.FencedMemberEpoch, "The streams group member has a greater member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	case epoch != m.previousEpoch || !reportedBy(req).within(m.assigned):
		return refuse(protocol.FencedMemberEpoch, "The streams group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	}
	return nil
}

func equalNullable[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func (g *Group) startRebalanceTimer(env classic.Env, m *member) {
	env.Out.Schedule(g.timerKey(TimerRebalance, m.id), env.NowMs+int64(m.rebalanceTimeoutMs))
}
