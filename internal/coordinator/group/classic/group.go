package classic

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Calls that a group answers.
type (
	// JoinCall is a JoinGroup request.
	JoinCall = runtime.Exchange[protocol.JoinGroupRequest, protocol.JoinGroupResponse]
	// SyncCall is a SyncGroup request.
	SyncCall = runtime.Exchange[protocol.SyncGroupRequest, protocol.SyncGroupResponse]
	// HeartbeatCall is a Heartbeat request.
	HeartbeatCall = runtime.Exchange[protocol.HeartbeatRequest, protocol.HeartbeatResponse]
	// LeaveCall is a LeaveGroup request whose members are in Members, whatever its version.
	LeaveCall = runtime.Exchange[protocol.LeaveGroupRequest, protocol.LeaveGroupResponse]
)

// Kinds of timers of a classic group, for runtime.TimerKey.
const (
	// TimerSession is a member's or a pending member's session.
	TimerSession uint8 = iota + 1
	// TimerJoin ends the time in which members may join a rebalance.
	TimerJoin
	// TimerSync ends the time in which members may ask for their assignment.
	TimerSync
)

// Limits that no setting names.
const (
	// NewMemberJoinTimeoutMs is how long the first join of a member may wait.
	NewMemberJoinTimeoutMs = 5 * 60 * 1000
	// MaxPendingMembers is how many members may have been given an id and not yet
	// have come back with it.
	MaxPendingMembers = 10_000
	// MaxProtocols is how many protocols a member may offer.
	MaxProtocols = 256
	// MaxNameBytes bounds every name that goes into a record, whose strings have
	// two bytes for their length.
	MaxNameBytes = 16 << 10
	// MaxGroupBytes bounds the subscriptions and assignments of all members.
	MaxGroupBytes = 64 << 20
)

// Config is the settings of classic groups.
type Config struct {
	// MaxSize is how many members a group may have (group.max.size).
	MaxSize int
	// InitialRebalanceDelayMs is how long an empty group waits for more members
	// after the first (group.initial.rebalance.delay.ms).
	InitialRebalanceDelayMs int64
	// MaxRecordBytes is the largest group record that may be written.
	MaxRecordBytes int
}

// Env is one event's surroundings.
type Env struct {
	// NowMs is the time.
	NowMs int64
	// Out takes the effects.
	Out *runtime.Effects
	// Config is the settings.
	Config *Config
}

// Write writes a record of a group.
func (e Env) Write(key coordrecord.Key, value coordrecord.Value) {
	e.Out.Write(coordrecord.AppendKey(nil, key), coordrecord.AppendValue(nil, value, 0))
}

// Forget writes tombstones.
func (e Env) Forget(keys ...coordrecord.Key) {
	for _, key := range keys {
		e.Out.Write(coordrecord.AppendKey(nil, key), nil)
	}
}

// State is where a group is in its life.
type State uint8

// The states of a group. A group that is gone is Dead: no Group says so of itself.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
)

// String returns the state as the tools print it.
func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}[s]
}

// consumerProtocolType is the protocol type of consumers, whose subscriptions the
// coordinator can read.
const consumerProtocolType = "consumer"

// Group is one classic group, or a group without members that only holds offsets.
type Group struct {
	id               string
	state            State
	previous         State
	stateTimestampMs int64 // of the last change of state; -1: unknown

	protocolType string // empty: the group was never joined
	protocolName *string
	generation   int32
	leader       string

	members map[string]*member
	order   []*member // in the order of joining
	static  map[string]string
	// supported counts how many members offer a protocol.
	supported    map[string]int
	bytes        int
	awaitingJoin int

	pendingJoin map[string]struct{}
	pendingSync map[string]struct{}

	// The initial rebalance is prolonged while members arrive.
	newMemberAdded     bool
	initialDelayMs     int64
	initialRemainingMs int64

	// subscribed is the topics of all members; nil if they cannot be known.
	subscribed map[string]struct{}
}

type member struct {
	id                 string
	instanceID         *string
	clientID           string
	clientHost         string
	rebalanceTimeoutMs int32
	sessionTimeoutMs   int32
	protocols          []offer
	assignment         []byte
	join               *JoinCall // waits for the rebalance
	sync               *SyncCall // waits for the leader's assignment
	isNew              bool      // its first join is not answered yet
}

// offer is a protocol that a member supports, with what it has to say about it.
type offer struct {
	name     string
	metadata []byte
}

// New returns an empty group, as of nowMs.
func New(id string, nowMs int64) *Group {
	return &Group{id: strings.Clone(id), stateTimestampMs: nowMs, members: map[string]*member{}}
}

// NewSimple returns the group of consumers that commit offsets without being members.
// It has no record: it exists because offsets do.
func NewSimple(id string) *Group {
	return &Group{id: strings.Clone(id), stateTimestampMs: -1, members: map[string]*member{}}
}

// State returns where the group is.
func (g *Group) State() State { return g.state }

// ProtocolType returns the protocol type, empty if the group was never joined.
func (g *Group) ProtocolType() string { return g.protocolType }

