package assignor

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Assignment is partitions by topic. The partitions are in order, and no topic is
// there without one.
type Assignment map[wire.UUID][]int32

// Equal tells whether both have the same partitions.
func (a Assignment) Equal(b Assignment) bool {
	if len(a) != len(b) {
		return false
	}
	for id, partitions := range a {
		if !slices.Equal(partitions, b[id]) {
			return false
		}
	}
	return true
}

// Partitions returns how many partitions there are.
func (a Assignment) Partitions() int {
	n := 0
	for _, partitions := range a {
		n += len(partitions)
	}
	return n
}

// Topic is a topic to assign.
type Topic struct {
	// ID is the topic's id.
	ID wire.UUID
	// Partitions is how many partitions the topic has.
	Partitions int32
}

// Member is a member to assign to.
type Member struct {
	// Topics are the places in Spec.Topics of what the member is subscribed to,
	// ascending.
	Topics []int
	// Previous is what was assigned to the member before.
	Previous Assignment
}

// Spec is a group as an assignor sees it.
type Spec struct {
	// Topics are the topics that somebody is subscribed to.
	Topics []Topic
	// Members are the members, in the order in which they come first.
	Members []Member
}

// Func assigns the partitions of a group. The result has the order of the members.
type Func func(*Spec) []Assignment

// Named returns the assignor that clients and settings call by this name, or nil.
func Named(name string) Func {
	switch name {
	case "uniform":
		return Uniform
	case "range":
		return Range
	}
	return nil
}

// builder gathers the assignments topic by topic.
type builder struct {
	spec *Spec
	// owners are the member of each partition of each topic, -1: none.
	owners [][]int
	// load is how many partitions each member has.
	load []int
}

func newBuilder(s *Spec) *builder {
	b := &builder{spec: s, owners: make([][]int, len(s.Topics)), load: make([]int, len(s.Members))}
	for t := range s.Topics {
		b.owners[t] = slices.Repeat([]int{-1}, int(s.Topics[t].Partitions))
	}
	return b
}

func (b *builder) give(topic, partition, member int) {
	if old := b.owners[topic][partition]; old >= 0 {
		b.load[old]--
	}
	b.owners[topic][partition] = member
	b.load[member]++
}

// keep gives members what they had, as far as it is there, they are subscribed to it
// and more accepts it.
func (b *builder) keep(more func(member int) bool) {
	for m := range b.spec.Members {
		member := &b.spec.Members[m]
		for _, t := range member.Topics {
			for _, p := range member.Previous[b.spec.Topics[t].ID] {
				if p >= 0 && p < b.spec.Topics[t].Partitions && b.owners[t][p] < 0 && more(m) {
					b.give(t, int(p), m)
				}
			}
		}
	}
}

func (b *builder) result() []Assignment {
	out := make([]Assignment, len(b.spec.Members))
	for m := range out {
		out[m] = make(Assignment)
	}
	for t, owners := range b.owners {
		id := b.spec.Topics[t].ID
		for p, m := range owners {
			if m >= 0 {
				out[m][id] = append(out[m][id], int32(p))
			}
		}
	}
	return out
}

// subscribers lists the members of each topic, in their order.
func subscribers(s *Spec) [][]int {
	out := make([][]int, len(s.Topics))
	for m := range s.Members {
		for _, t := range s.Members[m].Topics {
			out[t] = append(out[t], m)
		}
	}
	return out
}
