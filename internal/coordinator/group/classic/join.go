package classic

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// memberIDRequiredVersion is the first version of JoinGroup whose members get an id
// before they join (KIP-394).
const memberIDRequiredVersion = 4

// skipAssignmentVersion is the first version of JoinGroup that can tell a leader to
// leave the assignment as it is (KIP-814).
const skipAssignmentVersion = 9

// Join handles a JoinGroup request. newMemberID is the id for a member that has none.
func (g *Group) Join(env Env, call *JoinCall, newMemberID string) {
	id := call.Request.MemberId
	switch {
	case !g.accepts(env, id):
		g.remove(env, id)
		refuseJoin(env, call, "", protocol.GroupMaxSizeReached)
		g.maybeCompleteJoin(env)
	case !g.supports(call.Request.ProtocolType, call.Request.Protocols):
		refuseJoin(env, call, id, protocol.InconsistentGroupProtocol)
	case id == "":
		g.joinNew(env, call, newMemberID)
	default:
		g.joinKnown(env, call)
	}
}

func refuseJoin(env Env, call *JoinCall, memberID string, code protocol.ErrorCode) {
	call.Response.MemberId, call.Response.ErrorCode = memberID, code
	env.Out.Answer(call)
}

// accepts tells whether there is room. While a rebalance is being prepared the
// members that wait count, not those the group has: that way a group that became too
// large loses those who come last.
func (g *Group) accepts(env Env, id string) bool {
	m := g.members[id]
	switch g.state {
	case PreparingRebalance:
		return m != nil && m.join != nil || g.awaitingJoin < env.Config.MaxSize
	case CompletingRebalance, Stable:
		return m != nil || len(g.members) < env.Config.MaxSize
	default:
		return true
	}
}

func (g *Group) joinNew(env Env, call *JoinCall, id string) {
	if instance := call.Request.GroupInstanceId; instance != nil {
		if old, ok := g.static[*instance]; ok {
			g.replaceStatic(env, call, g.members[old], id)
		} else {
			g.addMember(env, call, id)
		}
		return
	}
	if call.Context.Version < memberIDRequiredVersion {
		g.addMember(env, call, id)
		return
	}
	if len(g.pendingJoin) >= MaxPendingMembers {
		refuseJoin(env, call, "", protocol.GroupMaxSizeReached)
		return
	}
	if g.pendingJoin == nil {
		g.pendingJoin = make(map[string]struct{})
	}
	g.pendingJoin[id] = struct{}{}
	env.Out.Schedule(g.sessionKey(id), env.NowMs+int64(call.Request.SessionTimeoutMs))
	refuseJoin(env, call, id, protocol.MemberIdRequired)
}

func (g *Group) joinKnown(env Env, call *JoinCall) {
	req := call.Request
	if _, pending := g.pendingJoin[req.MemberId]; pending {
		if req.GroupInstanceId != nil {
			refuseJoin(env, call, req.MemberId, protocol.UnknownMemberId)
			return
		}
		g.addMember(env, call, strings.Clone(req.MemberId))
		return
	}
	if code := g.validate(req.MemberId, req.GroupInstanceId); code != protocol.None {
		refuseJoin(env, call, req.MemberId, code)
		return
	}
	m := g.members[req.MemberId]
	switch {
	case g.state == CompletingRebalance && m.matches(req.Protocols),
		// A follower that changes nothing learns where the group is. The leader may
		// join to have partitions assigned anew.
		g.state == Stable && !g.isLeader(m.id) && m.matches(req.Protocols):
		g.describeGeneration(&call.Response, m)
		env.Out.Answer(call)
	case g.state == Empty:
		refuseJoin(env, call, req.MemberId, protocol.UnknownMemberId)
	default:
		if !g.update(env, call, m) {
			return
		}
		g.rebalance(env)
	}
}

// addMember makes the caller a member and starts a rebalance, or joins the one that
// is on.
func (g *Group) addMember(env Env, call *JoinCall, id string) {
	req := call.Request
	m := &member{
		id:                 id,
		clientID:           strings.Clone(call.Context.ClientID),
		clientHost:         strings.Clone(call.Context.ClientHost),
		rebalanceTimeoutMs: req.RebalanceTimeoutMs,
		sessionTimeoutMs:   req.SessionTimeoutMs,
		protocols:          cloneOffers(req.Protocols),
		assignment:         []byte{},
		join:               call,
		isNew:              true,
	}
	if g.bytes+m.size() > MaxGroupBytes {
		refuseJoin(env, call, "", protocol.GroupMaxSizeReached)
		return
	}
	if req.GroupInstanceId != nil {
		instance := strings.Clone(*req.GroupInstanceId)
		m.instanceID = &instance
	}
	if len(g.members) == 0 {
		g.protocolType = strings.Clone(req.ProtocolType)
	}
	if g.state == PreparingRebalance && g.previous == Empty {
		g.newMemberAdded = true
	}
	g.add(m)
	// A new member cannot send heartbeats before it knows its id.
	env.Out.Schedule(g.sessionKey(id), env.NowMs+NewMemberJoinTimeoutMs)
	g.rebalance(env)
}

