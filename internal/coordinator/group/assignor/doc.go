// Package assignor decides which member of a group consumes which partition. It is
// what the coordinator runs for the groups that leave the decision to it (KIP-848).
//
// An assignor is a function of the members, their subscriptions and what was assigned
// before. There are three:
//
//   - Uniform gives every member the same number of partitions, one more or less, and
//     moves as few as that allows.
//   - Range cuts every topic into one piece for each subscriber, in the order of the
//     members, so that equally cut topics end up with the same members.
//   - Simple, of share groups, gives a partition to several members where there are
//     more of them.
//
// Neighbours: internal/coordinator/group/consumer and internal/coordinator/group/share
// describe their groups as Specs and write down what changed.
//
// Invariants: pure; the result depends on nothing but the Spec; every partition of a
// topic that has a subscriber is assigned to exactly one member, by Simple to at least one,
// who is subscribed.
package assignor
