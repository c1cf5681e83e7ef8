package share

import (
	"maps"
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// bytesPerPartition is what a partition takes in the records that tell of it.
const bytesPerPartition = 4

// subscribed returns the topics that somebody is subscribed to and that there are, in
// the order of their names.
func (g *Group) subscribed() []consumer.Topic {
	out := make([]consumer.Topic, 0, len(g.topics))
	for _, name := range slices.Sorted(maps.Keys(g.topics)) {
		if t, ok := g.around.Metadata.Topic(name); ok {
			out = append(out, t)
		}
	}
	return out
}

// hash stands for all that an assignment depends on beside the members and the
// initialized partitions.
func (g *Group) hash() int64 { return consumer.HashTopics(g.subscribed()) }

// refresh takes in that topics have changed. It tells whether that makes a difference
// for the group.
func (g *Group) refresh() bool {
	version := g.around.Metadata.Version()
	if version == g.checked {
		return false
	}
	g.checked = version
	g.complete, g.assigned = false, false
	return g.hash() != g.metadataHash
}

// assignable returns the initialized partitions of a topic.
func (g *Group) assignable(t consumer.Topic) []int32 {
	partitions := g.state.initialized[t.ID].partitions
	end, _ := slices.BinarySearch(partitions, t.Partitions)
	return partitions[:end]
}

// unassigned tells whether the target does not have what could be assigned.
func (g *Group) unassigned() bool {
	if g.assigned || g.Empty() {
		return false
	}
	for _, t := range g.subscribed() {
		seen := make(map[int32]struct{})
		for _, target := range g.target {
			for _, p := range target[t.ID] {
				seen[p] = struct{}{}
			}
		}
		for _, p := range g.assignable(t) {
			if _, ok := seen[p]; !ok {
				return true
			}
		}
	}
	g.assigned = true
	return false
}

// assign computes the target assignment of the group epoch, unless the last one is too
// young: then a later heartbeat does.
func (g *Group) assign(env classic.Env) *refusal {
	if g.assignmentEpoch >= g.epoch || g.assignedMs > 0 && env.NowMs < g.assignedMs+g.assignmentIntervalMs() {
		return nil
	}
	memberIDs := g.memberIDs()
	targets := assignor.Simple(g.spec(memberIDs))
	for i, id := range memberIDs {
		if n := targets[i].Partitions(); n > env.Config.MaxRecordBytes/bytesPerPartition {
			return refuse(protocol.UnknownServerError, "Failed to compute a new target assignment for epoch %d: member %s would have %d partitions.", g.epoch, id, n)
		}
	}
	for i, id := range memberIDs {
		if old, ok := g.target[id]; !ok || !targets[i].Equal(old) {
			g.target[id] = targets[i]
			g.writeTarget(env, id)
		}
	}
	g.assignmentEpoch, g.assignedMs, g.assigned = g.epoch, env.NowMs, true
	g.writeAssignmentEpoch(env)
	return nil
}

// spec describes the group to the assignor.
func (g *Group) spec(memberIDs []string) (s *assignor.Spec, assignable [][]int32) {
	s = &assignor.Spec{Members: make([]assignor.Member, len(memberIDs))}
	at := make(map[string]int)
	for i, t := range g.subscribed() {
		at[t.Name] = i
		s.Topics = append(s.Topics, assignor.Topic{ID: t.ID, Partitions: t.Partitions})
		assignable = append(assignable, g.assignable(t))
	}
	for i, id := range memberIDs {
		m := g.members[id]
		s.Members[i].Previous = g.target[id]
		if i > 0 && slices.Equal(m.topics, g.members[memberIDs[i-1]].topics) {
			s.Members[i].Topics = s.Members[i-1].Topics
			continue
		}
		for _, name := range m.topics {
			if t, ok := at[name]; ok {
				s.Members[i].Topics = append(s.Members[i].Topics, t)
			}
		}
	}
	return s, assignable
}

// reconcile gives a member its target, as far as it is subscribed to it, and returns
// what it has become.
func (g *Group) reconcile(env classic.Env, m *member, changed bool) *member {
	if !changed && m.epoch == g.assignmentEpoch {
		return m
	}
	next := *m
	next.assigned = assignor.Assignment{}
	for _, name := range m.topics {
		if t, ok := g.around.Metadata.Topic(name); ok && len(g.target[m.id][t.ID]) > 0 {
			next.assigned[t.ID] = g.target[m.id][t.ID]
		}
	}
	if m.epoch != g.assignmentEpoch {
		next.previousEpoch, next.epoch = m.epoch, g.assignmentEpoch
	} else if next.assigned.Equal(m.assigned) {
		return m
	}
	g.members[m.id] = &next
	g.writeCurrent(env, &next)
	return &next
}

// ids returns the topics in the order of their ids.
func ids[V any](m map[wire.UUID]V) []wire.UUID {
	return slices.SortedFunc(maps.Keys(m), wire.UUID.Compare)
}
