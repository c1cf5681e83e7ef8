package consumer

import (
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/coordinator/group/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Kinds of timers of a consumer group, for runtime.TimerKey.
const (
	// TimerSession is a member's session.
	TimerSession uint8 = iota + 16
	// TimerRebalance is the time a member has to give up partitions.
	TimerRebalance
	// TimerJoin is the time a member of the classic protocol has to join again.
	TimerJoin
	// TimerSync is the time a member of the classic protocol has to ask for what it was
	// assigned.
	TimerSync
)

// Limits that no setting names.
const (
	// MaxRegexBytes is how long a regular expression may be.
	MaxRegexBytes = 4096
	// MaxRegexes is how many different regular expressions a group may have.
	MaxRegexes = 100
	// regexRefreshIntervalMs is how often the regular expressions of a group are held
	// against topics that changed.
	regexRefreshIntervalMs = 1000
)

// HeartbeatCall is a ConsumerGroupHeartbeat request whose form has been checked.
type HeartbeatCall = runtime.Exchange[protocol.ConsumerGroupHeartbeatRequest, protocol.ConsumerGroupHeartbeatResponse]

// Topic is a topic as groups see it.
type Topic struct {
	Name       string
	ID         wire.UUID
	Partitions int32
}

// Metadata is what a group has to know of the cluster. It does not change: when the
// cluster does, there is another one.
type Metadata interface {
	// Version grows with every change of the topics.
	Version() int64
	// Topic returns the topic of that name.
	Topic(name string) (Topic, bool)
	// TopicByID returns the topic with that id.
	TopicByID(id wire.UUID) (Topic, bool)
	// Topics calls yield for the topics in the order of their names.
	Topics(yield func(Topic) bool)
	// Overrides returns the settings of one group.
	Overrides(group string) Overrides
}

// Overrides are the settings that a group may have of its own; 0: none.
type Overrides struct {
	// SessionTimeoutMs is consumer.session.timeout.ms.
	SessionTimeoutMs int32
	// HeartbeatIntervalMs is consumer.heartbeat.interval.ms.
	HeartbeatIntervalMs int32
	// AssignmentIntervalMs is consumer.assignment.interval.ms; nil: none.
	AssignmentIntervalMs *int32
}

// Config is the settings of consumer groups.
type Config struct {
	// SessionTimeoutMs is group.consumer.session.timeout.ms.
	SessionTimeoutMs int32
	// HeartbeatIntervalMs is group.consumer.heartbeat.interval.ms.
	HeartbeatIntervalMs int32
	// AssignmentIntervalMs is group.consumer.assignment.interval.ms.
	AssignmentIntervalMs int32
	// MaxSize is group.consumer.max.size.
	MaxSize int
	// Migration is group.consumer.migration.policy.
	Migration MigrationPolicy
	// Assignors are the names of the assignors, the default first
	// (group.consumer.assignors).
	Assignors []string
}

// Surroundings is what the groups of a partition share. The owner sets Metadata anew
// when the cluster changes.
type Surroundings struct {
	Config   *Config
	Metadata Metadata
}

// Group is one consumer group.
type Group struct {
	id     string
	around *Surroundings

	epoch        int32
	metadataHash int64

	assignmentEpoch int32
	assignedMs      int64 // when the target was computed, 0: never
	target          map[string]assignor.Assignment

	members map[string]*member
	static  map[string]string // instance id to member id
	// topics counts the members that are subscribed to a topic by name.
	topics  map[string]int
	regexes map[string]*regex
	owners  map[wire.UUID]map[int32]string

	// classics is how many members use the classic protocol.
	classics int
	// awaited are the members with a TimerJoin.
	awaited map[string]struct{}

	// checked is the version of the metadata that the epoch accounts for.
	checked int64
	// regexesMs is when the regular expressions were last held against all topics.
	regexesMs int64
}

// firstEpoch is the group epoch and the assignment epoch of a group that never had a
// member.
const firstEpoch = 1

// New returns a group without members.
func New(id string, around *Surroundings) *Group {
	return &Group{
		id: strings.Clone(id), around: around, checked: -1, epoch: firstEpoch, assignmentEpoch: firstEpoch,
		target: map[string]assignor.Assignment{}, members: map[string]*member{}, static: map[string]string{},
		topics: map[string]int{}, regexes: map[string]*regex{}, owners: map[wire.UUID]map[int32]string{},
	}
}

// ID returns the group's id.
func (g *Group) ID() string { return g.id }

// Empty tells whether the group has no members.
func (g *Group) Empty() bool { return len(g.members) == 0 }

func (g *Group) memberIDs() []string { return slices.Sorted(maps.Keys(g.members)) }

func (g *Group) timerKey(kind uint8, memberID string) runtime.TimerKey {
	return runtime.TimerKey{Kind: kind, Name: g.id, Member: memberID}
}

func (g *Group) renewSession(env classic.Env, m *member) {
	timeoutMs := g.around.Config.SessionTimeoutMs
	if own := g.around.Metadata.Overrides(g.id).SessionTimeoutMs; own > 0 {
		timeoutMs = own
	}
	if m.classic != nil {
		timeoutMs = m.classic.SessionTimeoutMs
	}
	env.Out.Schedule(g.timerKey(TimerSession, m.id), env.NowMs+int64(timeoutMs))
}

func (g *Group) heartbeatIntervalMs() int32 {
	if own := g.around.Metadata.Overrides(g.id).HeartbeatIntervalMs; own > 0 {
		return own
	}
	return g.around.Config.HeartbeatIntervalMs
}

func (g *Group) assignmentIntervalMs() int64 {
	if own := g.around.Metadata.Overrides(g.id).AssignmentIntervalMs; own != nil {
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
	if m.instanceID != nil {
		g.static[*m.instanceID] = m.id
	}
	g.count(m, 1)
}

// drop takes a member out and frees what it owned.
func (g *Group) drop(m *member) {
	delete(g.members, m.id)
	delete(g.target, m.id)
	if m.instanceID != nil && g.static[*m.instanceID] == m.id {
		delete(g.static, *m.instanceID)
	}
	g.count(m, -1)
	g.release(m)
}

func (g *Group) count(m *member, by int) {
	if m.classic != nil {
		g.classics += by
	}
	for _, name := range m.topics {
		if g.topics[name] += by; g.topics[name] == 0 {
			delete(g.topics, name)
		}
	}
	if m.regex == "" {
		return
	}
	r := g.regexes[m.regex]
	if r == nil {
		r = &regex{}
		g.regexes[m.regex] = r
	}
	r.members += by
	if r.members == 0 && !r.recorded {
		delete(g.regexes, m.regex)
	}
}

// own notes what the member owns and gives up.
func (g *Group) own(m *member) {
	for _, part := range []owned{m.assigned, m.pending} {
		for id, partitions := range part {
			owners := g.owners[id]
			if owners == nil {
				owners = make(map[int32]string)
				g.owners[id] = owners
			}
			for p := range partitions {
				old, taken := owners[p]
				assert.That(!taken || old == m.id, "partition %d of topic %s in group %q belongs to %q and is given to %q", p, id, g.id, old, m.id)
				owners[p] = m.id
			}
		}
	}
}

// release frees all that the member owns and gives up.
func (g *Group) release(m *member) {
	for _, part := range []owned{m.assigned, m.pending} {
		for id, partitions := range part {
			owners := g.owners[id]
			for p := range partitions {
				if owners[p] == m.id {
					delete(owners, p)
				}
			}
			if len(owners) == 0 {
				delete(g.owners, id)
			}
		}
	}
}

// takenByOther tells whether another member owns the partition or gives it up.
func (g *Group) takenByOther(memberID string, id wire.UUID, partition int32) bool {
	owner, taken := g.owners[id][partition]
	return taken && owner != memberID
}

// Loaded starts the timers of a group that was read from the log.
func (g *Group) Loaded(env classic.Env) {
	for _, id := range g.memberIDs() {
		m := g.withoutTaken(g.members[id])
		g.own(m)
		g.members[id] = m
		g.renewSession(env, m)
		if m.state == unrevokedPartitions {
			g.startRebalanceTimer(env, m)
		}
	}
}

// withoutTaken returns the member without what others own, as only a damaged log says.
func (g *Group) withoutTaken(m *member) *member {
	next := *m
	for _, part := range []*owned{&next.assigned, &next.pending} {
		kept := owned{}
		for id, partitions := range *part {
			for p, epoch := range partitions {
				if !g.takenByOther(m.id, id, p) {
					kept.put(id, p, epoch)
				}
			}
		}
		*part = kept
	}
	return &next
}

func (g *Group) startRebalanceTimer(env classic.Env, m *member) {
	if m.classic == nil { // of the others, TimerJoin sees to it
		env.Out.Schedule(g.timerKey(TimerRebalance, m.id), env.NowMs+int64(m.rebalanceTimeoutMs))
	}
}

// Expire handles a timer of the group.
func (g *Group) Expire(env classic.Env, key runtime.TimerKey) {
	if key.Kind == TimerJoin {
		delete(g.awaited, key.Member)
	}
	m := g.members[key.Member]
	if m == nil || key.Kind == TimerRebalance && m.state != unrevokedPartitions {
		return
	}
	g.fence(env, m)
}

// fence removes a member for good.
func (g *Group) fence(env classic.Env, m *member) {
	g.remove(env, m)
	g.bump(env)
}

// remove takes a member out and writes so. The caller bumps the epoch.
func (g *Group) remove(env classic.Env, m *member) {
	g.forget(env, m)
	g.drop(m)
	g.dropRegexes(env)
}

// forget writes that the member is gone and cancels its timers.
func (g *Group) forget(env classic.Env, m *member) {
	env.Out.Cancel(g.timerKey(TimerSession, m.id))
	env.Out.Cancel(g.timerKey(TimerRebalance, m.id))
	if m.classic != nil {
		g.cancelJoin(env, m.id)
		env.Out.Cancel(g.timerKey(TimerSync, m.id))
	}
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
