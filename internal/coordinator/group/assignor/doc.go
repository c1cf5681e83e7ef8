// Package assignor decides which member of a group consumes which partition. It is
// what the coordinator runs for the groups that leave the decision to it (KIP-848).
//
// An assignor is a function of the members, their subscriptions and what was assigned
// before. There are two:
//
//   - Uniform gives every member the same number of partitions, one more or less, and
//     moves as few as that allows.
//   - Range cuts every topic into one piece for each subscriber, in the order of the
//     members, so that equally cut topics end up with the same members.
//
// Neighbours: internal/coordinator/group/consumer describes its group as a Spec and
// writes down what changed.
//
// Invariants: pure; the result depends on nothing but the Spec; every partition of a
// topic that has a subscriber is assigned to exactly one member, who is subscribed.
package assignor
