package assignor

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// Task is one partition of a subtopology.
type Task struct {
	Subtopology string
	Partition   int32
}

// Compare orders tasks by subtopology and partition.
func Compare(a, b Task) int {
	return cmp.Or(strings.Compare(a.Subtopology, b.Subtopology), cmp.Compare(a.Partition, b.Partition))
}

// byPartition orders tasks by partition and subtopology.
func byPartition(a, b Task) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), strings.Compare(a.Subtopology, b.Subtopology))
}

// Assignment is what one member has to work on, in order.
type Assignment struct {
	Active, Standby []Task
}

// Member is one member and what it had to work on before.
type Member struct {
	Process  string
	Previous Assignment
}

// Subtopology is one subtopology of the topology.
type Subtopology struct {
	ID       string
	Tasks    int32
	Stateful bool
}

// Spec describes a group.
type Spec struct {
	Members         []Member
	Subtopologies   []Subtopology
	StandbyReplicas int
}

// Assign returns what every member gets, in the order of the members.
func Assign(s *Spec) []Assignment {
	if len(s.Members) == 0 {
		return nil
	}
	a := newAssigning(s)
	a.assignActive(a.tasks(false))
	if s.StandbyReplicas > 0 {
		a.assignStandby(a.tasks(true))
	}
	out := make([]Assignment, len(a.members))
	for i, m := range a.members {
		slices.SortFunc(m.gets.Active, Compare)
		slices.SortFunc(m.gets.Standby, Compare)
		out[i] = m.gets
	}
	return out
}

// member is a member that is being given tasks.
type member struct {
	process *process
	nth     int // in the order of the members
	tasks   int
	gets    Assignment
}

// process is the members that share a state directory. A task is in a process once.
type process struct {
	nth     int // in the order of their first members
	members membersByTasks
	sorted  bool // members is a heap
	tasks   int
	has     map[Task]struct{}
}

func (p *process) holds(t Task) bool {
	_, ok := p.has[t]
	return ok
}

// lighter tells whether p has less to do than q, by member.
func (p *process) lighter(q *process) bool {
	return p.tasks*len(q.members) < q.tasks*len(p.members)
}

// quota is how many tasks a member should have, of those that are left for the members
// that have room.
type quota struct {
	tasks, members, each int
}

func newQuota(tasks, members int) quota {
	q := quota{tasks: tasks, members: members}
	q.divide()
	return q
}

func (q *quota) divide() {
	q.each = 0
	if q.members > 0 {
		q.each = (q.tasks + q.members - 1) / q.members
	}
}

// reached takes in that a member has n tasks: the others share the rest.
func (q *quota) reached(n int) {
	if n == q.each {
		q.members--
		q.tasks -= n
		q.divide()
	}
}

// assigning is an assignment on its way.
type assigning struct {
	spec       *Spec
	members    []*member
	processes  processesByLoad
	wasActive  map[Task]*member
	wasStandby map[Task][]*member
	active     quota // of active tasks
	all        quota // of all tasks
}

func newAssigning(s *Spec) *assigning {
	a := &assigning{spec: s, wasActive: map[Task]*member{}, wasStandby: map[Task][]*member{}}
	active, all := 0, 0
	for _, sub := range s.Subtopologies {
		active += int(sub.Tasks)
		all += int(sub.Tasks)
		if sub.Stateful {
			all += int(sub.Tasks) * s.StandbyReplicas
		}
	}
	a.active, a.all = newQuota(active, len(s.Members)), newQuota(all, len(s.Members))
	byID := map[string]*process{}
	for i := range s.Members {
		p := byID[s.Members[i].Process]
		if p == nil {
			p = &process{nth: i, has: map[Task]struct{}{}}
			byID[s.Members[i].Process] = p
			a.processes = append(a.processes, p)
		}
		m := &member{process: p, nth: i}
		p.members = append(p.members, m)
		a.members = append(a.members, m)
		for _, t := range s.Members[i].Previous.Active {
			a.wasActive[t] = m
		}
		for _, t := range s.Members[i].Previous.Standby {
			a.wasStandby[t] = append(a.wasStandby[t], m)
		}
	}
	return a
}

// tasks lists the tasks of all subtopologies, or of those with state.
func (a *assigning) tasks(stateful bool) []Task {
	var out []Task
	for _, sub := range a.spec.Subtopologies {
		for p := int32(0); p < sub.Tasks && (sub.Stateful || !stateful); p++ {
			out = append(out, Task{sub.ID, p})
		}
	}
	return out
}

