package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// clusterView is the cluster's metadata as groups of all kinds see it.
type clusterView interface {
	consumer.Metadata
	share.Metadata
	streams.Metadata
}

// image is the cluster's metadata as groups see it, with this broker's settings then.
type image struct {
	of       *metadata.Image
	version  int64
	settings config.Values
}

// Version implements consumer.Metadata.
func (i image) Version() int64 { return i.version }

// Topic implements consumer.Metadata.
func (i image) Topic(name string) (consumer.Topic, bool) { return topicOf(i.of.Topic(name)) }

// TopicByID implements consumer.Metadata.
func (i image) TopicByID(id protocol.UUID) (consumer.Topic, bool) { return topicOf(i.of.TopicByID(id)) }

// Topics implements consumer.Metadata.
func (i image) Topics(yield func(consumer.Topic) bool) {
	for t := range i.of.Topics() {
		if topic, _ := topicOf(t); !yield(topic) {
			return
		}
	}
}

func topicOf(t *metadata.Topic) (consumer.Topic, bool) {
	if t == nil {
		return consumer.Topic{}, false
	}
	return consumer.Topic{Name: t.Name, ID: t.ID, Partitions: int32(t.PartitionCount())}, true
}

// Settings that groups read themselves.
const (
	sessionTimeout          = "consumer.session.timeout.ms"
	heartbeatInterval       = "consumer.heartbeat.interval.ms"
	assignmentInterval      = "consumer.assignment.interval.ms"
	shareSessionTimeout     = "share.session.timeout.ms"
	shareHeartbeatInterval  = "share.heartbeat.interval.ms"
	shareAssignmentInterval = "share.assignment.interval.ms"
	// brokerPrefix makes the broker's setting of a group's.
	brokerPrefix = "group."
)

// ShareOverrides implements share.Metadata.
func (i image) ShareOverrides(group string) share.Overrides {
	return i.overrides(group, shareSessionTimeout, shareHeartbeatInterval, shareAssignmentInterval)
}

// Overrides implements consumer.Metadata.
func (i image) Overrides(group string) consumer.Overrides {
	return i.overrides(group, sessionTimeout, heartbeatInterval, assignmentInterval)
}

// overrides reads the settings of these names.
func (i image) overrides(group, session, heartbeat, assignment string) consumer.Overrides {
	own := i.of.Config(metadata.ConfigResource{Type: metadata.ResourceGroup, Name: group})
	out := consumer.Overrides{AssignmentIntervalMs: i.assignmentInterval(own, assignment)}
	if ms := i.number(own, session); ms != nil {
		out.SessionTimeoutMs = *ms
	}
	if ms := i.number(own, heartbeat); ms != nil {
		out.HeartbeatIntervalMs = *ms
	}
	return out
}

// number returns a setting of a group within the broker's bounds, nil if there is none.
// What is not a number was refused when it was set.
func (i image) number(own metadata.Config, name string) *int32 {
	text, ok := own.Get(name)
	if !ok {
		return nil
	}
	n, ok := i.settings.GroupInt32(name, text)
	if !ok {
		return nil
	}
	return &n
}

// assignmentInterval returns a group's own interval, or the one that was given to all
// groups while the broker ran, nil if there is neither.
func (i image) assignmentInterval(own metadata.Config, name string) *int32 {
	if ms := i.number(own, name); ms != nil {
		return ms
	}
	text, source, _ := i.settings.Lookup(brokerPrefix + name)
	if source != config.DynamicBrokerConfig && source != config.DynamicDefaultBrokerConfig {
		return nil
	}
	ms, _ := i.settings.GroupInt32(name, text)
	return &ms
}

// OnMetadata takes in a change of the cluster's metadata. Calls come one after the other.
func (c *Coordinator) OnMetadata(changes *metadata.Changes) {
	if matters(changes) {
		to := image{of: changes.New, version: c.metadata.Load().Version() + 1}
		if c.current != nil {
			to.settings = c.current(changes.New)
		}
		c.setMetadata(to)
	}
}

// matters tells whether groups have to know.
func matters(changes *metadata.Changes) bool {
	for i := range changes.Topics {
		t := &changes.Topics[i]
		if t.Old == nil || t.New == nil || t.Old.PartitionCount() != t.New.PartitionCount() {
			return true
		}
	}
	for _, r := range changes.Configs {
		if r.Type == metadata.ResourceGroup || r.Type == metadata.ResourceBroker {
			return true
		}
	}
	return false
}

func (c *Coordinator) setMetadata(to clusterView) {
	c.metadata.Store(&published{to})
	for _, partition := range c.rt.Partitions() {
		c.tellMetadata(partition)
	}
}

// published is the metadata that partitions start with.
type published struct{ clusterView }

// tellMetadata tells a partition the newest metadata, later if it is not ready.
func (c *Coordinator) tellMetadata(partition int32) {
	call := &metadataChanged{to: c.metadata.Load().clusterView}
	call.retry = func() { c.clock.AfterFunc(notReadyRetryMs, func() { c.tellMetadata(partition) }) }
	c.rt.Submit(partition, call)
}

// metadataChanged tells a partition of new metadata. It answers nobody.
type metadataChanged struct {
	to    clusterView
	retry func()
}

// Reply implements runtime.Call.
func (*metadataChanged) Reply() {}

// Fail implements runtime.Call.
func (m *metadataChanged) Fail(code protocol.ErrorCode) {
	if code != protocol.NotCoordinator {
		m.retry()
	}
}

// takeMetadata takes in new metadata. The groups learn of it with their next heartbeats.
func (c *core) takeMetadata(env classic.Env, call *metadataChanged) {
	if call.to.Version() > c.around.Metadata.Version() {
		c.around.Metadata, c.aroundShare.Metadata, c.streams.Metadata = call.to, call.to, call.to
	}
	env.Out.Answer(call)
}
