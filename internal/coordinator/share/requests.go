package share

import (
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// one is what a request says about one share partition.
type one[P any] struct {
	key  key
	data *P
}

// The calls, each about one share partition.
type (
	initializeCall = runtime.Exchange[one[protocol.InitializeShareGroupStateRequestPartitionData], protocol.InitializeShareGroupStateResponsePartitionResult]
	readCall       = runtime.Exchange[one[protocol.ReadShareGroupStateRequestPartitionData], protocol.ReadShareGroupStateResponsePartitionResult]
	writeCall      = runtime.Exchange[one[protocol.WriteShareGroupStateRequestPartitionData], protocol.WriteShareGroupStateResponsePartitionResult]
	deleteCall     = runtime.Exchange[one[protocol.DeleteShareGroupStateRequestPartitionData], protocol.DeleteShareGroupStateResponsePartitionResult]
	summaryCall    = runtime.Exchange[one[protocol.ReadShareGroupStateSummaryRequestPartitionData], protocol.ReadShareGroupStateSummaryResponsePartitionResult]
	// topicsCall says that topics are gone.
	topicsCall = runtime.Exchange[[]protocol.UUID, struct{}]
)

// refusal is an error code with its text.
type refusal struct {
	code protocol.ErrorCode
	text string
}

// put writes the refusal into a response.
func (r *refusal) put(code *protocol.ErrorCode, text **string) {
	*code, *text = r.code, &r.text
}

// The refusals that have one text.
var (
	unknownPartition   = &refusal{protocol.UnknownTopicOrPartition, "This server does not host this topic-partition."}
	fencedLeaderEpoch  = &refusal{protocol.FencedLeaderEpoch, "The leader epoch in the request is older than the epoch on the broker."}
	fencedStateEpoch   = &refusal{protocol.FencedStateEpoch, "The share coordinator rejected the request because the share-group state epoch did not match."}
	tooManyPartitions  = &refusal{protocol.InvalidRequest, "Too many share partitions."}
	tooManyBatches     = &refusal{protocol.InvalidRequest, "Too many state batches for one share partition."}
	backwardBatch      = &refusal{protocol.InvalidRequest, "A state batch ends before it begins."}
	negativePartition  = &refusal{protocol.InvalidRequest, "The partition id cannot be a negative number."}
	readUninitialized  = &refusal{protocol.InvalidRequest, "Read operation on uninitialized share partition not allowed."}
	writeUninitialized = &refusal{protocol.InvalidRequest, "Write operation on uninitialized share partition not allowed."}
)

// checkPartition refuses what names no partition.
func (c *core) checkPartition(k key) *refusal {
	switch {
	case k.partition < 0:
		return negativePartition
	case k.partition >= c.partitions(k.topic):
		return unknownPartition
	}
	return nil
}

// initialize begins a share partition, or begins it anew in a later state epoch.
func (c *core) initialize(call *initializeCall, nowMs int64, out *runtime.Effects) {
	k, data := call.Request.key, call.Request.data
	s := c.states[k]
	var no *refusal
	switch {
	case k.partition < 0:
		no = c.checkPartition(k)
	case s != nil && data.StateEpoch != noEpoch && data.StateEpoch < s.stateEpoch:
		no = fencedStateEpoch
	case s == nil && len(c.states) >= MaxPerPartition:
		no = tooManyPartitions
	default:
		no = c.checkPartition(k)
	}
	if no != nil {
		no.put(&call.Response.ErrorCode, &call.Response.ErrorMessage)
		return
	}
	if s == nil {
		s = &state{snapshotEpoch: -1}
		k = k.owned()
		c.states[k] = s
	}
	// How much is done with is not known before it is known where it begins.
	s.startOffset, s.deliveryCompleteCount = data.StartOffset, 0
	if data.StartOffset == noOffset {
		s.deliveryCompleteCount = noCount
	}
	s.stateEpoch = max(s.stateEpoch, data.StateEpoch)
	s.batches = nil
	s.createMs, s.writeMs = nowMs, nowMs
	c.writeSnapshot(k, s, out)
}

// check refuses reads and writes of a leader that was replaced.
func (c *core) check(k key, leaderEpoch, stateEpoch int32, uninitialized *refusal) (*state, *refusal) {
	s := c.states[k]
	switch {
	case k.partition < 0:
		return nil, c.checkPartition(k)
	case s == nil:
		return nil, uninitialized
	case leaderEpoch != noEpoch && leaderEpoch < s.leaderEpoch:
		return nil, fencedLeaderEpoch
	case stateEpoch != noEpoch && stateEpoch < s.stateEpoch:
		return nil, fencedStateEpoch
	}
	return s, c.checkPartition(k)
}

// read tells all that is remembered, and fences the leaders before the one that asks.
func (c *core) read(call *readCall, nowMs int64, out *runtime.Effects) {
	k, epoch, response := call.Request.key, call.Request.data.LeaderEpoch, &call.Response
	s, no := c.check(k, epoch, noEpoch, readUninitialized)
	if no != nil {
		no.put(&response.ErrorCode, &response.ErrorMessage)
		return
	}
	response.StartOffset, response.StateEpoch = s.startOffset, s.stateEpoch
	for _, b := range s.batches {
		response.StateBatches = append(response.StateBatches, protocol.ReadShareGroupStateResponseStateBatch{
			FirstOffset: b.FirstOffset, LastOffset: b.LastOffset, DeliveryState: b.State, DeliveryCount: b.DeliveryCount,
		})
	}
	if epoch != noEpoch && epoch != s.leaderEpoch {
		c.change(k, s, &coordrecord.ShareUpdateValue{
			SnapshotEpoch: s.snapshotEpoch, LeaderEpoch: epoch, StartOffset: s.startOffset, DeliveryCompleteCount: s.deliveryCompleteCount,
		}, nowMs, out)
	}
}

// write takes in what became of records.
func (c *core) write(call *writeCall, nowMs int64, out *runtime.Effects) {
	k, data, response := call.Request.key, call.Request.data, &call.Response
	s, no := c.check(k, data.LeaderEpoch, data.StateEpoch, writeUninitialized)
	var v *coordrecord.ShareUpdateValue
	if no == nil {
		v, no = updateOf(s, data)
	}
	if no != nil {
		no.put(&response.ErrorCode, &response.ErrorMessage)
		return
	}
	c.change(k, s, v, nowMs, out)
}

// updateOf makes the record of a write.
func updateOf(s *state, data *protocol.WriteShareGroupStateRequestPartitionData) (*coordrecord.ShareUpdateValue, *refusal) {
	if len(s.batches)+len(data.StateBatches) > MaxStateBatches {
		return nil, tooManyBatches
	}
	v := &coordrecord.ShareUpdateValue{
		SnapshotEpoch: s.snapshotEpoch, LeaderEpoch: s.leaderEpoch, StartOffset: data.StartOffset,
		DeliveryCompleteCount: data.DeliveryCompleteCount,
	}
	batches := make([]Batch, 0, len(data.StateBatches))
	for _, b := range data.StateBatches {
		if b.FirstOffset < 0 || b.LastOffset < b.FirstOffset {
			return nil, backwardBatch
		}
		batches = append(batches, Batch{b.FirstOffset, b.LastOffset, b.DeliveryState, b.DeliveryCount})
	}
	for _, b := range combine(batches, data.StartOffset) {
		v.StateBatches = append(v.StateBatches, coordrecord.ShareUpdateValueStateBatch{
			FirstOffset: b.FirstOffset, LastOffset: b.LastOffset, DeliveryState: b.State, DeliveryCount: b.DeliveryCount,
		})
	}
	return v, nil
}

// remove forgets a share partition; that it was not known is no error.
func (c *core) remove(call *deleteCall, out *runtime.Effects) {
	k := call.Request.key
	if no := c.checkPartition(k); no != nil {
		no.put(&call.Response.ErrorCode, &call.Response.ErrorMessage)
		return
	}
	if c.states[k] != nil {
		c.tombstone(k, out)
	}
}

// summary tells where a share partition begins.
func (c *core) summary(call *summaryCall) {
	k, response := call.Request.key, &call.Response
	if no := c.checkPartition(k); no != nil {
		no.put(&response.ErrorCode, &response.ErrorMessage)
		return
	}
	s := c.states[k]
	if s == nil {
		response.StartOffset, response.DeliveryCompleteCount = noOffset, noCount
		return
	}
	response.StartOffset, response.DeliveryCompleteCount = s.startOffset, s.deliveryCompleteCount
	response.LeaderEpoch, response.StateEpoch = s.leaderEpoch, s.stateEpoch
}
