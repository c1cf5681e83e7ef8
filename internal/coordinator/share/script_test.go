package share

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the scripts in testdata with what happens")

// TestScripts plays testdata/*.txt: each line is a step, and indented is what came of it.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			switch {
			case got == string(want):
			case *rewrite:
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s goes another way; it would now read:\n%s", file, got)
			}
		})
	}
}

type script struct {
	*world
	out strings.Builder
}

func play(t *testing.T, text string) string {
	s := &script{world: newWorld(t, func(c *Settings) { c.UpdatesPerSnapshot = 3 })}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		s.out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		s.step(strings.Fields(line))
		s.Run()
		s.check()
	}
	return s.out.String()
}

func (s *script) say(format string, values ...any) { fmt.Fprintf(&s.out, "  "+format+"\n", values...) }

func (s *script) num(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// arg returns the number behind name=, or otherwise.
func (s *script) arg(words []string, name string, otherwise int64) int64 {
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			return s.num(v)
		}
	}
	return otherwise
}

func told(code protocol.ErrorCode, text *string) string {
	if text == nil {
		return code.String()
	}
	return code.String() + ": " + *text
}

// step plays one line: an operation, the group, and what else it needs.
func (s *script) step(words []string) {
	switch words[0] {
	case "pass":
		s.Advance(s.num(words[1]))
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
			s.say("partition %d has %d to %d, %v", p, start, end, err)
		}
	default:
		s.ask(words)
	}
}

func (s *script) ask(words []string) {
	group, partition, ctx := words[1], int32(s.arg(words, "partition", 0)), runtime.Context{Version: 1}
	topic := testTopic
	topic[0] = byte(s.arg(words, "topic", 1))
	state, leader, start := int32(s.arg(words, "state", -1)), int32(s.arg(words, "leader", -1)), s.arg(words, "start", -1)
	switch words[0] {
	case "initialize":
		req := &protocol.InitializeShareGroupStateRequest{GroupId: group, Topics: []protocol.InitializeShareGroupStateRequestInitializeStateData{{
			TopicId: topic, Partitions: []protocol.InitializeShareGroupStateRequestPartitionData{{Partition: partition, StateEpoch: state, StartOffset: start}},
		}}}
		s.c.InitializeShareGroupState(ctx, req, func(r *protocol.InitializeShareGroupStateResponse) {
			p := &r.Results[0].Partitions[0]
			s.say("%s", told(p.ErrorCode, p.ErrorMessage))
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
			s.say("%s state=%d start=%d%s", told(p.ErrorCode, p.ErrorMessage), p.StateEpoch, p.StartOffset, text)
		})
	case "write":
		data := protocol.WriteShareGroupStateRequestPartitionData{
			Partition: partition, StateEpoch: state, LeaderEpoch: leader, StartOffset: start, DeliveryCompleteCount: int32(s.arg(words, "complete", 0)),
		}
		for _, w := range words[2:] {
			if !strings.Contains(w, "=") {
				data.StateBatches = append(data.StateBatches, s.batch(w))
			}
		}
		req := &protocol.WriteShareGroupStateRequest{GroupId: group, Topics: []protocol.WriteShareGroupStateRequestWriteStateData{{
			TopicId: topic, Partitions: []protocol.WriteShareGroupStateRequestPartitionData{data},
		}}}
		s.c.WriteShareGroupState(ctx, req, func(r *protocol.WriteShareGroupStateResponse) {
			p := &r.Results[0].Partitions[0]
			s.say("%s", told(p.ErrorCode, p.ErrorMessage))
		})
	case "delete":
		req := &protocol.DeleteShareGroupStateRequest{GroupId: group, Topics: []protocol.DeleteShareGroupStateRequestDeleteStateData{{
			TopicId: topic, Partitions: []protocol.DeleteShareGroupStateRequestPartitionData{{Partition: partition}},
		}}}
		s.c.DeleteShareGroupState(ctx, req, func(r *protocol.DeleteShareGroupStateResponse) {
			p := &r.Results[0].Partitions[0]
			s.say("%s", told(p.ErrorCode, p.ErrorMessage))
		})
	case "summary":
		req := &protocol.ReadShareGroupStateSummaryRequest{GroupId: group, Topics: []protocol.ReadShareGroupStateSummaryRequestReadStateSummaryData{{
			TopicId: topic, Partitions: []protocol.ReadShareGroupStateSummaryRequestPartitionData{{Partition: partition, LeaderEpoch: leader}},
		}}}
		s.c.ReadShareGroupStateSummary(ctx, req, func(r *protocol.ReadShareGroupStateSummaryResponse) {
			p := &r.Results[0].Partitions[0]
			s.say("%s state=%d leader=%d start=%d complete=%d", told(p.ErrorCode, p.ErrorMessage), p.StateEpoch, p.LeaderEpoch, p.StartOffset, p.DeliveryCompleteCount)
		})
	default:
		s.t.Fatalf("unknown step %q", words[0])
	}
}

// batch reads "10-19:2:1": offsets, state, deliveries.
func (s *script) batch(text string) protocol.WriteShareGroupStateRequestStateBatch {
	parts := strings.Split(text, ":")
	first, last, _ := strings.Cut(parts[0], "-")
	return protocol.WriteShareGroupStateRequestStateBatch{
		FirstOffset: s.num(first), LastOffset: s.num(last), DeliveryState: int8(s.num(parts[1])), DeliveryCount: int16(s.num(parts[2])),
	}
}
