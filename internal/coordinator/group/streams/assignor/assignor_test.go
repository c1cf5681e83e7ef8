package assignor

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tasks(subtopology string, partitions ...int32) []Task {
	var out []Task
	for _, p := range partitions {
		out = append(out, Task{subtopology, p})
	}
	return out
}

func TestANewMemberGetsItsShareAndTheOthersKeepTheRest(t *testing.T) {
	got := Assign(&Spec{
		Members:       []Member{{Process: "p", Previous: Assignment{Active: tasks("0", 0, 1, 2, 3)}}, {Process: "q"}},
		Subtopologies: []Subtopology{{ID: "0", Tasks: 4}},
	})
	if d := cmp.Diff([]Assignment{{Active: tasks("0", 0, 1)}, {Active: tasks("0", 2, 3)}}, got); d != "" {
		t.Error(d)
	}
}

func TestTheSamePartitionsOfSubtopologiesMeetInAMember(t *testing.T) {
	for _, processes := range [][]string{{"p", "p", "p"}, {"p", "q", "r"}} {
		s := &Spec{Subtopologies: []Subtopology{{ID: "0", Tasks: 3}, {ID: "1", Tasks: 3, Stateful: true}}}
		var want []Assignment
		for i, p := range processes {
			s.Members = append(s.Members, Member{Process: p})
			want = append(want, Assignment{Active: append(tasks("0", int32(i)), tasks("1", int32(i))...)})
		}
		if d := cmp.Diff(want, Assign(s)); d != "" {
			t.Errorf("processes %v: %s", processes, d)
		}
	}
}