// Unload returns the calls that wait.
func (g *Group) Unload() []runtime.Call {
	var out []runtime.Call
	for _, m := range g.order {
		if m.join != nil {
			out = append(out, m.join)
		}
		if m.sync != nil {
			out = append(out, m.sync)
		}
		m.join, m.sync = nil, nil
	}
	return out
}

func (g *Group) transition(to State, nowMs int64) {
	g.previous, g.state, g.stateTimestampMs = g.state, to, nowMs
}

func (g *Group) isLeader(id string) bool { return id != "" && g.leader == id }

func (g *Group) usesConsumerProtocol() bool { return g.protocolType == consumerProtocolType }

// add takes in a member that is not in the group.
func (g *Group) add(m *member) {
	if m.instanceID != nil {
		if g.static == nil {
			g.static = make(map[string]string)
		}
		g.static[*m.instanceID] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members[m.id] = m
	g.order = append(g.order, m)
	g.count(m, 1)
	if m.join != nil {
		g.awaitingJoin++
	}
	delete(g.pendingJoin, m.id)
}

// remove takes a member or a pending member out. Its join must have been answered.
func (g *Group) remove(env Env, id string) {
	env.Out.Cancel(g.sessionKey(id))
	delete(g.pendingJoin, id)
	delete(g.pendingSync, id)
	m := g.members[id]
	if m == nil {
		return
	}
	if m.join != nil {
		g.answerJoin(env, m, protocol.UnknownMemberId)
	}
	if m.sync != nil {
		g.answerSync(env, m, protocol.UnknownMemberId)
	}
	delete(g.members, id)
	g.order = slices.DeleteFunc(g.order, func(x *member) bool { return x == m })
	g.count(m, -1)
	if m.instanceID != nil && g.static[*m.instanceID] == id {
		delete(g.static, *m.instanceID)
	}
	if g.leader == id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0].id
		}
	}
}

// count adds by times what the member offers to the group's sums.
func (g *Group) count(m *member, by int) {
	if g.supported == nil {
		g.supported = make(map[string]int)
	}
	for i := range m.protocols {
		name := m.protocols[i].name
		if g.supported[name] += by; g.supported[name] == 0 {
			delete(g.supported, name)
		}
	}
	g.bytes += by * m.size()
}

func (m *member) size() int {
	n := len(m.assignment)
	for i := range m.protocols {
		n += len(m.protocols[i].name) + len(m.protocols[i].metadata)
	}
	return n
}

func (m *member) metadata(protocolName *string) []byte {
	if protocolName != nil {
		for i := range m.protocols {
			if m.protocols[i].name == *protocolName {
				return m.protocols[i].metadata
			}
		}
	}
	return []byte{}
}

// matches tells whether the member already offers exactly these protocols.
func (m *member) matches(protocols []protocol.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(o offer, p protocol.JoinGroupRequestProtocol) bool {
		return o.name == p.Name && string(o.metadata) == string(p.Metadata)
	})
}

func cloneOffers(protocols []protocol.JoinGroupRequestProtocol) []offer {
	out := make([]offer, len(protocols))
	for i := range protocols {
		out[i] = offer{name: strings.Clone(protocols[i].Name), metadata: append([]byte{}, protocols[i].Metadata...)}
	}
	return out
}

// supports tells whether a member with this offer could be part of the group.
func (g *Group) supports(protocolType string, protocols []protocol.JoinGroupRequestProtocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	if g.protocolType != protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p protocol.JoinGroupRequestProtocol) bool {
		return g.supported[p.Name] == len(g.members)
	})
}

// validate checks that the member is the one the group knows by that id.
func (g *Group) validate(memberID string, instanceID *string) protocol.ErrorCode {
	if instanceID != nil {
		existing, ok := g.static[*instanceID]
		if !ok {
			return protocol.UnknownMemberId
		}
		if existing != memberID {
			return protocol.FencedInstanceId
		}
	}
	if g.members[memberID] == nil {
		return protocol.UnknownMemberId
	}
	return protocol.None
}

// rebalanceTimeoutMs is the longest any member wants to have for a rebalance.
func (g *Group) rebalanceTimeoutMs() int64 {
	longest := int32(0)
	for _, m := range g.order {
		longest = max(longest, m.rebalanceTimeoutMs)
	}
	return int64(longest)
}

func (g *Group) allJoined() bool {
	return len(g.members) == g.awaitingJoin && len(g.pendingJoin) == 0
}

func (g *Group) sessionKey(memberID string) runtime.TimerKey {
	return runtime.TimerKey{Kind: TimerSession, Name: g.id, Member: memberID}
}

func (g *Group) joinKey() runtime.TimerKey { return runtime.TimerKey{Kind: TimerJoin, Name: g.id} }

func (g *Group) syncKey() runtime.TimerKey { return runtime.TimerKey{Kind: TimerSync, Name: g.id} }

func (g *Group) renewSession(env Env, m *member) {
	env.Out.Schedule(g.sessionKey(m.id), env.NowMs+int64(m.sessionTimeoutMs))
}

// ID returns the group's id.
func (g *Group) ID() string { return g.id }

// Disposable tells whether the group may be forgotten when it has no offsets: nobody
// is in it, and nobody is about to come.
func (g *Group) Disposable() bool { return g.state == Empty && len(g.pendingJoin) == 0 }
