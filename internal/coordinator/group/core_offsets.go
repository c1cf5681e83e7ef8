package group

import (
	"math"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/offsets"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type commitCall = runtime.Exchange[protocol.OffsetCommitRequest, protocol.OffsetCommitResponse]

// fetchCall asks for the offsets of one group.
type fetchCall struct {
	runtime.Exchange[protocol.OffsetFetchRequestGroup, protocol.OffsetFetchResponseGroup]
	// requireStable hides offsets that a transaction is about to change.
	requireStable bool
}

const (
	// noOffset stands for an offset that was never committed.
	noOffset = -1

	// groupNotFoundVersion is the first version of OffsetCommit that can say that the
	// group does not exist.
	groupNotFoundVersion = 9
)

func (c *core) commit(env classic.Env, call *commitCall) {
	req := call.Request
	if code := c.validateCommit(req, call.Context.Version); code != protocol.None {
		refuseCommit(req, &call.Response, code)
		env.Out.Answer(call)
		return
	}
	if g := c.groups[req.GroupId]; g != nil {
		g.Committed(env, req.MemberId)
	}
	committed := offsets.Committed{CommitTimestampMs: env.NowMs, ExpireTimestampMs: -1}
	if req.RetentionTimeMs >= 0 {
		committed.ExpireTimestampMs = addMs(env.NowMs, req.RetentionTimeMs)
	}
	res := &call.Response
	res.Topics = make([]protocol.OffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		topic := &req.Topics[i]
		res.Topics[i].Name, res.Topics[i].TopicId = topic.Name, topic.TopicId
		partitions := make([]protocol.OffsetCommitResponsePartition, len(topic.Partitions))
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			partitions[j].PartitionIndex = p.PartitionIndex
			if code := c.mayCommit(req, topic.TopicId, p.PartitionIndex); code != protocol.None {
				partitions[j].ErrorCode = code
				continue
			}
			partitions[j].ErrorCode = c.commitOne(env, req.GroupId, topic, p, committed)
		}
		res.Topics[i].Partitions = partitions
	}
	env.Out.Answer(call)
}

func (c *core) validateCommit(req *protocol.OffsetCommitRequest, version int16) protocol.ErrorCode {
	g := c.groups[req.GroupId]
	switch {
	case g != nil && version < g.CommitVersion(req.MemberId):
		return protocol.UnsupportedVersion
	case g != nil:
		return g.ValidateCommit(req.MemberId, req.GroupInstanceId, req.GenerationIdOrMemberEpoch, false)
	case req.GenerationIdOrMemberEpoch < 0:
		// A consumer without group management, or an administrator.
		return protocol.None
	case version >= groupNotFoundVersion:
		return protocol.GroupIdNotFound
	default:
		return protocol.IllegalGeneration
	}
}

// mayCommit checks what depends on the partition.
func (c *core) mayCommit(req *protocol.OffsetCommitRequest, topicID protocol.UUID, partition int32) protocol.ErrorCode {
	if g := c.groups[req.GroupId]; g != nil {
		return g.MayCommit(req.MemberId, req.GenerationIdOrMemberEpoch, topicID, partition)
	}
	return protocol.None
}

func (c *core) commitOne(env classic.Env, group string, topic *protocol.OffsetCommitRequestTopic,
	p *protocol.OffsetCommitRequestPartition, committed offsets.Committed) protocol.ErrorCode {
	if p.CommittedMetadata != nil {
		if len(*p.CommittedMetadata) > c.settings.OffsetMetadataMaxBytes {
			return protocol.OffsetMetadataTooLarge
		}
		committed.Metadata = *p.CommittedMetadata
	}
	if len(topic.Name) > classic.MaxNameBytes {
		return protocol.InvalidTopicException
	}
	if c.groups[group] == nil && len(c.groups) >= MaxGroupsPerPartition ||
		c.offsets.Count(group) >= MaxOffsetsPerGroup && !c.has(group, topic.Name, p.PartitionIndex) {
		return protocol.InvalidCommitOffsetSize
	}
	committed.Offset = p.CommittedOffset
	committed.LeaderEpoch = -1
	if committed.ExpireTimestampMs < 0 {
		// The version of the record that has an expiry time has neither of these.
		committed.LeaderEpoch, committed.TopicID = p.CommittedLeaderEpoch, topic.TopicId
	}
	c.offsets.Put(group, topic.Name, p.PartitionIndex, committed)
	c.txns.pending.Overtake(offsets.Place{Group: group, Topic: topic.Name, Partition: p.PartitionIndex})
	c.ensureGroup(group)
	c.key = offsets.AppendKey(c.key[:0], group, topic.Name, p.PartitionIndex)
	c.value = offsets.AppendValue(c.value[:0], &committed)
	env.Out.Write(c.key, c.value)
	return protocol.None
}

