// Package consumer is one group of the consumer protocol (KIP-848): members send
// ConsumerGroupHeartbeat, and the coordinator decides who consumes what.
//
// Three epochs tell how far everybody is:
//
//	group epoch       counts changes: who is a member, what they subscribe to, which
//	                  partitions there are
//	assignment epoch  the group epoch for which the target assignment was computed
//	member epoch      the assignment epoch that the member has reached
//
// A member moves from what it has towards its target one step a heartbeat. What it must
// give up it gives up first, and what it is to get it gets when the member that had it
// has confirmed, or has been thrown out:
//
//	          target lacks something it owns                 it confirms
//	Stable ───────────────────────────────▶ UnrevokedPartitions ─────────▶ ┐
//	  ▲  └───────────────── nothing to give up ──────────────────────────▶ │
//	  │                                                                    ▼
//	  └──────── all of the target is there ──────────────── UnreleasedPartitions
//
// The member keeps its old epoch while it gives up, and has the new one from then on.
// A member that does not confirm within its rebalance timeout, or is not heard of within
// the session timeout, is fenced: removed, and what it owned is free.
//
// Records are Kafka's. Each is small and changes with the part it tells of:
//
//	3 group              group epoch, hash of the subscribed topics
//	5 group, member      who it is and what it subscribes to
//	6 group              assignment epoch, when it was computed
//	7 group, member      target assignment
//	8 group, member      member epoch, state, owned partitions with the epochs in which
//	                     the member got them (KIP-1251), partitions to give up
//	16 group, regex      the topics that a regular expression stands for
//	4 group              partitions of the topics, as brokers before 4.1 wrote; skipped
//
// Neighbours: internal/coordinator/group routes calls, timers and records;
// internal/coordinator/group/assignor computes target assignments.
//
// Invariants: a partition has at most one owner, a member that owns or gives it up; all
// state that a heartbeat can change is written in the same event, so that a Group equals
// the Group made of its records at any time; what follows from an order of members
// follows from their ids.
package consumer
