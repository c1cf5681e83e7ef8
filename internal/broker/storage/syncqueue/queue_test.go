package syncqueue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLogsThatShareGatherWhileASharedTurnRuns(t *testing.T) {
	var q Queue[string]
	if !q.Ask("a", false) {
		t.Error("the first log finds no worker")
	}
	first := q.Next()
	for _, k := range []string{"b", "c", "a", "b"} {
		if q.Ask(k, false) {
			t.Errorf("%s wants a worker although a shared turn runs", k)
		}
	}
	if !q.Ask("d", true) {
		t.Error("a log with a turn of its own waits for the shared one")
	}
	if got := fmt.Sprint(first.Logs, q.Next().Logs, q.Next().Logs); got != "[a] [d] []" {
		t.Errorf("turns %s", got)
	}
	q.Done(first, nil)
	if second := q.Next(); !slices.Equal(second.Logs, []string{"b", "c", "a"}) {
		t.Errorf("the second turn has %v", second.Logs)
	} else if q.Done(second, []string{"c"}) != 1 {
		t.Error("a log that was left out finds no worker")
	}
	if got := q.Next().Logs; !slices.Equal(got, []string{"c"}) {
		t.Errorf("after it come %v", got)
	}
}

// Whatever is asked for gets a turn that begins afterwards, no log has two at once,
// and a turn that must be a log's own is.
func TestEveryRequestIsCoveredByALaterTurn(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	var q Queue[int]
	asked, owed := map[int]bool{}, map[int]bool{}
	var turns []Turn[int]
	workers := 0
	step := func(i int) {
		switch rng.IntN(4) {
		case 0, 1:
			k, own := rng.IntN(6), rng.IntN(3) == 0
			asked[k], owed[k] = true, owed[k] || own
			if q.Ask(k, own) {
				workers++
			}
		case 2:
			if workers == 0 {
				return
			}
			next := q.Next()
			if len(next.Logs) == 0 {
				workers--
				return
			}
			workers--
			for _, k := range next.Logs {
				for _, other := range turns {
					if slices.Contains(other.Logs, k) {
						t.Fatalf("seed %d, step %d: %d has two turns", seed, i, k)
					}
				}
				if len(next.Logs) > 1 && owed[k] {
					t.Fatalf("seed %d, step %d: %d shares a turn", seed, i, k)
				}
				asked[k], owed[k] = false, false
			}
			turns = append(turns, next)
		default:
			if len(turns) == 0 {
				return
			}
			done := turns[0]
			turns = turns[1:]
			var rest []int
			for _, k := range done.Logs {
				if len(done.Logs) > 1 && rng.IntN(4) == 0 {
					rest = append(rest, k)
					asked[k], owed[k] = true, true
				}
			}
			workers += 1 + q.Done(done, rest) // the worker looks for more
		}
	}
	for i := range 20_000 {
		step(i)
	}
	for range 100 {
		for len(turns) > 0 {
			workers += 1 + q.Done(turns[0], nil)
			turns = turns[1:]
		}
		for ; workers > 0; workers-- {
			if next := q.Next(); len(next.Logs) > 0 {
				turns = append(turns, next)
				for _, k := range next.Logs {
					asked[k] = false
				}
			}
		}
	}
	for k, open := range asked {
		if open {
			t.Errorf("seed %d: %d was never synced", seed, k)
		}
	}
}
