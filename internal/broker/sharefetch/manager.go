package sharefetch

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"

	"github.com/naru-stream/naru/internal/broker/deadletter"
	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// State keeps the state of share partitions. Its methods do not block and call done
// exactly once, perhaps before they return.
type State interface {
	ReadShareGroupState(ctx runtime.Context, req *protocol.ReadShareGroupStateRequest, done func(*protocol.ReadShareGroupStateResponse))
	WriteShareGroupState(ctx runtime.Context, req *protocol.WriteShareGroupStateRequest, done func(*protocol.WriteShareGroupStateResponse))
}

// Settings are a group's settings, as of now.
type Settings struct {
	sharepartition.Settings
	// Committed is share.isolation.level=read_committed.
	Committed bool
	// Reset is share.auto.offset.reset.
	Reset Reset
	// DeadLetters says where what the group cannot process goes.
	DeadLetters deadletter.Settings
}

// Reset says where a group begins that has no state for a partition.
type Reset struct {
	// Earliest is at the first record there is. Otherwise it is at the end, or, if
	// DurationMs is above 0, at the records that are younger.
	Earliest   bool
	DurationMs int64
}

// Config is what a Manager is made of. All fields are required.
type Config struct {
	State State
	// Partition returns this broker's replica of a partition that it leads, or why not.
	Partition func(topic protocol.UUID, index int32) (*replica.Partition, error)
	// Settings returns a group's settings.
	Settings func(group string) Settings
	// WriteDeadLetter writes a dead letter and does not block.
	WriteDeadLetter func(deadletter.Letter)
	Sessions        *sharesession.Cache
	Timer           *purgatory.Timer
	// NowMs is the time.
	NowMs func() int64
	Log   *slog.Logger
}

// Manager holds the share partitions. Its methods may be called from any goroutine and
// do not wait.
type Manager struct {
	Config

	mu     sync.Mutex
	groups map[string]map[sharesession.Partition]*share
}

// NewManager returns a manager without share partitions.
func NewManager(c Config) *Manager {
	return &Manager{Config: c, groups: map[string]map[sharesession.Partition]*share{}}
}

// known returns a share partition that is held, nil if there is none.
func (m *Manager) known(group string, at sharesession.Partition) *share {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.groups[group][at]
}

// share returns a share partition in the epoch in which this broker leads, and begins to
// load it if it is not held. group must outlive the request.
func (m *Manager) share(group string, at sharesession.Partition) (*share, error) {
	p, err := m.Partition(at.Topic, at.Index)
	epoch := int32(-1)
	if err == nil {
		epoch = p.LeaderEpoch()
	}
	if epoch < 0 {
		if s := m.known(group, at); s != nil {
			m.remove(s, nil)
		}
		return nil, cmp.Or[error](err, protocol.NotLeaderOrFollower)
	}
	m.mu.Lock()
	s := m.groups[group][at]
	if s != nil && s.replica == p && s.leaderEpoch == epoch {
		m.mu.Unlock()
		return s, nil
	}
	fresh := newShare(m, group, at, p, epoch)
	if m.groups[group] == nil {
		m.groups[group] = map[sharesession.Partition]*share{}
	}
	m.groups[group][at] = fresh
	m.mu.Unlock()
	if s != nil {
		s.end(nil)
	}
	fresh.load()
	return fresh, nil
}

// remove gives a share partition up. err is why it could not be held, nil if the next
// fetch may load it again.
func (m *Manager) remove(s *share, err error) {
	m.mu.Lock()
	if shares := m.groups[s.group]; shares[s.at] == s {
		delete(shares, s.at)
		if len(shares) == 0 {
			delete(m.groups, s.group)
		}
	}
	m.mu.Unlock()
	s.end(err)
}

// OnMetadata gives up the share partitions that this broker leads no more, or in another
// epoch: nobody might ask for them again. It is told after the replicas are.
func (m *Manager) OnMetadata(c *metadata.Changes) {
	if !slices.ContainsFunc(c.Topics, func(t metadata.TopicChange) bool { return t.Old != nil }) {
		return
	}
	m.mu.Lock()
	var moved []*share
	for _, shares := range m.groups {
		for _, s := range shares {
			if s.moved() {
				moved = append(moved, s)
			}
		}
	}
	m.mu.Unlock()
	for _, s := range moved {
		m.remove(s, nil)
	}
}

// Acknowledge takes in what a member says about records that it has acquired. done gets
// an error that carries Kafka's code, or nil when what the member said is safe. member
// must outlive the request.
func (m *Manager) Acknowledge(group, member string, at sharesession.Partition, acks []sharepartition.AckBatch, done func(error)) {
	s := m.known(group, at)
	if s == nil {
		done(protocol.UnknownTopicOrPartition)
		return
	}
	s.acknowledge(member, acks, done)
}

// Ended gives back what the member of a session that has ended has acquired. Without
// members the group's share partitions are given up.
func (m *Manager) Ended(x sharesession.Closed) {
	for _, at := range x.Partitions {
		if s := m.known(x.Key.Group, at); s != nil {
			s.release(x.Key.Member)
		}
	}
	if !x.Last {
		return
	}
	m.mu.Lock()
	var idle []*share
	for _, s := range m.groups[x.Key.Group] {
		idle = append(idle, s)
	}
	m.mu.Unlock()
	for _, s := range idle {
		s.leave()
	}
}
