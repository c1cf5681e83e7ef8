package group

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// stage is TxnOffsetCommit: producer=7:0, topic-partition:offset…; refuse=CODE is what
// the transaction coordinator says.
func (s *scene) stage(a script.Args) {
	req := &protocol.TxnOffsetCommitRequest{}
	req.SetDefaults()
	req.TransactionalId, req.GroupId = "id", a.Str("group", "g")
	req.ProducerId, req.ProducerEpoch = producerOf(a)
	req.MemberId, req.GenerationId, req.GroupInstanceId = a.Str("member", ""), int32(a.Num("generation", -1)), a.Opt("instance")
	for _, x := range a.Words {
		topic, partition, offset := splitOffset(a, x)
		req.Topics = append(req.Topics, protocol.TxnOffsetCommitRequestTopic{Name: topic, Partitions: []protocol.TxnOffsetCommitRequestPartition{{
			PartitionIndex: partition, CommittedOffset: offset, CommittedLeaderEpoch: -1, CommittedMetadata: a.Opt("metadata"),
		}}})
	}
	verify := func(_ int32, done func(protocol.ErrorCode)) {
		if a.Str("overtaken", "") != "" {
			s.endTxn(a) // the transaction ends while it is verified
		}
		done(codeNamed(a.Str("refuse", "NONE")))
	}
	s.c.TxnOffsetCommit(ctx("c", int16(a.Num("v", 3))), req, verify, func(r *protocol.TxnOffsetCommitResponse) {
		codes := []string{}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, fmt.Sprintf("%s-%d:%s", t.Name, p.PartitionIndex, p.ErrorCode))
			}
		}
		s.Say("staged %s", strings.Join(codes, " "))
	})
}

func codeNamed(name string) protocol.ErrorCode {
	for code := protocol.ErrorCode(-1); code < 140; code++ {
		if code.String() == name {
			return code
		}
	}
	return protocol.UnknownServerError
}

func producerOf(a script.Args) (id int64, epoch int16) {
	if _, err := fmt.Sscanf(a.Str("producer", "7:0"), "%d:%d", &id, &epoch); err != nil {
		a.Fatal(err)
	}
	return id, epoch
}

// endTxn is a marker: producer=7:0 outcome=commit coordinator=0 version=0.
func (s *scene) endTxn(a script.Args) {
	id, epoch := producerOf(a)
	s.c.EndTransaction(s.c.PartitionFor(a.Str("group", "g")), End{
		ProducerID: id, ProducerEpoch: epoch, CoordinatorEpoch: int32(a.Num("coordinator", 0)),
		Commit: a.Str("outcome", "commit") == "commit", Version: int16(a.Num("version", 0)),
		Done: func(code protocol.ErrorCode) { s.Say("ended %s", code) },
	})
}

// TestOffsetsOfTransactionsAreWhatAReplayGives mixes transactions of several producers
// with plain commits of the same offsets, expiry and crashes. After every step memory
// must be what a replay of the log, and of the compacted log, gives; and what counts in
// the end is what the last marker or plain commit said.
func TestOffsetsOfTransactionsAreWhatAReplayGives(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			s := &scene{world: newWorld(t, nil)}
			staged := map[int]map[string]int{}
			want := map[string]int{}
			for step := range 80 {
				producer, place := rng.IntN(3), fmt.Sprintf("t-%d", rng.IntN(2))
				switch rng.IntN(6) {
				case 0:
					s.step("commit", script.Parse(t, fmt.Sprintf("%s:%d", place, step)))
					want[place] = step
				case 1:
					commit := rng.IntN(2) == 0
					s.step("end-txn", script.Parse(t, fmt.Sprintf("producer=%d:0 outcome=%s", producer, map[bool]string{true: "commit", false: "abort"}[commit])))
					for p, offset := range staged[producer] {
						if commit {
							want[p] = offset
						}
					}
					delete(staged, producer)
				case 2:
					if rng.IntN(4) == 0 {
						s.crash()
					}
				default:
					s.step("txn-commit", script.Parse(t, fmt.Sprintf("producer=%d:0 %s:%d", producer, place, step)))
					if staged[producer] == nil {
						staged[producer] = map[string]int{}
					}
					staged[producer][place] = step
				}
				s.Run()
				s.check()
			}
			for place, offset := range want {
				topic, partition, _ := splitOffset(script.Args{TB: t}, place)
				got, _ := s.cores[s.c.PartitionFor("g")].offsets.Get("g", topic, partition)
				if got.Offset != int64(offset) {
					t.Errorf("seed %d: %s is %d, want %d", seed, place, got.Offset, offset)
				}
			}
		})
	}
}
