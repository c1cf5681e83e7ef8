package assignor

import "slices"

// Simple assigns the partitions of a share group, in which several members may have the
// same partition: where there are more members than partitions, everybody still has one.
// assignable lists, for each topic of the Spec, the partitions that may be assigned,
// ascending. Each of them that has a subscriber is assigned at least once; members keep
// what they had as far as the numbers come out even.
//
// Members who are all subscribed to the same are balanced over all partitions, others
// topic by topic.
func Simple(s *Spec, assignable [][]int32) []Assignment {
	out := make([]Assignment, len(s.Members))
	for m := range out {
		out[m] = make(Assignment)
	}
	switch {
	case len(s.Members) == 0:
	case homogeneous(s):
		all := make([]int, len(s.Members))
		for m := range all {
			all[m] = m
		}
		newSharing(s, assignable, s.Members[0].Topics, all, out).run()
	default:
		for t, members := range subscribers(s) {
			newSharing(s, assignable, []int{t}, members, out).run()
		}
	}
	for m := range out {
		for _, partitions := range out[m] {
			slices.Sort(partitions)
		}
	}
	return out
}

// sharing spreads the partitions of some topics over the members that are subscribed to
// all of them. A partition goes to as many members as there are members to a partition,
// rounded up, and a member gets its part of that. The quotas add up to what there is to
// give, so a partition that nobody has always finds a member with room.
type sharing struct {
	spec       *Spec
	assignable [][]int32
	topics     []int // of the Spec
	members    []int // of the Spec
	out        []Assignment

	copies  int     // how many members a partition goes to
	quota   []int   // what each of members may still get
	holders [][]int // the members, by their places in members, of each partition
}

func newSharing(s *Spec, assignable [][]int32, topics, members []int, out []Assignment) *sharing {
	w := &sharing{spec: s, assignable: assignable, topics: topics, members: members, out: out}
	partitions := 0
	for _, t := range topics {
		partitions += len(assignable[t])
	}
	if partitions == 0 || len(members) == 0 {
		return w
	}
	w.copies = ceilDiv(len(members), partitions)
	w.holders = make([][]int, partitions)
	w.quota = make([]int, len(members))
	total := w.copies * partitions
	for i := range w.quota {
		w.quota[i] = ceilDiv(total*(i+1), len(members)) - ceilDiv(total*i, len(members))
	}
	return w
}

func (w *sharing) run() {
	if w.copies == 0 {
		return
	}
	w.keep()
	w.fill()
}

// give makes the member the holder of a partition: at counts through all topics.
func (w *sharing) give(at, topic int, partition int32, member int) {
	w.holders[at] = append(w.holders[at], member)
	w.quota[member]--
	out, id := w.out[w.members[member]], w.spec.Topics[topic].ID
	out[id] = append(out[id], partition)
}

// keep gives members what they had, as far as their quota and the other holders allow.
func (w *sharing) keep() {
	for i, m := range w.members {
		first := 0
		for _, t := range w.topics {
			for _, p := range w.spec.Members[m].Previous[w.spec.Topics[t].ID] {
				at, ok := slices.BinarySearch(w.assignable[t], p)
				if at += first; ok && w.quota[i] > 0 && len(w.holders[at]) < w.copies {
					w.give(at, t, p, i)
				}
			}
			first += len(w.assignable[t])
		}
	}
}

// fill goes round the members with room. A partition that all of those have already
// stays a little less shared than it might.
func (w *sharing) fill() {
	var open []int
	for i, left := range w.quota {
		if left > 0 {
			open = append(open, i)
		}
	}
	at, next := 0, 0
	for _, t := range w.topics {
		for _, p := range w.assignable[t] {
			for passed := 0; passed < len(open) && len(w.holders[at]) < w.copies; {
				next %= len(open)
				i := open[next]
				if slices.Contains(w.holders[at], i) {
					passed++
					next++
					continue
				}
				w.give(at, t, p, i)
				passed = 0
				if w.quota[i] > 0 {
					next++
				} else {
					open = slices.Delete(open, next, next+1)
				}
			}
			at++
		}
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
