package share

import (
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// TimerSession is the timer of a member's session, for runtime.TimerKey.
const TimerSession uint8 = 48

// AssignorName is what the assignor of share groups is called.
const AssignorName = "simple"

const (
	// firstEpoch is the group epoch and the assignment epoch of a group that never had a
	// member.
	firstEpoch = 1
	// hurryMs is the longest that a member waits for its next heartbeat while the
	// group has something to give out.
	hurryMs = 1000
	// refusedRetryMs is the pause after the share coordinator has refused to
	// initialize partitions.
	refusedRetryMs = 1000
)

// HeartbeatCall is a ShareGroupHeartbeat request whose form has been checked.
type HeartbeatCall = runtime.Exchange[protocol.ShareGroupHeartbeatRequest, protocol.ShareGroupHeartbeatResponse]

// Overrides are the settings that a group may have of its own: share.session.timeout.ms,
// share.heartbeat.interval.ms and share.assignment.interval.ms.
type Overrides = consumer.Overrides

// Metadata is what a group has to know of the cluster. It does not change: when the
// cluster does, there is another one.
type Metadata interface {
	// Version grows with every change of the topics.
	Version() int64
	// Topic returns the topic of that name.
	Topic(name string) (consumer.Topic, bool)
	// TopicByID returns the topic with that id.
	TopicByID(id wire.UUID) (consumer.Topic, bool)
	// ShareOverrides returns the settings of one group.
	ShareOverrides(group string) Overrides
}

// Config is the settings of share groups.
type Config struct {
	// SessionTimeoutMs is group.share.session.timeout.ms.
	SessionTimeoutMs int32
	// HeartbeatIntervalMs is group.share.heartbeat.interval.ms.
	HeartbeatIntervalMs int32
	// AssignmentIntervalMs is group.share.assignment.interval.ms.
	AssignmentIntervalMs int32
	// MaxSize is group.share.max.size.
	MaxSize int
	// InitializeRetryIntervalMs is how long an answer of the share coordinator is waited
	// for (group.share.initialize.retry.interval.ms).
	InitializeRetryIntervalMs int64
}

// Surroundings is what the groups of a partition share. The owner sets Metadata anew
// when the cluster changes.
type Surroundings struct {
	Config   *Config
	Metadata Metadata
}

// Group is one share group.
type Group struct {
	id     string
	around *Surroundings

	epoch        int32
	metadataHash int64

	assignmentEpoch int32
	assignedMs      int64 // when the target was computed, 0: never
	target          map[string]assignor.Assignment

	members map[string]*member
	// topics counts the members that are subscribed to a topic.
	topics map[string]int
	// bytes is what the metadata of all members take in their records.
	bytes int

	state states
	// refusedMs is when the share coordinator last refused something.
	refusedMs int64

	// checked is the version of the metadata that the epoch accounts for.
	checked int64
	// complete is set once all subscribed partitions are known to be initialized,
	// assigned once all of those are known to be in the target.
	complete, assigned bool
}

// New returns a group without members.
func New(id string, around *Surroundings) *Group {
	return &Group{
		id: strings.Clone(id), around: around, checked: -1, state: newStates(), epoch: firstEpoch, assignmentEpoch: firstEpoch,
		target: map[string]assignor.Assignment{}, members: map[string]*member{}, topics: map[string]int{},
	}
}

// ID returns the group's id.
func (g *Group) ID() string { return g.id }

// Empty tells whether the group has no members.
func (g *Group) Empty() bool { return len(g.members) == 0 }

func (g *Group) memberIDs() []string { return slices.Sorted(maps.Keys(g.members)) }

func (g *Group) timerKey(memberID string) runtime.TimerKey {
	return runtime.TimerKey{Kind: TimerSession, Name: g.id, Member: memberID}
}

func (g *Group) renewSession(env classic.Env, m *member) {
	timeoutMs := g.around.Config.SessionTimeoutMs
	if own := g.around.Metadata.ShareOverrides(g.id).SessionTimeoutMs; own > 0 {
		timeoutMs = own
	}
	env.Out.Schedule(g.timerKey(m.id), env.NowMs+int64(timeoutMs))
}

// heartbeatIntervalMs is shorter while the group has something to give out: members
// should not have to wait a whole interval for their first records.
func (g *Group) heartbeatIntervalMs() int32 {
	interval := g.around.Config.HeartbeatIntervalMs
	if own := g.around.Metadata.ShareOverrides(g.id).HeartbeatIntervalMs; own > 0 {
		interval = own
	}
	if !g.complete || g.assignmentEpoch < g.epoch || g.unassigned() {
		return min(interval, hurryMs)
	}
	return interval
}

func (g *Group) assignmentIntervalMs() int64 {
	if own := g.around.Metadata.ShareOverrides(g.id).AssignmentIntervalMs; own != nil {
		return int64(*own)
	}
	return int64(g.around.Config.AssignmentIntervalMs)
}

// put takes in a member, or what it has become.
func (g *Group) put(m *member) {
	if old := g.members[m.id]; old != nil {
		g.count(old, -1)
	}
	g.members[m.id] = m
	g.count(m, 1)
}

// drop takes a member out.
func (g *Group) drop(m *member) {
	delete(g.members, m.id)
	delete(g.target, m.id)
	g.count(m, -1)
}

func (g *Group) count(m *member, by int) {
	for _, name := range m.topics {
		if g.topics[name] += by; g.topics[name] == 0 {
			delete(g.topics, name)
		}
	}
	g.bytes += by * m.bytes
	g.complete = false
}

// Loaded starts the timers of a group that was read from the log.
func (g *Group) Loaded(env classic.Env) {
	for _, id := range g.memberIDs() {
		g.renewSession(env, g.members[id])
	}
}

// Expire handles a timer of the group.
func (g *Group) Expire(env classic.Env, key runtime.TimerKey) {
	if m := g.members[key.Member]; m != nil {
		g.fence(env, m)
	}
}

// fence removes a member for good.
func (g *Group) fence(env classic.Env, m *member) {
	g.forget(env, m)
	g.drop(m)
	g.bump(env)
}

// forget writes that the member is gone and cancels its timer.
func (g *Group) forget(env classic.Env, m *member) {
	env.Out.Cancel(g.timerKey(m.id))
	g.forgetRecords(env, m.id)
}

// bump starts the next group epoch.
func (g *Group) bump(env classic.Env) {
	g.epoch++
	g.metadataHash = g.hash()
	g.writeEpoch(env)
}

// Unload returns the calls that wait: none, for every heartbeat is answered at once.
func (g *Group) Unload() []runtime.Call { return nil }
