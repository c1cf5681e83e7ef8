package share

import (
	"fmt"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// TestScripts plays testdata/*.txt: of each step what was answered until nothing moved any
// more. After every step memory is held against a replay of the log.
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		s := &scene{world: newWorld(t, func(c *Settings) { c.UpdatesPerSnapshot = 3 }), Output: out}
		return func(op, args string) {
			s.step(op, script.Parse(t, args))
			s.Run()
			s.check()
		}
	})
}

type scene struct {
	*world
	*script.Output
}

func told(code protocol.ErrorCode, text *string) string {
	if text == nil {
		return code.String()
	}
	return code.String() + ": " + *text
}

// step plays an operation, of the group that is its first argument.
func (s *scene) step(op string, a script.Args) {
	switch op {
	case "pass":
		s.Advance(a.Number(a.Words[0]))
	case "crash":
		s.crash()
	case "hold-log":
		s.log.Hold()
	case "release-log":
		s.log.Release()
	case "fail-appends":
		s.log.FailAppends(protocol.NotEnoughReplicas)
	case "heal-appends":
		s.log.FailAppends(nil)
	case "delete-topic":
		s.c.OnTopicsDeleted([]protocol.UUID{testTopic})
	case "log":
		for p := range int32(testPartitions) {
			start, end, err := s.log.Range(p)
			s.Say("partition %d has %d to %d, %v", p, start, end, err)
		}
	default:
		s.ask(op, a)
	}
}

func (s *scene) ask(op string, a script.Args) {
	group, partition, ctx := a.Words[0], int32(a.Num("partition", 0)), runtime.Context{Version: 1}
	topic := testTopic
	topic[0] = byte(a.Num("topic", 1))
	state, leader, start := int32(a.Num("state", -1)), int32(a.Num("leader", -1)), a.Num("start", -1)
	switch op {
	case "initialize":
		req := &protocol.InitializeShareGroupStateRequest{GroupId: group, Topics: []protocol.InitializeShareGroupStateRequestInitializeStateData{{
			TopicId: topic, Partitions: []protocol.InitializeShareGroupStateRequestPartitionData{{Partition: partition, StateEpoch: state, StartOffset: start}},
		}}}
		s.c.InitializeShareGroupState(ctx, req, func(r *protocol.InitializeShareGroupStateResponse) {
			p := &r.Results[0].Partitions[0]
			s.Say("%s", told(p.ErrorCode, p.ErrorMessage))
		})
	case "read":
		req := &protocol.ReadShareGroupStateRequest{GroupId: group, Topics: []protocol.ReadShareGroupStateRequestReadStateData{{
			TopicId: topic, Partitions: []protocol.ReadShareGroupStateRequestPartitionData{{Partition: partition, LeaderEpoch: leader}},
		}}}
		s.c.ReadShareGroupState(ctx, req, func(r *protocol.ReadShareGroupStateResponse) {
			p := &r.Results[0].Partitions[0]
			text := ""
			for _, b := range p.StateBatches {
				text += fmt.Sprintf(" %d-%d:%d:%d", b.FirstOffset, b.LastOffset, b.DeliveryState, b.DeliveryCount)
			}
			s.Say("%s state=%d start=%d%s", told(p.ErrorCode, p.ErrorMessage), p.StateEpoch, p.StartOffset, text)
		})
	case "write":
		data := protocol.WriteShareGroupStateRequestPartitionData{
			Partition: partition, StateEpoch: state, LeaderEpoch: leader, StartOffset: start, DeliveryCompleteCount: int32(a.Num("complete", 0)),
		}
		for _, w := range a.Words[1:] {
			data.StateBatches = append(data.StateBatches, batch(a, w))
		}
		req := &protocol.WriteShareGroupStateRequest{GroupId: group, Topics: []protocol.WriteShareGroupStateRequestWriteStateData{{
			TopicId: topic, Partitions: []protocol.WriteShareGroupStateRequestPartitionData{data},
		}}}
		s.c.WriteShareGroupState(ctx, req, func(r *protocol.WriteShareGroupStateResponse) {
			p := &r.Results[0].Partitions[0]
			s.Say("%s", told(p.ErrorCode, p.ErrorMessage))
		})
	case "delete":
		req := &protocol.DeleteShareGroupStateRequest{GroupId: group, Topics: []protocol.DeleteShareGroupStateRequestDeleteStateData{{
			TopicId: topic, Partitions: []protocol.DeleteShareGroupStateRequestPartitionData{{Partition: partition}},
		}}}
		s.c.DeleteShareGroupState(ctx, req, func(r *protocol.DeleteShareGroupStateResponse) {
			p := &r.Results[0].Partitions[0]
			s.Say("%s", told(p.ErrorCode, p.ErrorMessage))
		})
	case "summary":
		req := &protocol.ReadShareGroupStateSummaryRequest{GroupId: group, Topics: []protocol.ReadShareGroupStateSummaryRequestReadStateSummaryData{{
			TopicId: topic, Partitions: []protocol.ReadShareGroupStateSummaryRequestPartitionData{{Partition: partition, LeaderEpoch: leader}},
		}}}
		s.c.ReadShareGroupStateSummary(ctx, req, func(r *protocol.ReadShareGroupStateSummaryResponse) {
			p := &r.Results[0].Partitions[0]
			s.Say("%s state=%d leader=%d start=%d complete=%d", told(p.ErrorCode, p.ErrorMessage), p.StateEpoch, p.LeaderEpoch, p.StartOffset, p.DeliveryCompleteCount)
		})
	default:
		a.Fatalf("unknown step %q", op)
	}
}

// batch reads "10-19:2:1": offsets, state, deliveries.
func batch(a script.Args, text string) protocol.WriteShareGroupStateRequestStateBatch {
	parts := strings.Split(text, ":")
	first, last, _ := strings.Cut(parts[0], "-")
	return protocol.WriteShareGroupStateRequestStateBatch{
		FirstOffset: a.Number(first), LastOffset: a.Number(last), DeliveryState: int8(a.Number(parts[1])), DeliveryCount: int16(a.Number(parts[2])),
	}
}
