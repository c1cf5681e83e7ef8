package consumer

import (
	"maps"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// reported is what a member says that it owns, nil if it says nothing of that.
type reported = []protocol.ConsumerGroupHeartbeatRequestTopicPartitions

// reconcile takes a member one step towards its target and returns what it has become.
func (g *Group) reconcile(env classic.Env, m *member, owns reported, subscriptionChanged bool) *member {
	if !subscriptionChanged && m.reconciled(g.assignmentEpoch) {
		return m
	}
	next := *m
	switch {
	case m.state == stable && m.epoch == g.assignmentEpoch,
		m.state == unrevokedPartitions && stillOwns(owns, m.pending):
		if !subscriptionChanged || !g.takeUnsubscribed(&next, owns) {
			return m
		}
	default:
		g.advance(&next, owns)
	}
	if next.epoch == m.epoch && next.previousEpoch == m.previousEpoch && next.state == m.state &&
		next.assigned.equal(m.assigned) && next.pending.equal(m.pending) {
		return m
	}
	g.settle(env, m, &next)
	return &next
}

// settle makes next what the member is, and writes it.
func (g *Group) settle(env classic.Env, m, next *member) {
	g.release(m)
	g.own(next)
	g.members[next.id] = next
	g.writeCurrent(env, next)
	switch {
	case next.state != unrevokedPartitions:
		env.Out.Cancel(g.timerKey(TimerRebalance, next.id))
	case m.state != unrevokedPartitions || m.epoch != next.epoch:
		g.startRebalanceTimer(env, next)
	}
}

// takeUnsubscribed takes back at once what a member does not want any more, without
// waiting for the next target. It tells whether there was anything.
func (g *Group) takeUnsubscribed(m *member, owns reported) bool {
	subscribed := g.subscribedIDs(m)
	kept, taken := owned{}, owned{}
	for id, partitions := range m.pending {
		taken[id] = partitions
	}
	found := false
	for id, partitions := range m.assigned {
		if _, ok := subscribed[id]; ok {
			kept[id] = partitions
			continue
		}
		found = true
		taken[id] = maps.Clone(partitions)
		maps.Copy(taken[id], m.pending[id])
	}
	if !found {
		return false
	}
	m.previousEpoch = m.epoch
	m.assigned = kept
	if len(taken) > 0 && stillOwns(owns, taken) {
		m.state, m.pending = unrevokedPartitions, taken
	}
	return true
}

// advance compares what the member has with its target. It gives up what is not in the
// target, or, if that is done, gets what is free.
func (g *Group) advance(m *member, owns reported) {
	subscribed := g.subscribedIDs(m)
	target := g.target[m.id]
	kept, revoked := owned{}, owned{}
	wanted := func(id wire.UUID) []int32 {
		if _, ok := subscribed[id]; ok {
			return target[id]
		}
		return nil
	}
	for id, partitions := range m.assigned {
		left := len(partitions)
		for _, p := range wanted(id) {
			if epoch, ok := partitions[p]; ok {
				kept.put(id, p, epoch)
				left--
			}
		}
		if left == 0 {
			continue
		}
		for p, epoch := range partitions {
			if !kept.has(id, p) {
				revoked.put(id, p, epoch)
			}
		}
	}
	if len(revoked) > 0 && stillOwns(owns, revoked) {
		m.state, m.previousEpoch = unrevokedPartitions, m.epoch
		m.assigned, m.pending = kept, revoked
		return
	}
	m.state = stable
	for id := range target {
		for _, p := range wanted(id) {
			switch {
			case kept.has(id, p):
			case g.takenByOther(m.id, id, p):
				m.state = unreleasedPartitions
			default:
				kept.put(id, p, g.assignmentEpoch)
			}
		}
	}
	m.previousEpoch, m.epoch = m.epoch, g.assignmentEpoch
	m.assigned, m.pending = kept, owned{}
}

// subscribedIDs returns the ids of the topics that the member is subscribed to.
func (g *Group) subscribedIDs(m *member) map[wire.UUID]struct{} {
	out := make(map[wire.UUID]struct{}, len(m.topics))
	g.eachTopic(m, func(t Topic) { out[t.ID] = struct{}{} })
	return out
}

// eachTopic calls f for every topic that the member is subscribed to and that there is;
// twice for one it names and matches.
func (g *Group) eachTopic(m *member, f func(Topic)) {
	visit := func(names []string) {
		for _, name := range names {
			if t, ok := g.around.Metadata.Topic(name); ok {
				f(t)
			}
		}
	}
	visit(m.topics)
	if r := g.regexes[m.regex]; r != nil {
		visit(r.topics)
	}
}
