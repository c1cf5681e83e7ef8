package streams

import (
	"maps"
	"slices"
	"strconv"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/assignor"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// recordsPerTarget is how many times a target may fit into a record: what a member has
// and gives up comes from two targets, and every task has an epoch.
const recordsPerTarget = 4

// nextTarget brings the target up to date if that is possible now, and returns what the
// member is to move to.
func (g *Group) nextTarget(env classic.Env, m *member, res *protocol.StreamsGroupHeartbeatResponse) (assignor.Assignment, *refusal) {
	switch {
	case g.delayed:
		say(res, assignmentDelayed, "Assignment delayed due to the configured initial rebalance delay.")
		return assignor.Assignment{}, nil
	case g.assignmentEpoch >= g.epoch:
	case !g.mayAssign(env):
		say(res, assignmentDelayed, "Assignment delayed due to the configured assignment interval.")
	default:
		if no := g.assign(env); no != nil {
			return assignor.Assignment{}, no
		}
	}
	return g.target[m.id], nil
}

// mayAssign tells whether the last target is old enough.
func (g *Group) mayAssign(env classic.Env) bool {
	interval := own(g.overrides().AssignmentIntervalMs, g.around.Config.AssignmentIntervalMs)
	return g.assignedMs == 0 || env.NowMs >= g.assignedMs+int64(interval)
}

// assign computes the target assignment of the group epoch: nothing for everybody as
// long as the topology cannot be run.
func (g *Group) assign(env classic.Env) *refusal {
	ids := g.memberIDs()
	targets := make([]assignor.Assignment, len(ids))
	if g.configured.Problem == nil {
		targets = assignor.Assign(g.spec(ids))
	}
	for i, id := range ids {
		if n := targetBytes(targets[i]); n > env.Config.MaxRecordBytes/recordsPerTarget {
			return refuse(protocol.UnknownServerError, "Failed to compute a new target assignment for epoch %d: the tasks of member %s take %d bytes.", g.epoch, id, n)
		}
	}
	for i, id := range ids {
		if old, ok := g.target[id]; !ok || !sameAssignment(old, targets[i]) {
			g.target[id] = targets[i]
			g.writeTarget(env, id)
		}
	}
	g.assignmentEpoch, g.assignedMs = g.epoch, env.NowMs
	g.writeAssignmentEpoch(env)
	return nil
}

func sameAssignment(a, b assignor.Assignment) bool {
	return slices.Equal(a.Active, b.Active) && slices.Equal(a.Standby, b.Standby)
}

// spec describes the group to the assignor.
func (g *Group) spec(ids []string) *assignor.Spec {
	s := &assignor.Spec{Members: make([]assignor.Member, len(ids))}
	for i, id := range ids {
		s.Members[i] = assignor.Member{Process: g.members[id].processID, Previous: g.target[id]}
	}
	for i := range g.configured.Subtopologies {
		sub := &g.configured.Subtopologies[i]
		s.Subtopologies = append(s.Subtopologies, assignor.Subtopology{ID: sub.ID, Tasks: sub.Tasks, Stateful: len(sub.StateChangelogTopics) > 0})
	}
	if n, err := strconv.Atoi(g.configs[standbyReplicas]); err == nil {
		s.StandbyReplicas = n
	}
	return s
}

// sortedTasks lists tasks in order.
func sortedTasks(tasks held) []assignor.Task {
	return slices.SortedFunc(maps.Keys(tasks), assignor.Compare)
}

// eachSubtopology calls f with the partitions of every subtopology of tasks in order.
func eachSubtopology(tasks []assignor.Task, f func(subtopology string, partitions []int32)) {
	for len(tasks) > 0 {
		id, partitions := tasks[0].Subtopology, []int32{}
		for len(tasks) > 0 && tasks[0].Subtopology == id {
			partitions = append(partitions, tasks[0].Partition)
			tasks = tasks[1:]
		}
		f(id, partitions)
	}
}
