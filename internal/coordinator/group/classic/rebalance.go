package classic

import (
	"math"
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// rebalance starts a rebalance, or goes on with the one that is being prepared.
func (g *Group) rebalance(env Env) {
	if g.state == PreparingRebalance {
		g.maybeCompleteJoin(env)
	} else {
		g.prepareRebalance(env)
	}
}

// prepareRebalance asks every member to join again.
func (g *Group) prepareRebalance(env Env) {
	if g.state == CompletingRebalance {
		g.answerSyncs(env, protocol.RebalanceInProgress)
	}
	clear(g.pendingSync)
	env.Out.Cancel(g.syncKey())
	initial := g.state == Empty
	g.transition(PreparingRebalance, env.NowMs)
	switch {
	case initial:
		// The first member is rarely the only one: give the others time to arrive.
		g.newMemberAdded = false
		g.initialDelayMs = env.Config.InitialRebalanceDelayMs
		g.initialRemainingMs = max(g.rebalanceTimeoutMs()-g.initialDelayMs, 0)
		env.Out.Schedule(g.joinKey(), env.NowMs+g.initialDelayMs)
	case g.allJoined():
		g.completeJoin(env)
	default:
		env.Out.Schedule(g.joinKey(), env.NowMs+g.rebalanceTimeoutMs())
	}
}

// maybeCompleteJoin ends the preparation when everybody is there. The initial
// rebalance ends by its timer only.
func (g *Group) maybeCompleteJoin(env Env) {
	if g.state == PreparingRebalance && g.previous != Empty && g.allJoined() {
		g.completeJoin(env)
	}
}

// joinTimeout is the end of the time to join.
func (g *Group) joinTimeout(env Env) {
	if g.state != PreparingRebalance {
		return
	}
	if g.previous == Empty && g.newMemberAdded && g.initialRemainingMs > 0 {
		g.newMemberAdded = false
		passedMs := g.initialDelayMs
		g.initialDelayMs = min(env.Config.InitialRebalanceDelayMs, g.initialRemainingMs)
		g.initialRemainingMs = max(g.initialRemainingMs-passedMs, 0)
		env.Out.Schedule(g.joinKey(), env.NowMs+g.initialDelayMs)
		return
	}
	g.completeJoin(env)
}

// completeJoin starts the next generation with those who are there. Dynamic members
// that did not come are out; static ones stay until their session ends.
func (g *Group) completeJoin(env Env) {
	env.Out.Cancel(g.joinKey())
	for _, m := range slices.Clone(g.order) {
		if m.join == nil && m.instanceID == nil {
			g.remove(env, m.id)
		}
	}
	if !g.electLeader() && len(g.members) > 0 {
		env.Out.Schedule(g.joinKey(), env.NowMs+g.rebalanceTimeoutMs())
		return
	}
	g.nextGeneration(env.NowMs)
	if g.state == Empty {
		// Without members the record is small: it always fits.
		_ = g.record(env)
		return
	}
	if g.pendingSync == nil {
		g.pendingSync = make(map[string]struct{})
	}
	for _, m := range g.order {
		if m.join != nil {
			g.describeGeneration(&m.join.Response, m)
			env.Out.Answer(m.join)
			m.join = nil
			g.awaitingJoin--
		}
		m.isNew = false
		g.renewSession(env, m)
		g.pendingSync[m.id] = struct{}{}
	}
	env.Out.Schedule(g.syncKey(), env.NowMs+g.rebalanceTimeoutMs())
}

// electLeader keeps a leader that has joined and otherwise takes the first member
// that has.
func (g *Group) electLeader() bool {
	if m := g.members[g.leader]; m == nil || m.join != nil {
		return m != nil
	}
	for _, m := range g.order {
		if m.join != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}

func (g *Group) nextGeneration(nowMs int64) {
	if g.generation == math.MaxInt32 {
		g.generation = 0
	}
	g.generation++
	if len(g.members) == 0 {
		g.protocolName = nil
		g.transition(Empty, nowMs)
	} else {
		name := g.selectProtocol()
		g.protocolName = &name
		g.transition(CompletingRebalance, nowMs)
	}
	g.subscribed = g.computeSubscribed()
}

// selectProtocol lets every member vote for the first protocol of its list that all
// support. The order of the eldest member decides a tie.
func (g *Group) selectProtocol() string {
	votes := make(map[string]int)
	for _, m := range g.order {
		for i := range m.protocols {
			if g.supported[m.protocols[i].name] == len(g.members) {
				votes[m.protocols[i].name]++
				break
			}
		}
	}
	best := ""
	for i := range g.order[0].protocols {
		if name := g.order[0].protocols[i].name; best == "" && votes[name] > 0 || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// computeSubscribed reads the topics out of the members' subscriptions. It returns
// nil if the group is not one of consumers, or if a subscription cannot be read.
func (g *Group) computeSubscribed() map[string]struct{} {
	if !g.usesConsumerProtocol() {
		return nil
	}
	out := make(map[string]struct{})
	if len(g.members) == 0 {
		return out
	}
	if g.protocolName == nil {
		return nil
	}
	for _, m := range g.order {
		// Every version of the subscription starts with the fields of version 0.
		r := wire.NewReader(m.metadata(g.protocolName))
		r.Int16()
		for n := r.Int32(); n > 0 && r.OK(); n-- {
			out[r.String(false)] = struct{}{}
		}
		if !r.OK() {
			return nil
		}
	}
	return out
}

// answerSyncs answers the members that wait for an assignment: with it, or with an
// error, in which case there is no assignment any more.
func (g *Group) answerSyncs(env Env, code protocol.ErrorCode) {
	for _, m := range g.order {
		if code != protocol.None {
			g.assign(m, []byte{})
		}
		if m.sync != nil {
			g.answerSync(env, m, code)
			g.renewSession(env, m)
		}
	}
}

func (g *Group) answerSync(env Env, m *member, code protocol.ErrorCode) {
	m.sync.Response.ErrorCode = code
	if code == protocol.None {
		g.describeAssignment(&m.sync.Response, m)
	}
	env.Out.Answer(m.sync)
	m.sync = nil
}

func (g *Group) describeAssignment(r *protocol.SyncGroupResponse, m *member) {
	protocolType := g.protocolType
	r.ProtocolType = &protocolType
	r.ProtocolName = g.protocolName
	r.Assignment = m.assignment
}

func (g *Group) assign(m *member, assignment []byte) {
	g.bytes += len(assignment) - len(m.assignment)
	m.assignment = assignment
}

// Expire handles a timer of the group.
func (g *Group) Expire(env Env, key runtime.TimerKey) {
	switch key.Kind {
	case TimerSession:
		g.sessionTimeout(env, key.Member)
	case TimerJoin:
		g.joinTimeout(env)
	case TimerSync:
		g.syncTimeout(env)
	}
}

func (g *Group) sessionTimeout(env Env, id string) {
	m := g.members[id]
	if m != nil && !m.isNew && (m.join != nil || m.sync != nil) {
		return // it waits for us; the session starts anew with the answer
	}
	g.remove(env, id)
	g.membersLeft(env, m != nil)
}

// membersLeft goes on after members, or only pending ones, were removed.
func (g *Group) membersLeft(env Env, members bool) {
	switch {
	case g.state == PreparingRebalance:
		g.maybeCompleteJoin(env)
	case members && (g.state == Stable || g.state == CompletingRebalance):
		g.prepareRebalance(env)
	}
}

// syncTimeout removes the members that never asked for their assignment.
func (g *Group) syncTimeout(env Env) {
	if g.state != CompletingRebalance && g.state != Stable || len(g.pendingSync) == 0 {
		return
	}
	for _, m := range slices.Clone(g.order) {
		if _, ok := g.pendingSync[m.id]; ok {
			g.remove(env, m.id)
		}
	}
	g.prepareRebalance(env)
}
