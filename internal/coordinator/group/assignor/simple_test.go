package assignor

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// all says that every partition may be assigned.
func all(s *Spec) [][]int32 {
	out := make([][]int32, len(s.Topics))
	for i, t := range s.Topics {
		for p := range t.Partitions {
			out[i] = append(out[i], p)
		}
	}
	return out
}

func TestSimpleSharesPartitionsAmongMoreMembers(t *testing.T) {
	s := &Spec{Topics: topics(2), Members: []Member{{Topics: []int{0}}, {Topics: []int{0}}, {Topics: []int{0}}, {Topics: []int{0}}}}
	want := []Assignment{{id(0): {0}}, {id(0): {0}}, {id(0): {1}}, {id(0): {1}}}
	if d := cmp.Diff(want, Simple(s, all(s))); d != "" {
		t.Error(d)
	}
	s.Members = s.Members[:3] // each of the two partitions goes to two, one member has both
	want = []Assignment{{id(0): {0, 1}}, {id(0): {0}}, {id(0): {1}}}
	if d := cmp.Diff(want, Simple(s, all(s))); d != "" {
		t.Error(d)
	}
}

func TestSimpleAssignsOnlyWhatItMay(t *testing.T) {
	s := &Spec{Topics: topics(4, 2), Members: []Member{{Topics: []int{0, 1}, Previous: Assignment{id(0): {0, 1}, id(9): {0}}}}}
	if d := cmp.Diff([]Assignment{{id(0): {1, 3}}}, Simple(s, [][]int32{{1, 3}, nil})); d != "" {
		t.Error(d)
	}
}

func TestSimpleTakesNoMoreThanANewMemberGets(t *testing.T) {
	s := &Spec{Topics: topics(6), Members: []Member{{Topics: []int{0}, Previous: Assignment{id(0): {0, 1, 2, 3, 4, 5}}}, {Topics: []int{0}}}}
	if d := cmp.Diff([]Assignment{{id(0): {0, 1, 2}}, {id(0): {3, 4, 5}}}, Simple(s, all(s))); d != "" {
		t.Error(d)
	}
}

func TestSimpleWithNobodyAndNothing(t *testing.T) {
	s := &Spec{Topics: topics(2)}
	if got := Simple(s, all(s)); len(got) != 0 {
		t.Errorf("without members: %v", got)
	}
	for _, s := range []*Spec{{Members: []Member{{}}}, {Topics: topics(0), Members: []Member{{Topics: []int{0}}}}} {
		if got := Simple(s, all(s)); len(got) != 1 || len(got[0]) != 0 {
			t.Errorf("without partitions: %v", got)
		}
	}
}

// TestSimpleOfRandomGroups checks what must hold of every assignment, over groups that
// change.
func TestSimpleOfRandomGroups(t *testing.T) {
	const seed = 12
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for round := range 3000 {
		s := Spec{Members: make([]Member, 1+rnd.IntN(12))}
		for i := range 1 + rnd.IntN(4) {
			s.Topics = append(s.Topics, Topic{ID: id(i), Partitions: rnd.Int32N(9)})
		}
		same := rnd.IntN(2) == 0
		for m := range s.Members {
			for i := range s.Topics {
				if same || rnd.IntN(2) == 0 {
					s.Members[m].Topics = append(s.Members[m].Topics, i)
				}
			}
		}
		may := all(&s)
		for i := range may {
			may[i] = slices.DeleteFunc(may[i], func(int32) bool { return rnd.IntN(5) == 0 })
		}
		for range 4 {
			got := Simple(&s, may)
			checkShared(t, round, &s, may, got)
			for m := range s.Members {
				s.Members[m].Previous = got[m]
			}
			if d := cmp.Diff(got, Simple(&s, may)); d != "" {
				t.Fatalf("round %d: partitions move although nothing changed: %s", round, d)
			}
			switch rnd.IntN(3) {
			case 0:
				at := rnd.IntN(len(s.Members) + 1)
				s.Members = slices.Insert(s.Members, at, Member{Topics: s.Members[0].Topics})
			case 1:
				if at := rnd.IntN(len(s.Members)); len(s.Members) > 1 {
					s.Members = slices.Delete(s.Members, at, at+1)
				}
			case 2:
				may = all(&s)
			}
		}
	}
}

// checkShared fails unless every partition has a subscriber of its topic, each once, no
// member has more than one partition more than others with the same subscription, and
// nobody is left without a partition that could have one.
func checkShared(t *testing.T, round int, s *Spec, may [][]int32, got []Assignment) {
	t.Helper()
	for i, members := range subscribers(s) {
		holders := map[int32]int{}
		for m := range got {
			partitions := got[m][s.Topics[i].ID]
			if !slices.IsSorted(partitions) || len(slices.Compact(slices.Clone(partitions))) != len(partitions) {
				t.Fatalf("round %d: member %d got %v", round, m, partitions)
			}
			if len(partitions) > 0 && !slices.Contains(members, m) {
				t.Fatalf("round %d: member %d got topic %d without asking", round, m, i)
			}
			for _, p := range partitions {
				holders[p]++
			}
		}
		for _, p := range may[i] {
			if holders[p] == 0 && len(members) > 0 {
				t.Fatalf("round %d: nobody has partition %d of topic %d", round, p, i)
			}
			delete(holders, p)
		}
		if len(holders) > 0 {
			t.Fatalf("round %d: partitions %v of topic %d must not be assigned", round, holders, i)
		}
	}
	if !homogeneous(s) {
		return
	}
	total := 0
	for _, t := range s.Members[0].Topics {
		total += len(may[t])
	}
	least, most := got[0].Partitions(), got[0].Partitions()
	for m := range got {
		least, most = min(least, got[m].Partitions()), max(most, got[m].Partitions())
	}
	if total > 0 && least == 0 || most-least > 1 {
		t.Fatalf("round %d: members have between %d and %d of %d partitions", round, least, most, total)
	}
}

func BenchmarkSimple(b *testing.B) {
	for name, partitions := range map[string]int32{"more partitions": 2000, "more members": 10} {
		b.Run(name, func(b *testing.B) {
			s := &Spec{Topics: topics(partitions), Members: make([]Member, 1000)}
			for m := range s.Members {
				s.Members[m].Topics = []int{0}
			}
			may := all(s)
			for i, a := range Simple(s, may)[1:] {
				s.Members[i].Previous = a // one has gone, one has come
			}
			b.ReportAllocs()
			for b.Loop() {
				Simple(s, may)
			}
		})
	}
}
