package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// Config is what a Manager is made of. All fields are required.
type Config struct {
	NodeID int32
	Logs   *storage.Manager
	// Settings returns the broker's settings as an image has them.
	Settings func(*metadata.Image) config.Values
	Log      *slog.Logger
}

// Manager holds the partitions this broker has a replica of. Its methods may be
// called from any goroutine; Apply must be called with the changes in order.
type Manager struct {
	Config

	mu     sync.RWMutex
	byName map[string]*topic
	byID   map[protocol.UUID]*topic
}

// topic is the partitions of one topic by index; nil where this broker has no
// replica.
type topic struct {
	name       string
	id         protocol.UUID
	partitions []*Partition
}

// NewManager returns a manager without partitions; Apply brings them.
func NewManager(c Config) *Manager {
	return &Manager{Config: c, byName: map[string]*topic{}, byID: map[protocol.UUID]*topic{}}
}

// Partition returns this broker's replica of a partition by topic name, or nil.
func (m *Manager) Partition(name string, index int32) *Partition {
	m.mu.RLock()
	t := m.byName[name]
	m.mu.RUnlock()
	return t.partition(index)
}

// PartitionByID returns this broker's replica of a partition by topic id, or nil.
func (m *Manager) PartitionByID(id protocol.UUID, index int32) *Partition {
	m.mu.RLock()
	t := m.byID[id]
	m.mu.RUnlock()
	return t.partition(index)
}

func (t *topic) partition(index int32) *Partition {
	if t == nil || index < 0 || int(index) >= len(t.partitions) {
		return nil
	}
	return t.partitions[index]
}

// Apply makes this broker's partitions what the new image says. What cannot be
// done for one partition is reported in the joined error; the others go on.
func (m *Manager) Apply(c *metadata.Changes) error {
	values := m.Settings(c.New)
	var errs []error
	for _, change := range c.Topics {
		if change.New == nil {
			errs = append(errs, m.delete(change.Old))
			continue
		}
		errs = append(errs, m.update(c.New, change, values))
	}
	errs = append(errs, m.reconfigure(c, values))
	return errors.Join(errs...)
}

// update creates what a topic needs here and takes or gives up leadership.
func (m *Manager) update(image *metadata.Image, change metadata.TopicChange, values config.Values) error {
	cfg := m.topicConfig(image, change.New.Name, values)
	old := m.topic(change.New.ID)
	now := &topic{name: change.New.Name, id: change.New.ID, partitions: make([]*Partition, change.New.PartitionCount())}
	if old != nil {
		copy(now.partitions, old.partitions)
	}
	var errs []error
	for _, index := range change.Partitions {
		registered, ok := change.New.Partition(index)
		if !ok || !slices.Contains(registered.Replicas(), m.NodeID) {
			continue
		}
		p := now.partitions[index]
		if p == nil {
			var err error
			if p, err = m.open(now, index, cfg, values, len(registered.Replicas())); err != nil {
				errs = append(errs, err)
				continue
			}
			now.partitions[index] = p
		}
		m.assume(p, registered, cfg)
	}
	m.mu.Lock()
	m.byName[now.name], m.byID[now.id] = now, now
	m.mu.Unlock()
	return errors.Join(errs...)
}

// assume takes the role that the registration gives this broker.
func (m *Manager) assume(p *Partition, r metadata.Partition, cfg config.Topic) {
	switch {
	case r.Leader != m.NodeID:
		p.resign(r.LeaderEpoch)
	default:
		p.lead(r.LeaderEpoch, len(r.Replicas()), len(r.ISR()), int(cfg.MinInsyncReplicas))
	}
}

