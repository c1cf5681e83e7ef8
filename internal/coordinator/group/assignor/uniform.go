package assignor

import (
	"cmp"
	"slices"
)

// Uniform gives every member the same number of partitions, as far as subscriptions
// allow, and keeps what members had.
func Uniform(s *Spec) []Assignment {
	if len(s.Members) == 0 {
		return nil
	}
	if homogeneous(s) {
		return uniformHomogeneous(s)
	}
	return uniformHeterogeneous(s)
}

func homogeneous(s *Spec) bool {
	for i := range s.Members {
		if !slices.Equal(s.Members[i].Topics, s.Members[0].Topics) {
			return false
		}
	}
	return true
}

// uniformHomogeneous serves members who are all subscribed to the same. Everybody may
// have the quota, and as many as the division leaves over may have one more.
func uniformHomogeneous(s *Spec) []Assignment {
	b := newBuilder(s)
	total := 0
	for _, t := range s.Members[0].Topics {
		total += int(s.Topics[t].Partitions)
	}
	quota, extra := total/len(s.Members), total%len(s.Members)
	room := func(m int) bool {
		if b.load[m] < quota {
			return true
		}
		if b.load[m] == quota && extra > 0 {
			extra--
			return true
		}
		return false
	}
	b.keep(room)
	// Round and round, so that the partitions of a topic are spread over the members.
	next := 0
	for _, t := range s.Members[0].Topics {
		for p, owner := range b.owners[t] {
			if owner >= 0 {
				continue
			}
			for !room(next) {
				next = (next + 1) % len(s.Members)
			}
			b.give(t, p, next)
			next = (next + 1) % len(s.Members)
		}
	}
	return b.result()
}

// uniformHeterogeneous serves members with different subscriptions. What is free goes
// to the subscriber with the least, then partitions move from those who have more to
// those who have less until no single move makes it more even.
func uniformHeterogeneous(s *Spec) []Assignment {
	b := newBuilder(s)
	b.keep(func(int) bool { return true })
	members := subscribers(s)
	topics := make([]int, 0, len(s.Topics))
	for t := range s.Topics {
		if len(members[t]) > 0 {
			topics = append(topics, t)
		}
	}
	// Topics that few can consume leave the least choice and come first.
	slices.SortStableFunc(topics, func(x, y int) int { return cmp.Compare(len(members[x]), len(members[y])) })
	for _, t := range topics {
		for p, owner := range b.owners[t] {
			if owner < 0 {
				b.give(t, p, b.least(members[t]))
			}
		}
	}
	for moved := true; moved; {
		moved = false
		for _, t := range topics {
			moved = b.balance(t, members[t]) || moved
		}
	}
	return b.result()
}

// least returns the member with the fewest partitions, the first of them.
func (b *builder) least(members []int) int {
	return slices.MinFunc(members, func(x, y int) int { return cmp.Compare(b.load[x], b.load[y]) })
}

// balance moves partitions of one topic from members with at least two more than the
// least. Every move brings loads closer together, so it comes to an end.
func (b *builder) balance(topic int, members []int) (moved bool) {
	for p := len(b.owners[topic]) - 1; p >= 0; p-- {
		if to := b.least(members); b.load[b.owners[topic][p]] > b.load[to]+1 {
			b.give(topic, p, to)
			moved = true
		}
	}
	return moved
}
