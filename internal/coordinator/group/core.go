package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/coordinator/group/offsets"
	"github.com/naru-stream/naru/internal/coordinator/group/share"
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// timerExpiry is the timer of a partition that looks for offsets to forget. The
// kinds below belong to package classic.
const timerExpiry uint8 = 32

// The first int16 of a key says what the record is.
const (
	recordLegacyOffset = 0
	recordOffset       = 1
	recordGroup        = 2
)

// memberGroup is a group of any kind. The kinds share their ids: a request of one kind
// for a group of another is refused.
type memberGroup interface {
	fmt.Stringer
	StateName() string
	ProtocolType() string
	ValidateCommit(memberID string, instanceID *string, generation int32, transactional bool) protocol.ErrorCode
	CommitVersion(memberID string) int16
	MayCommit(memberID string, generation int32, topicID wire.UUID, partition int32) protocol.ErrorCode
	ValidateFetch(memberID *string, epoch int32) protocol.ErrorCode
	ValidateOffsetDelete() protocol.ErrorCode
	ValidateDelete() protocol.ErrorCode
	Subscribed(topic string) bool
	RetentionStartMs(commitMs int64) (ms int64, ok bool)
	Committed(env classic.Env, memberID string)
	Loaded(env classic.Env)
	Expire(env classic.Env, key runtime.TimerKey)
	Disposable() bool
	Delete(env classic.Env)
	Unload() []runtime.Call
}

// core is the groups and offsets of one partition of __consumer_offsets.
type core struct {
	settings *Settings
	around   consumer.Surroundings
	streams  streams.Surroundings
	groups   map[string]memberGroup
	offsets  offsets.Store
	txns     transactions
	expiring bool // timerExpiry is set

	aroundShare share.Surroundings

	key, value []byte // scratch for records
}

func newCore(settings *Settings, metadata clusterView) *core {
	return &core{
		settings: settings, groups: make(map[string]memberGroup),
		around:      consumer.Surroundings{Config: &settings.Consumer, Metadata: metadata},
		aroundShare: share.Surroundings{Config: &settings.Share, Metadata: metadata},
		streams:     streams.Surroundings{Config: &settings.Streams, Metadata: metadata},
	}
}

func (c *core) env(nowMs int64, out *runtime.Effects) classic.Env {
	return classic.Env{NowMs: nowMs, Out: out, Config: &c.settings.classic}
}

// Handle implements runtime.Core.
func (c *core) Handle(call runtime.Call, nowMs int64, out *runtime.Effects) {
	env := c.env(nowMs, out)
	switch call := call.(type) {
	case *commitCall:
		c.commit(env, call)
	case *classic.HeartbeatCall:
		c.heartbeat(env, call)
	case *consumer.HeartbeatCall:
		c.consumerHeartbeat(env, call)
	case *fetchCall:
		c.fetch(env, call)
	case *joinCall:
		c.join(env, call)
	case *classic.SyncCall:
		c.sync(env, call)
	case *classic.LeaveCall:
		c.leave(env, call)
	case *listCall:
		c.list(env, call)
	case *describeCall:
		c.describe(env, call)
	case *consumerDescribeCall:
		c.describeConsumers(env, call)
	case *deleteGroupsCall:
		c.deleteGroups(env, call)
	case *offsetDeleteCall:
		c.deleteOffsets(env, call)
	case *topicDeleted:
		c.forgetTopic(env, call)
	case *guardCall:
		call.ends = c.txns.ends
		out.Answer(call)
	case *stageCall:
		c.stage(env, call)
	case *endCall:
		c.end(env, call)
	case *streams.HeartbeatCall:
		c.streamsHeartbeat(env, call)
	case *streamsDescribeCall:
		c.describeStreams(env, call)
	case *metadataChanged:
		c.takeMetadata(env, call)
	default:
		c.handleShare(env, call)
	}
	c.watchExpiry(env)
}

// Expire implements runtime.Core.
func (c *core) Expire(key runtime.TimerKey, nowMs int64, out *runtime.Effects) {
	env := c.env(nowMs, out)
	if key.Kind == timerExpiry {
		c.expiring = false
		c.expireOffsets(env)
		c.watchExpiry(env)
		return
	}
	if g := c.groups[key.Name]; g != nil {
		g.Expire(env, key)
		if group, ok := g.(*consumer.Group); ok {
			c.downgrade(env, group)
		}
	}
}

// watchExpiry has a timer set while there is anything that can expire.
func (c *core) watchExpiry(env classic.Env) {
	if !c.expiring && len(c.groups) > 0 {
		c.expiring = true
		env.Out.Schedule(runtime.TimerKey{Kind: timerExpiry}, env.NowMs+c.settings.RetentionCheckIntervalMs)
	}
}