// open returns the partition over its log, which is created if there is none.
func (m *Manager) open(t *topic, index int32, cfg config.Topic, values config.Values, replicas int) (*Partition, error) {
	log := m.Logs.Log(t.name, index)
	if log != nil && log.TopicID() != t.id {
		// The directory belongs to a topic of the same name that was deleted while
		// this broker was down: the metadata knows the new id and not the old.
		m.Log.Warn("deleting the log of an earlier topic of the same name",
			"topic", t.name, "partition", index, "old_topic_id", log.TopicID().String(), "topic_id", t.id.String())
		if err := m.Logs.Delete(t.name, index); err != nil {
			return nil, fmt.Errorf("deleting the earlier log of %s-%d: %w", t.name, index, err)
		}
		log = nil
	}
	if log == nil {
		var err error
		if log, err = m.Logs.Create(t.name, t.id, index, cfg); err != nil {
			return nil, fmt.Errorf("creating the log of %s-%d: %w", t.name, index, err)
		}
	}
	p := &Partition{Topic: t.name, TopicID: t.id, Index: index, log: log}
	p.leaderEpoch.Store(-1)
	if err := p.configure(durability(t.name, cfg, values, replicas), cfg); err != nil {
		return nil, err
	}
	log.SetListener(p)
	return p, nil
}

// durability decides when an append to a topic counts: `group` syncs first, `os`
// trusts the page cache and the other replicas. In the automatic mode a partition
// whose records may exist on one disk only is synced, and so is what the broker
// itself depends on.
func durability(topic string, cfg config.Topic, values config.Values, replicas int) storage.Durability {
	internal := len(topic) > 2 && topic[:2] == "__"
	switch mode := values.String("naru.durability"); {
	case mode == "group", cfg.FlushMessages == 1, internal && mode != "os":
		return storage.DurabilityGroup
	case mode == "os":
		return storage.DurabilityOS
	case min(int(cfg.MinInsyncReplicas), replicas) <= 1:
		return storage.DurabilityGroup
	default:
		return storage.DurabilityOS
	}
}

// delete gives up a topic that was deleted and removes its logs.
func (m *Manager) delete(old *metadata.Topic) error {
	m.mu.Lock()
	t := m.byID[old.ID]
	delete(m.byID, old.ID)
	if named := m.byName[old.Name]; named == t {
		delete(m.byName, old.Name)
	}
	m.mu.Unlock()
	if t == nil {
		return nil
	}
	var errs []error
	for _, p := range t.partitions {
		if p == nil {
			continue
		}
		p.resign(math.MaxInt32)
		if err := m.Logs.Delete(p.Topic, p.Index); err != nil {
			errs = append(errs, fmt.Errorf("deleting the log of %s-%d: %w", p.Topic, p.Index, err))
		}
	}
	return errors.Join(errs...)
}

// reconfigure passes changed settings on to the logs they concern.
func (m *Manager) reconfigure(c *metadata.Changes, values config.Values) error {
	var errs []error
	for _, resource := range c.Configs {
		switch resource.Type {
		case metadata.ResourceTopic:
			if t := c.New.Topic(resource.Name); t != nil {
				errs = append(errs, m.configure(c.New, m.topic(t.ID), values))
			}
		case metadata.ResourceBroker:
			for _, t := range m.topics() {
				errs = append(errs, m.configure(c.New, t, values))
			}
		}
	}
	return errors.Join(errs...)
}

func (m *Manager) configure(image *metadata.Image, t *topic, values config.Values) error {
	if t == nil {
		return nil
	}
	registered := image.TopicByID(t.id)
	if registered == nil {
		return nil
	}
	cfg := m.topicConfig(image, t.name, values)
	for _, p := range t.partitions {
		if p == nil {
			continue
		}
		r, ok := registered.Partition(p.Index)
		if !ok {
			continue
		}
		if err := p.configure(durability(t.name, cfg, values, len(r.Replicas())), cfg); err != nil {
			return err
		}
		m.assume(p, r, cfg)
	}
	return nil
}

// topicConfig resolves a topic's settings. What is not allowed was refused when it
// was set; should a newer version have allowed it, the default stands in.
func (m *Manager) topicConfig(image *metadata.Image, name string, values config.Values) config.Topic {
	cfg, err := config.ResolveTopic(image.Config(metadata.TopicResource(name)).Map(), values)
	if err != nil {
		m.Log.Warn("using defaults for settings that are not allowed", "topic", name, "error", err)
	}
	return cfg
}

func (m *Manager) topic(id protocol.UUID) *topic {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byID[id]
}

func (m *Manager) topics() []*topic {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*topic, 0, len(m.byID))
	for _, t := range m.byID {
		out = append(out, t)
	}
	return out
}
