package streams

import (
	"slices"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/assignor"
)

// reconcile takes a member one step towards the target and returns what it has become.
func (g *Group) reconcile(env classic.Env, m *member, target assignor.Assignment, has reported) *member {
	if m.reconciled(g.assignmentEpoch) || m.state == unrevokedTasks && has.stillHas(m.pending) {
		return m
	}
	next := g.advance(m, target, has)
	if next.epoch == m.epoch && next.previousEpoch == m.previousEpoch && next.state == m.state &&
		next.assigned.equal(m.assigned) && next.pending.equal(m.pending) {
		return m
	}
	g.put(next)
	g.writeCurrent(env, next)
	if next.state == unrevokedTasks {
		g.startRebalanceTimer(env, next)
	} else {
		env.Out.Cancel(g.timerKey(TimerRebalance, next.id))
	}
	return next
}

// advance compares what the member has with its target. It gives up what is not in the
// target, or, if that is done, gets what is free.
func (g *Group) advance(m *member, target assignor.Assignment, has reported) *member {
	next := *m
	next.previousEpoch = m.epoch
	wanted := [kinds][]assignor.Task{target.Active, target.Standby, nil}
	kept, revoked := nothing(), nothing()
	for kind, tasks := range m.assigned {
		for t, epoch := range tasks {
			if _, ok := slices.BinarySearchFunc(wanted[kind], t, assignor.Compare); ok {
				kept[kind][t] = epoch
			} else {
				revoked[kind][t] = epoch
			}
		}
	}
	if !revoked.empty() && has.stillHas(revoked) {
		if m.state == unrevokedTasks {
			next.epoch++ // the tasks of the last step are given up
		}
		next.state, next.assigned, next.pending = unrevokedTasks, kept, revoked
		return &next
	}
	next.state, next.epoch = stable, g.assignmentEpoch
	for kind, tasks := range wanted {
		for _, t := range tasks {
			if _, ok := kept[kind][t]; ok {
				continue
			}
			switch {
			case g.taken(kind, t, m.processID):
				next.state = unreleasedTasks
			case kind == active:
				kept[kind][t] = g.assignmentEpoch
			default:
				kept[kind][t] = 0
			}
		}
	}
	next.assigned, next.pending = kept, nothing()
	return &next
}

// taken tells whether a task cannot be given to a member of the process yet: somebody
// has it active, or the process itself has it in another form.
func (g *Group) taken(kind int, t assignor.Task, process string) bool {
	if kind == active && len(g.processes[active][t]) > 0 {
		return true
	}
	for kind := range kinds {
		if slices.Contains(g.processes[kind][t], process) {
			return true
		}
	}
	return false
}