// Apply implements runtime.Core.
func (c *core) Apply(key, value []byte, origin runtime.Origin) error {
	r := wire.NewReader(key)
	kind := r.Int16()
	if err := r.Err(); err != nil {
		return fmt.Errorf("decoding the type of a key of %d bytes: %w", len(key), err)
	}
	switch kind {
	case recordOffset, recordLegacyOffset:
		if origin.Transactional {
			return c.applyPending(key[2:], value, origin)
		}
		return c.applyOffset(key[2:], value)
	case recordGroup:
		return c.applyGroup(key[2:], value)
	default:
		return c.applyModern(key, value)
	}
}

// applyModern takes in a record of a group whose members the broker assigns. Records
// of kinds of groups that came later than this code are skipped, as Kafka does, so that
// a downgrade stays possible.
func (c *core) applyModern(key, value []byte) error {
	r := wire.NewReader(key)
	if coordrecord.Group.NewKey(r.Int16()) == nil {
		return nil
	}
	k, err := coordrecord.Group.ParseKey(key)
	if err != nil {
		return fmt.Errorf("decoding the key of a group's record: %w", err)
	}
	v, _, err := coordrecord.Group.ParseValue(k, value)
	if err != nil {
		return fmt.Errorf("decoding a record of a group: %w", err)
	}
	if id, ok := consumer.GroupOf(k); ok {
		return applyTo(c, id, func(id string) *consumer.Group { return consumer.New(id, &c.around) }, k, v)
	}
	if id, ok := streams.GroupOf(k); ok {
		return applyTo(c, id, func(id string) *streams.Group { return streams.New(id, &c.streams) }, k, v)
	}
	if id, ok := share.GroupOf(k); ok {
		return applyTo(c, id, func(id string) *share.Group { return share.New(id, &c.aroundShare) }, k, v)
	}
	return nil
}

// modernGroup is a group whose members the broker assigns.
type modernGroup interface {
	memberGroup
	ID() string
	Apply(k coordrecord.Key, v coordrecord.Value) (gone bool, err error)
}

// applyTo has a group of one kind take in a record; v is nil for a tombstone. Begin makes the
// group, in place of one of another kind, if it is not there.
func applyTo[G modernGroup](c *core, id string, begin func(id string) G, k coordrecord.Key, v coordrecord.Value) error {
	g, ok := c.groups[id].(G)
	if !ok {
		if v == nil {
			return nil
		}
		g = begin(id)
		c.groups[g.ID()] = g
	}
	gone, err := g.Apply(k, v)
	if gone {
		delete(c.groups, id)
	}
	return err
}

func (c *core) applyOffset(key, value []byte) error {
	group, topic, partition, err := offsets.DecodeKey(key)
	if err != nil {
		return err
	}
	c.txns.pending.Overtake(offsets.Place{Group: group, Topic: topic, Partition: partition})
	if value == nil {
		c.offsets.Remove(group, topic, partition)
		return nil
	}
	committed, err := offsets.DecodeValue(value)
	if err != nil {
		return err
	}
	c.offsets.Put(group, topic, partition, committed)
	c.ensureGroup(group)
	return nil
}

func (c *core) applyGroup(key, value []byte) error {
	id, err := classic.DecodeKey(key)
	if err != nil {
		return err
	}
	if value == nil {
		if _, ok := c.groups[id].(*classic.Group); ok {
			delete(c.groups, id)
		}
		return nil
	}
	g, err := classic.FromRecord(id, value)
	if err != nil {
		return err
	}
	c.groups[strings.Clone(id)] = g
	return nil
}

// ApplyMarker implements runtime.Core.
func (c *core) ApplyMarker(origin runtime.Origin, commit bool) error {
	c.endPending(origin.ProducerID, origin.ProducerEpoch, origin.CoordinatorEpoch, commit)
	return nil
}

// Loaded implements runtime.Core.
func (c *core) Loaded(nowMs int64, out *runtime.Effects) {
	env := c.env(nowMs, out)
	for _, group := range append(c.offsets.Groups(), c.txns.pending.Groups()...) {
		// Compaction may have kept a tombstone of the group behind its offsets.
		c.ensureGroup(group)
	}
	for _, id := range c.ids() {
		c.groups[id].Loaded(env)
	}
	c.watchExpiry(env)
}

// Unload implements runtime.Core.
func (c *core) Unload() []runtime.Call {
	var out []runtime.Call
	for _, id := range c.ids() {
		out = append(out, c.groups[id].Unload()...)
	}
	return out
}

func (c *core) ids() []string { return slices.Sorted(maps.Keys(c.groups)) }

// ensureGroup makes the group without members that offsets need.
func (c *core) ensureGroup(id string) {
	if c.groups[id] == nil {
		id = strings.Clone(id)
		c.groups[id] = classic.NewSimple(id)
	}
}
