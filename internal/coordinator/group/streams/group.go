package streams

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/topology"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Kinds of timers of a streams group, for runtime.TimerKey.
const (
	// TimerSession is a member's session.
	TimerSession uint8 = iota + 48
	// TimerRebalance is the time a member has to give up tasks.
	TimerRebalance
	// TimerDelay is the time a group waits for members before its first assignment.
	TimerDelay
)

// firstEpoch is the epoch of a group before anything has changed.
const firstEpoch = 1

// standbyReplicas is the setting of the assignment that is kept with the group.
const standbyReplicas = "num.standby.replicas"

// HeartbeatCall is a StreamsGroupHeartbeat request whose form has been checked.
type HeartbeatCall struct {
	runtime.Exchange[protocol.StreamsGroupHeartbeatRequest, protocol.StreamsGroupHeartbeatResponse]
	// Topology is the topology of the request, nil if it has none.
	Topology *topology.Topology
	// Missing are the internal topics that the answer asks to be created.
	Missing []protocol.CreateTopicsRequestCreatableTopic
}

// Metadata is what a group has to know of the cluster. It does not change: when the
// cluster does, there is another one.
type Metadata interface {
	// Version grows with every change of the topics.
	Version() int64
	// Topic returns the topic of that name.
	Topic(name string) (consumer.Topic, bool)
	// TopicByID returns the topic with that id.
	TopicByID(id wire.UUID) (consumer.Topic, bool)
	// StreamsOverrides returns the settings of one group.
	StreamsOverrides(group string) Overrides
}

// Overrides are the settings that a group may have of its own; nil: none.
type Overrides struct {
	SessionTimeoutMs        *int32 // streams.session.timeout.ms
	HeartbeatIntervalMs     *int32 // streams.heartbeat.interval.ms
	AssignmentIntervalMs    *int32 // streams.assignment.interval.ms
	InitialRebalanceDelayMs *int32 // streams.initial.rebalance.delay.ms
	StandbyReplicas         *int32 // streams.num.standby.replicas
}

// Config is the settings of streams groups.
type Config struct {
	SessionTimeoutMs        int32 // group.streams.session.timeout.ms
	HeartbeatIntervalMs     int32 // group.streams.heartbeat.interval.ms
	AssignmentIntervalMs    int32 // group.streams.assignment.interval.ms
	InitialRebalanceDelayMs int32 // group.streams.initial.rebalance.delay.ms
	StandbyReplicas         int32 // group.streams.num.standby.replicas
	MaxSize                 int   // group.streams.max.size
}

// Surroundings is what the groups of a partition share. The owner sets Metadata anew
// when the cluster changes.
type Surroundings struct {
	Config   *Config
	Metadata Metadata
}

// Group is one streams group.
type Group struct {
	id     string
	around *Surroundings

	epoch          int32
	metadataHash   int64
	validatedEpoch int32             // of the topology, -1: it cannot be run
	configs        map[string]string // of the assignment

	assignmentEpoch int32
	assignedMs      int64 // when the target was computed, 0: never
	target          map[string]assignor.Assignment

	topology *topology.Topology // nil: none yet
	members  map[string]*member
	// processes are those that have a task, once for each member that has it or gives
	// it up.
	processes [kinds]map[assignor.Task][]string

	// configured is the topology held against the topics of checked, nil: not yet.
	configured *topology.Configured
	checked    int64

	own        Overrides
	ownVersion int64 // of the metadata that own was read from

	delayed       bool   // TimerDelay is set
	shutdown      string // the member that asked for the end of the application
	endpointEpoch int32  // counts changes of what endpoints serve
}

// New returns a group without members.
func New(id string, around *Surroundings) *Group {
	g := &Group{
		id: strings.Clone(id), around: around, checked: -1, ownVersion: -1, epoch: firstEpoch, assignmentEpoch: firstEpoch,
		configs: map[string]string{}, target: map[string]assignor.Assignment{}, members: map[string]*member{},
	}
	for kind := range g.processes {
		g.processes[kind] = map[assignor.Task][]string{}
	}
	return g
}

