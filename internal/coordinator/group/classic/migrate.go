package classic

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Member is a member on its way from one kind of group to another. Whoever gets it may
// keep it, and does not change it.
type Member struct {
	ID                 string
	InstanceID         *string
	ClientID           string
	ClientHost         string
	RebalanceTimeoutMs int32
	SessionTimeoutMs   int32
	Protocols          []Protocol
	Assignment         []byte
}

// Protocol is a protocol that a member offers, with what it has to say about it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Generation returns the generation of the group.
func (g *Group) Generation() int32 { return g.generation }

// Members returns the members in the order in which they joined. The first protocol of
// each is the one that the group uses.
func (g *Group) Members() []Member {
	used := ""
	switch {
	case g.protocolName != nil:
		used = *g.protocolName
	case len(g.order) > 0:
		used = g.selectProtocol()
	}
	out := make([]Member, len(g.order))
	for i, m := range g.order {
		out[i] = Member{
			ID: m.id, InstanceID: m.instanceID, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeoutMs: m.rebalanceTimeoutMs, SessionTimeoutMs: m.sessionTimeoutMs, Assignment: m.assignment,
		}
		for j := range m.protocols {
			p := Protocol{Name: m.protocols[j].name, Metadata: m.protocols[j].metadata}
			if p.Name == used {
				out[i].Protocols = slices.Insert(out[i].Protocols, 0, p)
			} else {
				out[i].Protocols = append(out[i].Protocols, p)
			}
		}
	}
	return out
}

// Retire ends the group, whose members go on in another: who waits is told to join
// again there.
func (g *Group) Retire(env Env) {
	for _, m := range g.order {
		env.Out.Cancel(g.sessionKey(m.id))
		if m.join != nil {
			g.answerJoin(env, m, protocol.RebalanceInProgress)
		}
		if m.sync != nil {
			g.answerSync(env, m, protocol.RebalanceInProgress)
		}
	}
	env.Out.Cancel(g.joinKey())
	env.Out.Cancel(g.syncKey())
	g.Delete(env)
}

// FromMembers returns the group of consumers that the members make, as of nowMs.
func FromMembers(id string, nowMs int64, generation int32, members []Member) *Group {
	g := New(id, nowMs)
	g.protocolType, g.generation, g.state, g.previous = consumerProtocolType, generation, Stable, Stable
	for i := range members {
		from := &members[i]
		m := &member{
			id: from.ID, instanceID: from.InstanceID, clientID: from.ClientID, clientHost: from.ClientHost,
			rebalanceTimeoutMs: from.RebalanceTimeoutMs, sessionTimeoutMs: from.SessionTimeoutMs, assignment: from.Assignment,
		}
		for _, p := range from.Protocols {
			m.protocols = append(m.protocols, offer{name: p.Name, metadata: p.Metadata})
		}
		g.add(m)
	}
	name := g.selectProtocol()
	g.protocolName = &name
	g.subscribed = g.computeSubscribed()
	return g
}

// Start writes a group of FromMembers, starts its sessions and has everybody join.
func (g *Group) Start(env Env) {
	// If the record is too large, the group is written when it is next Stable.
	_ = g.record(env)
	for _, m := range g.order {
		g.renewSession(env, m)
	}
	g.prepareRebalance(env)
}
