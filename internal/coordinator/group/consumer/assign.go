package consumer

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// bytesPerPartition bounds what a partition takes in the largest record that tells of
// it: its number, its epoch, and the same again where it is to be given up.
const bytesPerPartition = 16

// subscribed lists the topics that somebody is subscribed to, in order.
func (g *Group) subscribed() []string {
	names := slices.Collect(maps.Keys(g.topics))
	for _, r := range g.regexes {
		names = append(names, r.topics...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// hash stands for all that an assignment depends on beside the members.
func (g *Group) hash() int64 {
	var topics []Topic
	for _, name := range g.subscribed() {
		if t, ok := g.around.Metadata.Topic(name); ok {
			topics = append(topics, t)
		}
	}
	return HashTopics(topics)
}

// HashTopics stands for which topics there are, with how many partitions. 0: none.
func HashTopics(topics []Topic) int64 {
	if len(topics) == 0 {
		return 0
	}
	sum := fnv.New64a()
	for i := range topics {
		t := &topics[i]
		_, _ = sum.Write([]byte(t.Name)) // documented never to fail
		_, _ = sum.Write(t.ID[:])
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(t.Partitions))
		_, _ = sum.Write(n[:])
	}
	return int64(sum.Sum64())
}

// assign computes the target assignment of the group epoch, unless the last one is too
// young: then a later heartbeat does.
func (g *Group) assign(env classic.Env) *refusal {
	if g.assignmentEpoch >= g.epoch || g.assignedMs > 0 && env.NowMs < g.assignedMs+g.assignmentIntervalMs() {
		return nil
	}
	members := slices.SortedFunc(maps.Values(g.members), func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.place(), b.place()), cmp.Compare(a.id, b.id))
	})
	targets := assignor.Named(g.Assignor())(g.spec(members))
	for i := range targets {
		if n := targets[i].Partitions(); n > env.Config.MaxRecordBytes/bytesPerPartition {
			return refuse(protocol.UnknownServerError, "Failed to compute a new target assignment for epoch %d: member %s would have %d partitions.",
				g.epoch, members[i].id, n)
		}
	}
	for i, m := range members {
		if !targets[i].Equal(g.target[m.id]) {
			g.target[m.id] = targets[i]
			g.writeTarget(env, m.id)
		}
	}
	g.assignmentEpoch, g.assignedMs = g.epoch, env.NowMs
	g.writeAssignmentEpoch(env)
	return nil
}

// place is by what members are put in order: a static member keeps its place when it
// comes back with another id.
func (m *member) place() string {
	if m.instanceID != nil {
		return *m.instanceID
	}
	return m.id
}

// Assignor returns the name of the assignor that most members ask for, of those that
// ask for one. Otherwise it is the first of the settings.
func (g *Group) Assignor() string {
	votes := make(map[string]int)
	for _, m := range g.members {
		if m.assignor != nil {
			votes[*m.assignor]++
		}
	}
	best := g.around.Config.Assignors[0]
	for _, name := range g.around.Config.Assignors {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// spec describes the group to an assignor.
func (g *Group) spec(members []*member) *assignor.Spec {
	s := &assignor.Spec{Members: make([]assignor.Member, len(members))}
	at := make(map[string]int)
	for _, name := range g.subscribed() {
		if t, ok := g.around.Metadata.Topic(name); ok {
			at[name] = len(s.Topics)
			s.Topics = append(s.Topics, assignor.Topic{ID: t.ID, Partitions: t.Partitions})
		}
	}
	for i, m := range members {
		s.Members[i].Previous = g.target[m.id]
		// Most members are subscribed to what the one before is.
		if i > 0 && m.sameSubscription(members[i-1]) {
			s.Members[i].Topics = s.Members[i-1].Topics
			continue
		}
		var topics []int
		g.eachTopic(m, func(t Topic) { topics = append(topics, at[t.Name]) })
		slices.Sort(topics)
		s.Members[i].Topics = slices.Compact(topics)
	}
	return s
}
