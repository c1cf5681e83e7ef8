package share

import (
	"maps"
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// What tools print for an error.
const (
	notEmptyMessage     = "The group is not empty."
	unknownTopicMessage = "This server does not host this topic-partition."
	noOffsetsMessage    = "There is no offset information to delete."
)

// Alter handles an AlterShareGroupOffsets request and writes what is to be answered if
// the share coordinator agrees to the request that is returned; nil: there is nothing to
// ask.
func (g *Group) Alter(env classic.Env, req *protocol.AlterShareGroupOffsetsRequest, res *protocol.AlterShareGroupOffsetsResponse) *protocol.InitializeShareGroupStateRequest {
	if !g.Empty() {
		message := notEmptyMessage
		res.ErrorCode, res.ErrorMessage = protocol.NonEmptyGroup, &message
		return nil
	}
	ask := &protocol.InitializeShareGroupStateRequest{GroupId: g.id}
	bytes := g.state.bytes()
	asked := map[wire.UUID]partitions{}
	res.Responses = make([]protocol.AlterShareGroupOffsetsResponseTopic, len(req.Topics))
	for i := range req.Topics {
		topic, out := &req.Topics[i], &res.Responses[i]
		t, _ := g.around.Metadata.Topic(topic.TopicName)
		out.TopicName, out.TopicId = topic.TopicName, t.ID
		offsets := map[int32]int64{}
		for _, p := range topic.Partitions {
			part := protocol.AlterShareGroupOffsetsResponsePartition{PartitionIndex: p.PartitionIndex}
			if p.PartitionIndex >= 0 && p.PartitionIndex < t.Partitions {
				offsets[p.PartitionIndex] = p.StartOffset
			} else {
				message := unknownTopicMessage
				part.ErrorCode, part.ErrorMessage = protocol.UnknownTopicOrPartition, &message
			}
			out.Partitions = append(out.Partitions, part)
		}
		if len(offsets) == 0 {
			continue
		}
		data := protocol.InitializeShareGroupStateRequestInitializeStateData{TopicId: t.ID}
		for _, p := range slices.Sorted(maps.Keys(offsets)) {
			data.Partitions = append(data.Partitions, protocol.InitializeShareGroupStateRequestPartitionData{
				Partition: p, StateEpoch: g.epoch, StartOffset: offsets[p],
			})
		}
		ask.Topics = append(ask.Topics, data)
		asked[t.ID] = partitions{name: t.Name, partitions: union(asked[t.ID].partitions, slices.Collect(maps.Keys(offsets))), askedMs: env.NowMs}
		bytes += asked[t.ID].bytes()
	}
	if len(ask.Topics) == 0 {
		return nil
	}
	if bytes > env.Config.MaxRecordBytes {
		*res = protocol.AlterShareGroupOffsetsResponse{ErrorCode: protocol.UnknownServerError}
		return nil
	}
	for id, p := range asked {
		g.state.ask(id, p)
	}
	g.writeStates(env)
	return ask
}

// DeleteOffsets handles a DeleteShareGroupOffsets request. It writes the topics for which
// there is nothing to delete into the response and returns what the share coordinator is
// to be asked for the others; nil: nothing.
func (g *Group) DeleteOffsets(env classic.Env, req *protocol.DeleteShareGroupOffsetsRequest, res *protocol.DeleteShareGroupOffsetsResponse) *protocol.DeleteShareGroupStateRequest {
	if !g.Empty() {
		message := notEmptyMessage
		res.ErrorCode, res.ErrorMessage = protocol.NonEmptyGroup, &message
		return nil
	}
	if !g.state.recorded {
		return nil
	}
	all := map[wire.UUID][]int32{}
	changed := false
	for i := range req.Topics {
		name := req.Topics[i].TopicName
		t, ok := g.around.Metadata.Topic(name)
		if _, twice := all[t.ID]; twice {
			continue
		}
		initialized, has := g.state.initialized[t.ID]
		_, deleting := g.state.deleting[t.ID]
		message := noOffsetsMessage
		switch {
		case !ok:
			message = unknownTopicMessage
			fallthrough
		case !has && !deleting:
			res.Responses = append(res.Responses, protocol.DeleteShareGroupOffsetsResponseTopic{
				TopicName: name, ErrorCode: protocol.UnknownTopicOrPartition, ErrorMessage: &message,
			})
		case has:
			all[t.ID] = initialized.partitions
			delete(g.state.initialized, t.ID)
			g.state.deleting[t.ID] = t.Name
			changed = true
		default: // an earlier request has not come to its end
			all[t.ID] = upTo(t.Partitions)
		}
	}
	if changed {
		g.writeStates(env)
	}
	return g.deleteRequest(all)
}