func TestTheStandbyTakesOver(t *testing.T) {
	got := Assign(&Spec{
		Members: []Member{
			{Process: "p", Previous: Assignment{Active: tasks("0", 0), Standby: tasks("0", 3)}},
			{Process: "q", Previous: Assignment{Active: tasks("0", 1), Standby: tasks("0", 2)}},
		},
		Subtopologies: []Subtopology{{ID: "0", Tasks: 4, Stateful: true}}, StandbyReplicas: 1,
	})
	want := []Assignment{
		{Active: tasks("0", 0, 3), Standby: tasks("0", 1, 2)},
		{Active: tasks("0", 1, 2), Standby: tasks("0", 0, 3)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAProcessIsOneReplicaHoweverManyThreadsItHas(t *testing.T) {
	got := Assign(&Spec{
		Members:       []Member{{Process: "p"}, {Process: "p"}, {Process: "p"}},
		Subtopologies: []Subtopology{{ID: "0", Tasks: 3, Stateful: true}}, StandbyReplicas: 2,
	})
	for i, a := range got {
		if len(a.Active) != 1 || len(a.Standby) != 0 {
			t.Errorf("member %d gets %+v", i, a)
		}
	}
}

func TestSubtopologiesWithoutStateHaveNoStandbys(t *testing.T) {
	got := Assign(&Spec{
		Members:       []Member{{Process: "p"}, {Process: "q"}},
		Subtopologies: []Subtopology{{ID: "0", Tasks: 2}, {ID: "1", Tasks: 2, Stateful: true}}, StandbyReplicas: 1,
	})
	n := 0
	for _, a := range got {
		for _, x := range a.Standby {
			n++
			if x.Subtopology != "1" {
				t.Errorf("%v has a standby", x)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d standbys, want 2", n)
	}
}

func TestNobodyAndNothingAreAssigned(t *testing.T) {
	if got := Assign(&Spec{Subtopologies: []Subtopology{{ID: "0", Tasks: 1}}, StandbyReplicas: 1}); len(got) != 0 {
		t.Errorf("without members: %v", got)
	}
	if got := Assign(&Spec{Members: []Member{{Process: "p"}}}); len(got) != 1 || len(got[0].Active)+len(got[0].Standby) != 0 {
		t.Errorf("without tasks: %v", got)
	}
}

// TestRandomGroups checks what must hold of every assignment, over groups that change.
func TestRandomGroups(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for round := range 3000 {
		s := &Spec{StandbyReplicas: rnd.IntN(3), Members: make([]Member, 1+rnd.IntN(8))}
		for i := range rnd.IntN(5) {
			s.Subtopologies = append(s.Subtopologies, Subtopology{ID: fmt.Sprint(i), Tasks: rnd.Int32N(12), Stateful: rnd.IntN(2) == 0})
		}
		single := rnd.IntN(2) == 0
		for i := range s.Members {
			s.Members[i].Process = fmt.Sprint("p", i)
			if !single {
				s.Members[i].Process = fmt.Sprint("p", rnd.IntN(4))
			}
		}
		first := Assign(s)
		check(t, fmt.Sprint("round ", round), s, first, single)

		// Nothing has changed: nobody gives up an active task.
		for i := range s.Members {
			s.Members[i].Previous = first[i]
		}
		again := Assign(s)
		check(t, fmt.Sprintf("round %d again", round), s, again, single)
		if n := moved(s.Members, again); n > 0 {
			t.Fatalf("round %d: %d active tasks move although nothing has changed:\n%+v\nbefore %+v\nafter %+v", round, n, s, first, again)
		}

		// A member comes: only what it gets moves, when every process is one member.
		joined := *s
		joined.Members = append(append([]Member{}, s.Members...), Member{Process: "new"})
		after := Assign(&joined)
		check(t, fmt.Sprintf("round %d with one more", round), &joined, after, single)
		if n := moved(s.Members, after); single && n > len(after[len(after)-1].Active) {
			t.Fatalf("round %d: %d active tasks move to give the new member %d", round, n, len(after[len(after)-1].Active))
		}

		// A member goes: the others keep what they have.
		left := *s
		if left.Members = s.Members[1:]; len(left.Members) == 0 {
			continue
		}
		rest := Assign(&left)
		check(t, fmt.Sprintf("round %d with one less", round), &left, rest, single)
		if n := moved(left.Members, rest); single && n > 0 {
			t.Fatalf("round %d: %d active tasks of those who stay move", round, n)
		}
	}
}

// moved counts the active tasks that members had and have no more.
func moved(members []Member, got []Assignment) int {
	n := 0
	for i, m := range members {
		has := map[Task]bool{}
		for _, x := range got[i].Active {
			has[x] = true
		}
		for _, x := range m.Previous.Active {
			if !has[x] {
				n++
			}
		}
	}
	return n
}

// check holds an assignment against what must be true of every one: each task is active
// once, its standbys are where it is not, as many as can be, and the work is shared.
func check(t *testing.T, what string, s *Spec, got []Assignment, even bool) {
	t.Helper()
	processes := map[string]bool{}
	where := map[Task]map[string]bool{}
	actives, copies := map[Task]int{}, map[Task]int{}
	least, most := 1<<30, 0
	for i, a := range got {
		processes[s.Members[i].Process] = true
		least, most = min(least, len(a.Active)), max(most, len(a.Active))
		for kind, list := range [][]Task{a.Active, a.Standby} {
			for _, x := range list {
				if where[x] == nil {
					where[x] = map[string]bool{}
				}
				if where[x][s.Members[i].Process] {
					t.Fatalf("%s: process %s has task %v twice", what, s.Members[i].Process, x)
				}
				where[x][s.Members[i].Process] = true
				copies[x]++
				if kind == 0 {
					actives[x]++
				}
			}
		}
	}
	total := 0
	for _, sub := range s.Subtopologies {
		for p := range sub.Tasks {
			x := Task{sub.ID, p}
			want := 1
			if sub.Stateful {
				want = min(1+s.StandbyReplicas, len(processes))
			}
			if actives[x] != 1 || copies[x] != want {
				t.Fatalf("%s: task %v is active %d times and has %d copies, want %d", what, x, actives[x], copies[x], want)
			}
			total++
		}
	}
	if total != len(where) {
		t.Fatalf("%s: %d tasks are assigned, there are %d", what, len(where), total)
	}
	if even && most-least > 1 {
		t.Fatalf("%s: members have %d to %d active tasks", what, least, most)
	}
}

func BenchmarkAssign(b *testing.B) {
	s := &Spec{StandbyReplicas: 1}
	for i := range 200 {
		s.Members = append(s.Members, Member{Process: fmt.Sprint(i / 4)})
	}
	for i := range 10 {
		s.Subtopologies = append(s.Subtopologies, Subtopology{ID: fmt.Sprint(i), Tasks: 200, Stateful: true})
	}
	for b.Loop() {
		for i, a := range Assign(s) {
			s.Members[i].Previous = a
		}
	}
}
