package assignor

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

func id(n int) wire.UUID { return wire.UUID{15: byte(n + 1)} }

func topics(partitions ...int32) []Topic {
	var out []Topic
	for i, n := range partitions {
		out = append(out, Topic{ID: id(i), Partitions: n})
	}
	return out
}

func TestRangeGivesTheSamePiecesOfEqualTopics(t *testing.T) {
	got := Range(&Spec{Topics: topics(5, 5), Members: []Member{{Topics: []int{0, 1}}, {Topics: []int{0, 1}}}})
	want := []Assignment{{id(0): {0, 1, 2}, id(1): {0, 1, 2}}, {id(0): {3, 4}, id(1): {3, 4}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRangeCutsATopicForItsSubscribersOnly(t *testing.T) {
	got := Range(&Spec{Topics: topics(2, 3), Members: []Member{{Topics: []int{0}}, {Topics: []int{0, 1}}, {Topics: []int{1}}, {}}})
	want := []Assignment{{id(0): {0}}, {id(0): {1}, id(1): {0, 1}}, {id(1): {2}}, {}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUniformSpreadsATopicOverTheMembers(t *testing.T) {
	got := Uniform(&Spec{Topics: topics(3, 4), Members: []Member{{Topics: []int{0, 1}}, {Topics: []int{0, 1}}}})
	want := []Assignment{{id(0): {0, 2}, id(1): {1, 3}}, {id(0): {1}, id(1): {0, 2}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUniformTakesFromAMemberOnlyWhatANewOneGets(t *testing.T) {
	before := Assignment{id(0): {0, 1, 2, 3, 4}}
	got := Uniform(&Spec{Topics: topics(5), Members: []Member{{Topics: []int{0}}, {Topics: []int{0}, Previous: before}}})
	want := []Assignment{{id(0): {3, 4}}, {id(0): {0, 1, 2}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhatIsGoneIsNotKept(t *testing.T) {
	before := Assignment{id(0): {-1, 0, 1, 2}, id(7): {0}}
	for _, assign := range []Func{Uniform, Range} {
		got := assign(&Spec{Topics: topics(2), Members: []Member{{Topics: []int{0}, Previous: before}}})
		if d := cmp.Diff([]Assignment{{id(0): {0, 1}}}, got); d != "" {
			t.Error(d)
		}
	}
}

func TestNobodyAndNothingAreAssigned(t *testing.T) {
	for _, assign := range []Func{Uniform, Range} {
		if got := assign(&Spec{Topics: topics(2)}); len(got) != 0 {
			t.Errorf("without members: %v", got)
		}
		if got := assign(&Spec{Members: []Member{{}}}); len(got) != 1 || len(got[0]) != 0 {
			t.Errorf("without topics: %v", got)
		}
	}
}

// TestRandomGroups checks what must hold of every assignment, over groups that change.
func TestRandomGroups(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for round := range 2000 {
		s := Spec{}
		for i := range rnd.IntN(6) {
			s.Topics = append(s.Topics, Topic{ID: id(i), Partitions: rnd.Int32N(12)})
		}
		s.Members = make([]Member, 1+rnd.IntN(8))
		same := rnd.IntN(2) == 0
		for m := range s.Members {
			for i := range s.Topics {
				if same || rnd.IntN(2) == 0 {
					s.Members[m].Topics = append(s.Members[m].Topics, i)
				}
			}
		}
		for name, assign := range map[string]Func{"uniform": Uniform, "range": Range} {
			first := assign(&s)
			check(t, fmt.Sprintf("round %d %s", round, name), &s, first)
			again := s
			again.Members = append([]Member(nil), s.Members...)
			for m := range again.Members {
				again.Members[m].Previous = first[m]
			}
			if d := cmp.Diff(first, assign(&again)); d != "" {
				t.Fatalf("round %d: %s moves partitions although nothing changed: %s", round, name, d)
			}
			if name == "uniform" {
				checkEven(t, &s, first)
				gone := again
				gone.Members = again.Members[1:]
				after := Uniform(&gone)
				check(t, fmt.Sprintf("round %d after a leave", round), &gone, after)
				checkEven(t, &gone, after)
			}
		}
	}
}

func check(t *testing.T, what string, s *Spec, got []Assignment) {
	t.Helper()
	for i, topic := range s.Topics {
		members := subscribers(s)[i]
		owned := 0
		seen := map[int32]bool{}
		for m := range got {
			for _, p := range got[m][topic.ID] {
				if seen[p] || p < 0 || p >= topic.Partitions {
					t.Fatalf("%s: partition %d of topic %d is given twice or is not there", what, p, i)
				}
				seen[p] = true
				owned++
			}
		}
		for m := range got {
			subscribed := false
			for _, x := range members {
				subscribed = subscribed || x == m
			}
			if !subscribed && len(got[m][topic.ID]) > 0 {
				t.Fatalf("%s: member %d got topic %d without asking", what, m, i)
			}
		}
		if len(members) > 0 && owned != int(topic.Partitions) {
			t.Fatalf("%s: %d of %d partitions of topic %d are assigned", what, owned, topic.Partitions, i)
		}
	}
}

// checkEven fails if moving one partition would make it more even.
func checkEven(t *testing.T, s *Spec, got []Assignment) {
	t.Helper()
	for i, members := range subscribers(s) {
		for _, from := range members {
			for _, to := range members {
				if len(got[from][s.Topics[i].ID]) > 0 && got[from].Partitions() > got[to].Partitions()+1 {
					t.Fatalf("member %d has %d partitions and member %d has %d, both may have topic %d",
						from, got[from].Partitions(), to, got[to].Partitions(), i)
				}
			}
		}
	}
}

func BenchmarkUniform(b *testing.B) {
	for _, kind := range []string{"same subscriptions", "different subscriptions"} {
		b.Run(kind, func(b *testing.B) {
			s := Spec{Topics: topics(500, 500)}
			for m := range 1000 {
				member := Member{Topics: []int{0, 1}}
				if m%2 == 0 && kind[0] == 'd' {
					member.Topics = []int{0}
				}
				s.Members = append(s.Members, member)
			}
			b.ReportAllocs()
			for b.Loop() {
				Uniform(&s)
			}
		})
	}
}