func (c *core) has(group, topic string, partition int32) bool {
	_, ok := c.offsets.Get(group, topic, partition)
	return ok
}

func addMs(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

func (c *core) fetch(env classic.Env, call *fetchCall) {
	req, res := call.Request, &call.Response
	res.GroupId = req.GroupId
	if g := c.groups[req.GroupId]; g != nil {
		if res.ErrorCode = g.ValidateFetch(req.MemberId, req.MemberEpoch); res.ErrorCode != protocol.None {
			env.Out.Answer(call)
			return
		}
	}
	if req.Topics == nil {
		c.fetchAll(res)
	} else {
		res.Topics = make([]protocol.OffsetFetchResponseTopics, len(req.Topics))
		for i := range req.Topics {
			topic := &req.Topics[i]
			res.Topics[i] = protocol.OffsetFetchResponseTopics{
				Name: topic.Name, TopicId: topic.TopicId,
				Partitions: c.fetchPartitions(req.GroupId, topic),
			}
		}
	}
	if call.requireStable {
		c.markUnstable(req.GroupId, res.Topics)
	}
	env.Out.Answer(call)
}

func (c *core) fetchAll(res *protocol.OffsetFetchResponseGroup) {
	topics := c.offsets.Topics(res.GroupId)
	res.Topics = make([]protocol.OffsetFetchResponseTopics, len(topics))
	for i, name := range topics {
		res.Topics[i].Name = name
		res.Topics[i].Partitions = c.fetchPartitions(res.GroupId, &protocol.OffsetFetchRequestTopics{
			Name: name, PartitionIndexes: c.offsets.Partitions(res.GroupId, name),
		})
	}
}

func (c *core) fetchPartitions(group string, topic *protocol.OffsetFetchRequestTopics) []protocol.OffsetFetchResponsePartitions {
	out := make([]protocol.OffsetFetchResponsePartitions, len(topic.PartitionIndexes))
	none := ""
	for i, partition := range topic.PartitionIndexes {
		out[i] = protocol.OffsetFetchResponsePartitions{
			PartitionIndex: partition, CommittedOffset: noOffset, CommittedLeaderEpoch: -1, Metadata: &none,
		}
		o, ok := c.offsets.Get(group, topic.Name, partition)
		if !ok || otherTopic(o.TopicID, topic.TopicId) {
			continue
		}
		out[i].CommittedOffset, out[i].CommittedLeaderEpoch = o.Offset, o.LeaderEpoch
		if o.Metadata != "" {
			out[i].Metadata = &o.Metadata
		}
	}
	return out
}

// otherTopic tells whether an offset was committed for an earlier topic of the same
// name, as far as both ids are known.
func otherTopic(committed, asked protocol.UUID) bool {
	return committed != protocol.UUID{} && asked != protocol.UUID{} && committed != asked
}

// forgetOffset writes the tombstone of an offset and tells whether there was one.
func (c *core) forgetOffset(env classic.Env, group, topic string, partition int32) bool {
	if !c.offsets.Remove(group, topic, partition) {
		return false
	}
	c.txns.pending.Overtake(offsets.Place{Group: group, Topic: topic, Partition: partition})
	c.key = offsets.AppendKey(c.key[:0], group, topic, partition)
	env.Out.Write(c.key, nil)
	return true
}