// update takes over what a member that joins again says of itself. It answers the
// call and returns false if the group would become too large.
func (g *Group) update(env Env, call *JoinCall, m *member) bool {
	protocols := cloneOffers(call.Request.Protocols)
	g.count(m, -1)
	old := m.protocols
	m.protocols = protocols
	if g.bytes+m.size() > MaxGroupBytes {
		m.protocols = old
		g.count(m, 1)
		refuseJoin(env, call, call.Request.MemberId, protocol.GroupMaxSizeReached)
		return false
	}
	g.count(m, 1)
	m.rebalanceTimeoutMs = call.Request.RebalanceTimeoutMs
	m.sessionTimeoutMs = call.Request.SessionTimeoutMs
	if m.join != nil {
		// The member asked twice. The first question was lost, or its answer is.
		g.answerJoin(env, m, protocol.RebalanceInProgress)
	}
	m.join = call
	g.awaitingJoin++
	return true
}

// replaceStatic lets a static member that came back without its id take the place of
// old, whose calls are fenced (KIP-345).
func (g *Group) replaceStatic(env Env, call *JoinCall, old *member, id string) {
	wasLeader := g.leader
	if old.join != nil {
		g.answerJoin(env, old, protocol.FencedInstanceId)
	}
	if old.sync != nil {
		g.answerSync(env, old, protocol.FencedInstanceId)
	}
	m := *old
	m.id, m.isNew = id, false
	env.Out.Cancel(g.sessionKey(old.id))
	if _, ok := g.pendingSync[old.id]; ok {
		delete(g.pendingSync, old.id)
		g.pendingSync[id] = struct{}{}
	}
	delete(g.members, old.id)
	g.members[id] = &m
	g.order[slices.Index(g.order, old)] = &m
	g.static[*m.instanceID] = id
	if g.leader == old.id {
		g.leader = id
	}
	updated := g.update(env, call, &m)
	g.renewSession(env, &m)
	if !updated {
		return
	}
	switch g.state {
	case Stable:
		if g.protocolName != nil && g.selectProtocol() == *g.protocolName && g.record(env) == nil {
			g.welcomeBack(env, &m, wasLeader)
			return
		}
		g.prepareRebalance(env)
	case CompletingRebalance:
		// The leader may have been given the old id to assign partitions to.
		g.prepareRebalance(env)
	default:
		g.maybeCompleteJoin(env)
	}
}

// welcomeBack answers a static member that changed nothing: the group stays Stable.
func (g *Group) welcomeBack(env Env, m *member, wasLeader string) {
	call := m.join
	m.join = nil
	g.awaitingJoin--
	g.subscribed = g.computeSubscribed()
	g.describeGeneration(&call.Response, m)
	if call.Context.Version >= skipAssignmentVersion {
		call.Response.SkipAssignment = g.isLeader(m.id)
	} else {
		// It would assign partitions if it learnt that it leads, and they would be lost:
		// the group does not wait for them.
		call.Response.Leader = wasLeader
		call.Response.Members = nil
	}
	env.Out.Answer(call)
}

// describeGeneration fills in what a member learns of the generation it is in.
func (g *Group) describeGeneration(r *protocol.JoinGroupResponse, m *member) {
	r.MemberId = m.id
	r.GenerationId = g.generation
	r.ProtocolName = g.protocolName
	protocolType := g.protocolType
	r.ProtocolType = &protocolType
	r.Leader = g.leader
	if !g.isLeader(m.id) {
		return
	}
	r.Members = make([]protocol.JoinGroupResponseMember, len(g.order))
	for i, x := range g.order {
		r.Members[i] = protocol.JoinGroupResponseMember{
			MemberId: x.id, GroupInstanceId: x.instanceID, Metadata: x.metadata(g.protocolName),
		}
	}
}

// answerJoin answers the member's waiting join with an error.
func (g *Group) answerJoin(env Env, m *member, code protocol.ErrorCode) {
	id := m.id
	if code == protocol.UnknownMemberId {
		id = ""
	}
	refuseJoin(env, m.join, id, code)
	m.join = nil
	g.awaitingJoin--
}
