package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/offsets"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// transactions is what a partition knows of transactions that commit offsets: the
// offsets that wait for a decision, and how far each producer has come.
//
// The log refuses records of an epoch that is over, and a refused write costs the whole
// partition its memory; so what the log would refuse is refused here.
type transactions struct {
	pending   offsets.Pending
	producers map[int64]progress
	ends      uint64 // how many transactions have ended
	// forgotten is what ends was when producers were forgotten: nothing can be said
	// about what happened before.
	forgotten uint64
}

// progress is how far a producer has come.
type progress struct {
	epoch            int16
	coordinatorEpoch int32
	ended            uint64 // the value of ends after its last transaction
}

// maxProducers is how many producers without an open transaction are remembered.
const maxProducers = 1 << 16

func (t *transactions) note(id int64, p progress) {
	if t.producers == nil {
		t.producers = make(map[int64]progress)
	}
	if len(t.producers) >= maxProducers {
		for other := range t.producers {
			if !t.pending.Open(other) {
				delete(t.producers, other)
			}
		}
		t.forgotten = t.ends
	}
	t.producers[id] = p
}

func (t *transactions) of(id int64) progress {
	if p, ok := t.producers[id]; ok {
		return p
	}
	return progress{epoch: -1, coordinatorEpoch: -1}
}

// guardCall asks where a partition stands before the transaction coordinator is asked
// about a transaction: an end that comes between the two must not be overlooked.
type guardCall struct {
	ends   uint64
	done   func(ends uint64)
	failed func(protocol.ErrorCode)
}

// Reply implements runtime.Call.
func (x *guardCall) Reply() { x.done(x.ends) }

// Fail implements runtime.Call.
func (x *guardCall) Fail(code protocol.ErrorCode) { x.failed(code) }

// stageCall is a TxnOffsetCommit request whose transaction was verified.
type stageCall struct {
	runtime.Exchange[protocol.TxnOffsetCommitRequest, protocol.TxnOffsetCommitResponse]
	// guarded says that the transaction must not have ended since the partition's
	// guard was taken.
	guarded bool
	guard   uint64
}

func (c *core) stage(env classic.Env, call *stageCall) {
	req := call.Request
	if code := c.validateStage(call); code != protocol.None {
		refuseStage(req, &call.Response, code)
		env.Out.Answer(call)
		return
	}
	if g := c.groups[req.GroupId]; g != nil {
		g.Committed(env, req.MemberId)
	}
	producer := &runtime.Producer{ID: req.ProducerId, Epoch: req.ProducerEpoch}
	res := &call.Response
	res.Topics = make([]protocol.TxnOffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		topic := &req.Topics[i]
		partitions := make([]protocol.TxnOffsetCommitResponsePartition, len(topic.Partitions))
		for j := range topic.Partitions {
			partitions[j].PartitionIndex = topic.Partitions[j].PartitionIndex
			if partitions[j].ErrorCode = c.mayStage(req, topic.Name, topic.Partitions[j].PartitionIndex); partitions[j].ErrorCode != protocol.None {
				continue
			}
			partitions[j].ErrorCode = c.stageOne(env, producer, req.GroupId, topic.Name, &topic.Partitions[j])
		}
		res.Topics[i] = protocol.TxnOffsetCommitResponseTopic{Name: topic.Name, Partitions: partitions}
	}
	env.Out.Answer(call)
}

// validateStage checks producer and member (KIP-447).
func (c *core) validateStage(call *stageCall) protocol.ErrorCode {
	req, known := call.Request, c.txns.of(call.Request.ProducerId)
	switch {
	case req.ProducerEpoch < known.epoch:
		return protocol.InvalidProducerEpoch
	case req.ProducerEpoch > known.epoch && c.txns.pending.Open(req.ProducerId):
		// The marker of the transaction before is still on its way.
		return protocol.CoordinatorLoadInProgress
	case call.guarded && known.ended > call.guard:
		return protocol.InvalidTxnState
	case call.guarded && call.guard < c.txns.forgotten:
		return protocol.CoordinatorLoadInProgress
	}
	g := c.groups[req.GroupId]
	if g == nil {
		if req.GenerationId < 0 {
			return protocol.None
		}
		return protocol.IllegalGeneration
	}
	code := g.ValidateCommit(req.MemberId, req.GroupInstanceId, req.GenerationId, true)
	if code == protocol.StaleMemberEpoch {
		return protocol.IllegalGeneration
	}
	return code
}

// mayStage checks what depends on the partition: a member of a consumer group that is
// behind may commit only what it has had since (KIP-1251).
func (c *core) mayStage(req *protocol.TxnOffsetCommitRequest, topic string, partition int32) protocol.ErrorCode {
	g := c.groups[req.GroupId]
	if g == nil || req.GenerationId < 0 {
		return protocol.None
	}
	t, _ := c.around.Metadata.Topic(topic)
	if code := g.MayCommit(req.MemberId, req.GenerationId, t.ID, partition); code != protocol.None {
		return protocol.IllegalGeneration
	}
	return protocol.None
}

