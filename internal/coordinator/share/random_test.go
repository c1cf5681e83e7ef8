package share

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// TestCombineKeepsTheHighestRankOfEachOffset holds combine against every offset apart.
func TestCombineKeepsTheHighestRankOfEachOffset(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var batches []Batch
		want := map[int64]Batch{}
		start := rng.Int64N(10)
		for range rng.IntN(8) {
			first := rng.Int64N(30)
			b := Batch{first, first + rng.Int64N(12), []int8{0, 2, 4}[rng.IntN(3)], int16(rng.IntN(3))}
			batches = append(batches, b)
			for o := max(b.FirstOffset, start); o <= b.LastOffset; o++ {
				if w, ok := want[o]; !ok || b.outranks(w) {
					want[o] = b
				}
			}
		}
		got, before, n := combine(batches, start), Batch{LastOffset: -9}, 0
		for _, b := range got {
			if b.FirstOffset <= before.LastOffset || b.LastOffset < b.FirstOffset || b.FirstOffset == before.LastOffset+1 && b.rank(before) == 0 {
				t.Fatalf("seed %d: %v after %v", seed, b, before)
			}
			for o := b.FirstOffset; o <= b.LastOffset; o++ {
				if w, ok := want[o]; !ok || w.rank(b) != 0 {
					t.Fatalf("seed %d: offset %d is %v, should be %v of %v", seed, o, b, w, batches)
				}
				n++
			}
			before = b
		}
		if n != len(want) {
			t.Fatalf("seed %d: %d offsets of %d in %v", seed, n, len(want), got)
		}
	}
}

// TestMemoryIsWhatAReplayGives lets leaders write anything at any time while writes fail,
// old records are deleted and the coordinator crashes. After every step memory must be
// what a replay of the rest of the log gives.
func TestMemoryIsWhatAReplayGives(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, func(s *Settings) { s.UpdatesPerSnapshot = rng.Int32N(5) })
			s := &scene{world: w}
			for range 120 {
				group, partition := []string{"a", "b", "c:d"}[rng.IntN(3)], rng.IntN(3)
				switch rng.IntN(12) {
				case 0, 1:
					s.step("initialize", script.Parse(t, fmt.Sprintf("%s partition=%d state=%d start=%d", group, partition, rng.IntN(4), rng.IntN(3)-1)))
				case 2:
					s.step("delete", script.Parse(t, fmt.Sprintf("%s partition=%d", group, partition)))
				case 3:
					s.step("read", script.Parse(t, fmt.Sprintf("%s partition=%d leader=%d", group, partition, rng.IntN(4))))
				case 4:
					w.log.FailAppends(protocol.NotEnoughReplicas)
				case 5:
					w.log.FailAppends(nil)
				case 6:
					w.crash()
				case 7:
					w.Advance(rng.Int64N(400_000))
				default:
					first := rng.IntN(40)
					s.step("write", script.Parse(t, fmt.Sprintf("%s partition=%d leader=%d start=%d complete=%d %d-%d:%d:%d", group, partition, rng.IntN(4), rng.IntN(20)-1,
						rng.IntN(9), first, first+rng.IntN(9), []int{0, 2, 4}[rng.IntN(3)], rng.IntN(4))))
				}
				w.Run()
				w.check()
			}
		})
	}
}