// ID returns the group's id.
func (g *Group) ID() string { return g.id }

// Empty tells whether the group has no members.
func (g *Group) Empty() bool { return len(g.members) == 0 }

func (g *Group) memberIDs() []string { return slices.Sorted(maps.Keys(g.members)) }

func (g *Group) timerKey(kind uint8, memberID string) runtime.TimerKey {
	return runtime.TimerKey{Kind: kind, Name: g.id, Member: memberID}
}

func own(override *int32, otherwise int32) int32 {
	if override != nil {
		return *override
	}
	return otherwise
}

// overrides returns the group's own settings, read once for every change of the cluster.
func (g *Group) overrides() *Overrides {
	if version := g.around.Metadata.Version(); version != g.ownVersion {
		g.own, g.ownVersion = g.around.Metadata.StreamsOverrides(g.id), version
	}
	return &g.own
}

func (g *Group) renewSession(env classic.Env, memberID string) {
	ms := own(g.overrides().SessionTimeoutMs, g.around.Config.SessionTimeoutMs)
	env.Out.Schedule(g.timerKey(TimerSession, memberID), env.NowMs+int64(ms))
}

// wantedStandbys returns how many standbys the settings ask for now.
func (g *Group) wantedStandbys() string {
	return strconv.Itoa(int(own(g.overrides().StandbyReplicas, g.around.Config.StandbyReplicas)))
}

// put takes in a member, or what it has become.
func (g *Group) put(m *member) {
	if old := g.members[m.id]; old != nil {
		g.release(old)
	}
	g.members[m.id] = m
	for _, part := range []holding{m.assigned, m.pending} {
		for kind, tasks := range part {
			for t := range tasks {
				g.processes[kind][t] = append(g.processes[kind][t], m.processID)
			}
		}
	}
}

// release frees all that the member has and gives up.
func (g *Group) release(m *member) {
	for _, part := range []holding{m.assigned, m.pending} {
		for kind, tasks := range part {
			for t := range tasks {
				left := g.processes[kind][t]
				if i := slices.Index(left, m.processID); i >= 0 {
					left = slices.Delete(left, i, i+1)
				}
				if len(left) == 0 {
					delete(g.processes[kind], t)
				} else {
					g.processes[kind][t] = left
				}
			}
		}
	}
}

// drop takes a member out and frees its tasks.
func (g *Group) drop(m *member) {
	g.release(m)
	delete(g.members, m.id)
	if len(g.members) == 0 {
		g.shutdown = ""
	}
}

// Loaded starts the timers of a group that was read from the log.
func (g *Group) Loaded(env classic.Env) {
	for _, id := range g.memberIDs() {
		g.renewSession(env, id)
		if m := g.members[id]; m.state == unrevokedTasks {
			g.startRebalanceTimer(env, m)
		}
	}
}

// Expire handles a timer of the group.
func (g *Group) Expire(env classic.Env, key runtime.TimerKey) {
	if key.Kind == TimerDelay {
		g.delayed = false
		if len(g.members) > 0 && g.configured != nil {
			g.assign(env) // what does not fit is refused when the next member asks
		}
		return
	}
	m := g.members[key.Member]
	if m == nil || key.Kind == TimerRebalance && m.state != unrevokedTasks {
		return
	}
	g.fence(env, m)
}

// fence removes a member for good.
func (g *Group) fence(env classic.Env, m *member) {
	env.Out.Cancel(g.timerKey(TimerSession, m.id))
	env.Out.Cancel(g.timerKey(TimerRebalance, m.id))
	g.forgetRecords(env, m.id)
	g.drop(m)
	delete(g.target, m.id)
	g.bump(env)
}

// bump starts the next group epoch.
func (g *Group) bump(env classic.Env) {
	g.epoch++
	g.writeEpoch(env)
}

// Unload returns the calls that wait: none, for every heartbeat is answered at once.
func (g *Group) Unload() []runtime.Call { return nil }