func (c *core) stageOne(env classic.Env, producer *runtime.Producer, group, topic string, p *protocol.TxnOffsetCommitRequestPartition) protocol.ErrorCode {
	staged := offsets.Committed{
		Offset: p.CommittedOffset, LeaderEpoch: p.CommittedLeaderEpoch,
		CommitTimestampMs: env.NowMs, ExpireTimestampMs: -1,
	}
	if p.CommittedMetadata != nil {
		staged.Metadata = *p.CommittedMetadata
	}
	switch {
	case len(staged.Metadata) > c.settings.OffsetMetadataMaxBytes:
		return protocol.OffsetMetadataTooLarge
	case len(topic) > classic.MaxNameBytes:
		return protocol.InvalidTopicException
	case c.groups[group] == nil && len(c.groups) >= MaxGroupsPerPartition,
		c.offsets.Count(group)+c.txns.pending.Count(group) >= MaxOffsetsPerGroup && !c.has(group, topic, p.PartitionIndex):
		return protocol.InvalidCommitOffsetSize
	}
	c.ensureGroup(group)
	c.txns.pending.Put(producer.ID, offsets.Place{Group: group, Topic: topic, Partition: p.PartitionIndex}, staged)
	known := c.txns.of(producer.ID)
	known.epoch = producer.Epoch
	c.txns.note(producer.ID, known)
	c.key = offsets.AppendKey(c.key[:0], group, topic, p.PartitionIndex)
	c.value = offsets.AppendValue(c.value[:0], &staged)
	env.Out.WriteInTransaction(producer, c.key, c.value)
	return protocol.None
}

// endCall ends a producer's transaction in this partition.
type endCall struct {
	End

	code protocol.ErrorCode
}

// End is the end of a producer's transaction, as a marker says it.
type End struct {
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
	// Version is the transaction version that the client uses.
	Version int16
	// Done gets the outcome when the marker is committed.
	Done func(protocol.ErrorCode)
}

// Reply implements runtime.Call.
func (x *endCall) Reply() { x.Done(x.code) }

// Fail implements runtime.Call.
func (x *endCall) Fail(code protocol.ErrorCode) { x.Done(code) }

// end writes the marker of a transaction. Offsets count from then on, in the order of
// markers. An offset that was committed otherwise in between is written once more before
// the marker, so that compaction, which keeps the last record of a key, agrees.
func (c *core) end(env classic.Env, call *endCall) {
	defer env.Out.Answer(call)
	known := c.txns.of(call.ProducerID)
	switch {
	case call.ProducerEpoch < known.epoch,
		call.Version >= 2 && call.ProducerEpoch == known.epoch && c.txns.pending.Open(call.ProducerID):
		call.code = protocol.InvalidProducerEpoch
		return
	case call.CoordinatorEpoch < known.coordinatorEpoch:
		call.code = protocol.TransactionCoordinatorFenced
		return
	}
	ended := c.endPending(call.ProducerID, call.ProducerEpoch, call.CoordinatorEpoch, call.Commit)
	for i := range ended {
		if e := &ended[i]; e.Overtaken && call.Commit {
			c.key = offsets.AppendKey(c.key[:0], e.Group, e.Topic, e.Partition)
			c.value = offsets.AppendValue(c.value[:0], &e.Committed)
			env.Out.Write(c.key, c.value)
		}
	}
	env.Out.WriteMarker(&runtime.Producer{ID: call.ProducerID, Epoch: call.ProducerEpoch}, call.Commit, call.CoordinatorEpoch)
}

// endPending takes the end of a transaction into memory.
func (c *core) endPending(producerID int64, epoch int16, coordinatorEpoch int32, commit bool) []offsets.Ended {
	ended := c.txns.pending.End(producerID)
	c.txns.ends++
	c.txns.note(producerID, progress{epoch: epoch, coordinatorEpoch: max(coordinatorEpoch, c.txns.of(producerID).coordinatorEpoch), ended: c.txns.ends})
	for i := range ended {
		if e := &ended[i]; commit {
			c.offsets.Put(e.Group, e.Topic, e.Partition, e.Committed)
			c.ensureGroup(e.Group)
			c.txns.pending.Overtake(e.Place)
		}
	}
	return ended
}

// applyPending takes in a record of a transaction.
func (c *core) applyPending(key, value []byte, origin runtime.Origin) error {
	group, topic, partition, err := offsets.DecodeKey(key)
	if err != nil || value == nil {
		return err
	}
	staged, err := offsets.DecodeValue(value)
	if err != nil {
		return err
	}
	c.txns.pending.Put(origin.ProducerID, offsets.Place{Group: group, Topic: topic, Partition: partition}, staged)
	known := c.txns.of(origin.ProducerID)
	known.epoch = max(known.epoch, origin.ProducerEpoch)
	c.txns.note(origin.ProducerID, known)
	c.ensureGroup(group)
	return nil
}

// markUnstable hides offsets that a transaction is about to change (KIP-447).
func (c *core) markUnstable(group string, topics []protocol.OffsetFetchResponseTopics) {
	none := ""
	for i := range topics {
		for j := range topics[i].Partitions {
			p := &topics[i].Partitions[j]
			if c.txns.pending.Has(offsets.Place{Group: group, Topic: topics[i].Name, Partition: p.PartitionIndex}) {
				*p = protocol.OffsetFetchResponsePartitions{
					PartitionIndex: p.PartitionIndex, CommittedOffset: noOffset, CommittedLeaderEpoch: -1, Metadata: &none,
					ErrorCode: protocol.UnstableOffsetCommit,
				}
			}
		}
	}
}
