package share

import (
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// partitions are some partitions of a topic. They are not changed once a group has them.
type partitions struct {
	name       string
	partitions []int32 // ascending
	askedMs    int64   // of initializing ones: when, 0: not since the log was read
}

// states is how far the share partitions of a group are.
type states struct {
	initializing, initialized map[wire.UUID]partitions
	deleting                  map[wire.UUID]string // names of topics
	// recorded is set if there is a record, even if it says that there is nothing.
	recorded bool
}

func newStates() states {
	return states{initializing: map[wire.UUID]partitions{}, initialized: map[wire.UUID]partitions{}, deleting: map[wire.UUID]string{}}
}

// bytes is about what the record of the states takes.
func (s *states) bytes() int {
	n := 0
	for _, all := range []map[wire.UUID]partitions{s.initializing, s.initialized} {
		for _, t := range all {
			n += t.bytes()
		}
	}
	return n + len(s.deleting)*bytesPerTopic
}

// bytesPerTopic is what a topic takes in a record beside its partitions.
const bytesPerTopic = 300

func (p partitions) bytes() int { return bytesPerTopic + len(p.partitions)*bytesPerPartition }

// ask notes that the partitions are being initialized.
func (s *states) ask(id wire.UUID, asked partitions) {
	asked.partitions = union(s.initializing[id].partitions, asked.partitions)
	s.initializing[id] = asked
	delete(s.deleting, id)
}

// initialize returns the request for the subscribed partitions that are not initialized,
// nil if there are none or they were asked for not long ago.
func (g *Group) initialize(env classic.Env) (*protocol.InitializeShareGroupStateRequest, *refusal) {
	if g.complete || g.refusedMs > 0 && env.NowMs < g.refusedMs+refusedRetryMs {
		return nil, nil
	}
	complete := true
	missing := map[wire.UUID]partitions{}
	bytes := g.state.bytes()
	for _, t := range g.subscribed() {
		have := g.assignable(t)
		if len(have) == int(t.Partitions) {
			continue
		}
		complete = false
		if asked := g.state.initializing[t.ID]; env.NowMs < asked.askedMs+g.around.Config.InitializeRetryIntervalMs {
			have = union(have, asked.partitions)
		}
		if lacking := without(upTo(t.Partitions), have); len(lacking) > 0 {
			missing[t.ID] = partitions{name: t.Name, partitions: lacking, askedMs: env.NowMs}
			bytes += missing[t.ID].bytes()
		}
	}
	g.complete = complete
	if len(missing) == 0 {
		return nil, nil
	}
	if bytes > env.Config.MaxRecordBytes {
		return nil, refuse(protocol.UnknownServerError, "The share partitions of group %s take %d bytes in a record, %d are allowed.", g.id, bytes, env.Config.MaxRecordBytes)
	}
	req := &protocol.InitializeShareGroupStateRequest{GroupId: g.id}
	for _, id := range ids(missing) {
		topic := protocol.InitializeShareGroupStateRequestInitializeStateData{TopicId: id}
		for _, p := range missing[id].partitions {
			topic.Partitions = append(topic.Partitions, protocol.InitializeShareGroupStateRequestPartitionData{
				Partition: p, StateEpoch: g.epoch, StartOffset: -1,
			})
		}
		req.Topics = append(req.Topics, topic)
		g.state.ask(id, missing[id])
	}
	g.writeStates(env)
	return req, nil
}

// Initialized takes in what the share coordinator has answered to a request to
// initialize. What was refused is as if it had not been asked for.
func (g *Group) Initialized(env classic.Env, results []protocol.InitializeShareGroupStateResponseInitializeStateResult) {
	changed := false
	for i := range results {
		r := &results[i]
		asked, ok := g.state.initializing[r.TopicId]
		if !ok {
			continue
		}
		var answered, done []int32
		for j := range r.Partitions {
			p := &r.Partitions[j]
			if _, ok := slices.BinarySearch(asked.partitions, p.Partition); !ok {
				continue
			}
			answered = append(answered, p.Partition)
			if p.ErrorCode == protocol.None {
				done = append(done, p.Partition)
			} else {
				g.refusedMs = env.NowMs
			}
		}
		changed = changed || len(answered) > 0
		if asked.partitions = without(asked.partitions, union(nil, answered)); len(asked.partitions) > 0 {
			g.state.initializing[r.TopicId] = asked
		} else {
			delete(g.state.initializing, r.TopicId)
		}
		if len(done) > 0 {
			g.state.initialized[r.TopicId] = partitions{name: asked.name, partitions: union(g.state.initialized[r.TopicId].partitions, done)}
		}
	}
	if changed {
		g.writeStates(env)
	}
}

// TopicDeleted forgets the partitions of a topic. The share coordinator does the same.
func (g *Group) TopicDeleted(env classic.Env, id wire.UUID) {
	_, initializing := g.state.initializing[id]
	_, initialized := g.state.initialized[id]
	_, deleting := g.state.deleting[id]
	if !initializing && !initialized && !deleting {
		return
	}
	delete(g.state.initializing, id)
	delete(g.state.initialized, id)
	delete(g.state.deleting, id)
	g.writeStates(env)
}

// TopicPartitions are some partitions of a topic.
type TopicPartitions struct {
	ID         wire.UUID
	Partitions []int32
}

// Partitions returns the partitions that are initialized, in the order of their topics'
// ids.
func (g *Group) Partitions() []TopicPartitions {
	out := make([]TopicPartitions, 0, len(g.state.initialized))
	for _, id := range ids(g.state.initialized) {
		out = append(out, TopicPartitions{ID: id, Partitions: g.state.initialized[id].partitions})
	}
	return out
}

// DeleteAll returns the request that deletes what the share coordinator has of a group
// that is to be deleted; nil if there is nothing. confirmed says that what is already
// being deleted is gone.
func (g *Group) DeleteAll(env classic.Env, confirmed bool) *protocol.DeleteShareGroupStateRequest {
	all := map[wire.UUID][]int32{}
	if !confirmed {
		for id := range g.state.deleting {
			if t, ok := g.around.Metadata.TopicByID(id); ok {
				all[id] = upTo(t.Partitions)
			}
		}
	}
	known := len(g.state.initializing) + len(g.state.initialized)
	for _, topics := range []map[wire.UUID]partitions{g.state.initializing, g.state.initialized} {
		for id, t := range topics {
			// Of a topic that is gone, the share coordinator has nothing any more.
			if _, ok := g.around.Metadata.TopicByID(id); ok {
				all[id] = union(all[id], t.partitions)
				g.state.deleting[id] = t.name
			}
		}
		clear(topics)
	}
	if known > 0 {
		g.writeStates(env)
	}
	return g.deleteRequest(all)
}

func (g *Group) deleteRequest(all map[wire.UUID][]int32) *protocol.DeleteShareGroupStateRequest {
	if len(all) == 0 {
		return nil
	}
	req := &protocol.DeleteShareGroupStateRequest{GroupId: g.id}
	for _, id := range ids(all) {
		topic := protocol.DeleteShareGroupStateRequestDeleteStateData{TopicId: id}
		for _, p := range all[id] {
			topic.Partitions = append(topic.Partitions, protocol.DeleteShareGroupStateRequestPartitionData{Partition: p})
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// Deleted takes in that the share coordinator has nothing of these topics any more.
func (g *Group) Deleted(env classic.Env, topics []wire.UUID) {
	before := len(g.state.deleting)
	for _, id := range topics {
		delete(g.state.deleting, id)
	}
	if len(g.state.deleting) < before {
		g.writeStates(env)
	}
}

// upTo returns the partitions of a topic that has n.
func upTo(n int32) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

// union returns what is in a or b, ascending.
func union(a, b []int32) []int32 {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Clip(slices.Compact(out))
}

// without returns what is in a, ascending, and not in b, ascending.
func without(a, b []int32) []int32 {
	out := make([]int32, 0, len(a))
	for _, p := range a {
		for len(b) > 0 && b[0] < p {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != p {
			out = append(out, p)
		}
	}
	return out
}
