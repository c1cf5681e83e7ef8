package share

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// timerColdSnapshots looks for share partitions that have not changed for long, and for
// records that nobody needs any more.
const timerColdSnapshots uint8 = 1

// core is the share partitions of one partition of __share_group_state.
type core struct {
	settings *Settings
	// partitions returns how many partitions a topic has, 0 if there is none.
	partitions func(topic protocol.UUID) int32
	// prune returns a call that, when it is answered, has the records below an offset
	// deleted.
	prune func(offset int64) runtime.Call
	// committed returns an offset below which the log is committed.
	committed func() int64

	states   map[key]*state
	floor    int64 // records that are written from now on are not below it
	pruned   int64 // what was last asked to be deleted
	watching bool

	keyBuf, valueBuf []byte // scratch for records
}

// Handle implements runtime.Core.
func (c *core) Handle(call runtime.Call, nowMs int64, out *runtime.Effects) {
	switch call := call.(type) {
	case *initializeCall:
		c.initialize(call, nowMs, out)
	case *readCall:
		c.read(call, nowMs, out)
	case *writeCall:
		c.write(call, nowMs, out)
	case *deleteCall:
		c.remove(call, out)
	case *summaryCall:
		c.summary(call)
	case *topicsCall:
		c.forgetTopics(call, out)
	default:
		assert.That(false, "the share coordinator has no handler for %T", call)
	}
	out.Answer(call)
	c.watch(nowMs, out)
}

// Expire implements runtime.Core.
func (c *core) Expire(_ runtime.TimerKey, nowMs int64, out *runtime.Effects) {
	c.watching = false
	c.floor = max(c.floor, c.committed())
	c.snapshotCold(nowMs, out)
	oldest := c.floor
	for _, s := range c.states {
		oldest = min(oldest, s.snapshotOffset)
	}
	if oldest > c.pruned {
		c.pruned = oldest
		out.Answer(c.prune(oldest))
	}
	c.watch(nowMs, out)
}

func (c *core) watch(nowMs int64, out *runtime.Effects) {
	if !c.watching && len(c.states) > 0 {
		c.watching = true
		out.Schedule(runtime.TimerKey{Kind: timerColdSnapshots}, nowMs+min(c.settings.ColdSnapshotIntervalMs, c.settings.PruneIntervalMs))
	}
}

// snapshotCold writes those anew that have not been written for long, unless that was
// done with all already.
func (c *core) snapshotCold(nowMs int64, out *runtime.Effects) {
	all := c.sorted()
	if !slices.ContainsFunc(all, func(k key) bool { return c.states[k].createMs == c.states[k].writeMs }) {
		return
	}
	for _, k := range all {
		if s := c.states[k]; nowMs-s.writeMs >= c.settings.ColdSnapshotIntervalMs {
			s.writeMs = nowMs
			c.writeSnapshot(k, s, out)
		}
	}
}

func (c *core) sorted() []key {
	return slices.SortedFunc(maps.Keys(c.states), func(a, b key) int {
		return cmp.Or(strings.Compare(a.group, b.group), slices.Compare(a.topic[:], b.topic[:]), cmp.Compare(a.partition, b.partition))
	})
}

// Apply implements runtime.Core.
func (c *core) Apply(keyBytes, value []byte, origin runtime.Origin) error {
	c.floor = origin.Offset + 1
	k, snapshot, ok, err := decodeKey(keyBytes)
	if err != nil || !ok {
		return err
	}
	if value == nil {
		if snapshot {
			delete(c.states, k)
		}
		return nil
	}
	parsedKey := coordrecord.Key(updateKey(k))
	if snapshot {
		parsedKey = snapshotKey(k)
	}
	v, _, err := coordrecord.Share.ParseValue(parsedKey, value)
	if err != nil {
		return fmt.Errorf("decoding the state of share partition %s: %w", k, err)
	}
	s := c.states[k]
	if s == nil {
		s = &state{startOffset: noOffset, deliveryCompleteCount: noCount, snapshotOffset: origin.Offset}
		c.states[k.owned()] = s
	}
	switch v := v.(type) {
	case *coordrecord.ShareSnapshotValue:
		s.replace(v)
		s.snapshotOffset = origin.Offset
	case *coordrecord.ShareUpdateValue:
		s.update(v)
	}
	return nil
}

// ApplyMarker implements runtime.Core. Nobody writes __share_group_state in a
// transaction.
func (c *core) ApplyMarker(runtime.Origin, bool) error { return nil }

// Loaded implements runtime.Core.
func (c *core) Loaded(nowMs int64, out *runtime.Effects) { c.watch(nowMs, out) }

// Unload implements runtime.Core. No call waits.
func (c *core) Unload() []runtime.Call { return nil }

// writeSnapshot writes the state as it is now.
func (c *core) writeSnapshot(k key, s *state, out *runtime.Effects) {
	s.snapshotEpoch++
	s.updates, s.snapshotOffset = 0, c.floor
	c.keyBuf = coordrecord.AppendKey(c.keyBuf[:0], snapshotKey(k))
	c.valueBuf = coordrecord.AppendValue(c.valueBuf[:0], s.snapshot(), 0)
	out.Write(c.keyBuf, c.valueBuf)
}

// change writes a change of the state: alone, or after enough changes in full.
func (c *core) change(k key, s *state, v *coordrecord.ShareUpdateValue, nowMs int64, out *runtime.Effects) {
	if s.updates >= c.settings.UpdatesPerSnapshot {
		s.update(v)
		s.createMs, s.writeMs = nowMs, nowMs
		c.writeSnapshot(k, s, out)
		return
	}
	s.update(v)
	c.keyBuf = coordrecord.AppendKey(c.keyBuf[:0], updateKey(k))
	c.valueBuf = coordrecord.AppendValue(c.valueBuf[:0], v, 0)
	out.Write(c.keyBuf, c.valueBuf)
}

// tombstone forgets a share partition.
func (c *core) tombstone(k key, out *runtime.Effects) {
	delete(c.states, k)
	c.keyBuf = coordrecord.AppendKey(c.keyBuf[:0], snapshotKey(k))
	out.Write(c.keyBuf, nil)
}

// forgetTopics forgets the share partitions of topics that are gone.
func (c *core) forgetTopics(call *topicsCall, out *runtime.Effects) {
	for _, k := range c.sorted() {
		if slices.Contains(*call.Request, k.topic) {
			c.tombstone(k, out)
		}
	}
}