// give hands a task to a member.
func (a *assigning) give(m *member, t Task, active bool) {
	m.tasks++
	m.process.tasks++
	m.process.has[t] = struct{}{}
	m.process.sorted = false
	if active {
		m.gets.Active = append(m.gets.Active, t)
		a.active.reached(m.tasks)
	} else {
		m.gets.Standby = append(m.gets.Standby, t)
	}
	a.all.reached(m.tasks)
}

// giveLightest hands a task to the member of the process with the least to do.
func (a *assigning) giveLightest(p *process, t Task, active bool) {
	if !p.sorted {
		heap.Init(&p.members)
	}
	a.give(p.members[0], t, active)
	heap.Fix(&p.members, 0)
	p.sorted = true
}

func (a *assigning) assignActive(tasks []Task) {
	slices.SortFunc(tasks, byPartition)
	keep := func(had func(Task) *member) {
		tasks = slices.DeleteFunc(tasks, func(t Task) bool {
			m := had(t)
			if m == nil || m.tasks >= a.active.each {
				return false
			}
			a.give(m, t, true)
			return true
		})
	}
	keep(func(t Task) *member { return a.wasActive[t] })
	keep(func(t Task) *member { return lightest(a.wasStandby[t], t) })
	slices.SortFunc(tasks, Compare)
	heap.Init(&a.processes)
	for _, t := range tasks {
		a.giveLightest(a.processes[0], t, true)
		heap.Fix(&a.processes, 0)
	}
}

// lightest returns the member with the least to do of those whose process does not have
// the task, nil if there is none.
func lightest(members []*member, t Task) *member {
	var best *member
	for _, m := range members {
		if m.process.holds(t) {
			continue
		}
		if best == nil || m.process.lighter(best.process) || !best.process.lighter(m.process) && m.tasks < best.tasks {
			best = m
		}
	}
	return best
}

func (a *assigning) assignStandby(tasks []Task) {
	slices.SortFunc(tasks, func(x, y Task) int { return byPartition(y, x) })
	left := map[Task]int{}
	for _, t := range tasks {
		for i := range a.spec.StandbyReplicas {
			m := a.wasActive[t]
			if m == nil || m.process.holds(t) || m.tasks >= a.all.each {
				m = lightest(a.wasStandby[t], t)
			}
			if m == nil || m.tasks >= a.all.each {
				left[t] = a.spec.StandbyReplicas - i
				break
			}
			a.give(m, t, false)
		}
	}
	slices.SortFunc(tasks, func(x, y Task) int { return Compare(y, x) })
	heap.Init(&a.processes)
	for _, t := range tasks {
		for range left[t] {
			if !a.giveElsewhere(t) {
				break
			}
		}
	}
}

// giveElsewhere gives a standby to the process with the least to do of those that do not
// have the task. It tells whether there was one.
func (a *assigning) giveElsewhere(t Task) bool {
	var skipped []*process
	found := false
	for len(a.processes) > 0 && !found {
		p := heap.Pop(&a.processes).(*process)
		if found = !p.holds(t); found {
			a.giveLightest(p, t, false)
		}
		skipped = append(skipped, p)
	}
	for _, p := range skipped {
		heap.Push(&a.processes, p)
	}
	return found
}

// membersByTasks is a heap. Of members with as much to do the first comes first, so
// that the same partitions of several subtopologies meet in one member.
type membersByTasks []*member

func (m membersByTasks) Len() int { return len(m) }
func (m membersByTasks) Less(i, j int) bool {
	return m[i].tasks < m[j].tasks || m[i].tasks == m[j].tasks && m[i].nth < m[j].nth
}
func (m membersByTasks) Swap(i, j int) { m[i], m[j] = m[j], m[i] }

// Push implements heap.Interface; members do not come later.
func (m *membersByTasks) Push(x any) { *m = append(*m, x.(*member)) }

// Pop implements heap.Interface; members do not go.
func (m *membersByTasks) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// processesByLoad is a heap, with ties as in membersByTasks.
type processesByLoad []*process

func (p processesByLoad) Len() int { return len(p) }
func (p processesByLoad) Less(i, j int) bool {
	return p[i].lighter(p[j]) || !p[j].lighter(p[i]) && p[i].nth < p[j].nth
}
func (p processesByLoad) Swap(i, j int) { p[i], p[j] = p[j], p[i] }

// Push implements heap.Interface.
func (p *processesByLoad) Push(x any) { *p = append(*p, x.(*process)) }

// Pop implements heap.Interface.
func (p *processesByLoad) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}
