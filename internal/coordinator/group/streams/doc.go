// Package streams is one streams group (KIP-1071): the threads of an application of
// Kafka Streams are its members, they send StreamsGroupHeartbeat, and the coordinator
// decides who works on which task.
//
// The first member brings the topology of the application. It is held against the topics
// that there are (package topology); internal topics that are missing are handed to the
// caller, who creates them, and until the topology can be run nobody gets a task. Then
// the sticky assignor (package assignor) computes the target assignment.
//
// Three epochs tell how far everybody is, as in consumer groups:
//
//	group epoch       counts changes: members, topology, topics, standby replicas
//	assignment epoch  the group epoch for which the target assignment was computed
//	member epoch      the assignment epoch that the member has reached
//
// A member moves towards its target one step a heartbeat. It gives up first; an active
// task it gets when no process has it active any more, and its own process has it in no
// form; a standby when its own process has it in no form:
//
//	          target lacks a task it has               it confirms
//	STABLE ──────────────────────────────▶ UNREVOKED_TASKS ─────▶ ┐
//	  ▲  └─────────── nothing to give up ───────────────────────▶ │
//	  │                                                           ▼
//	  └────── all of the target is there ─────────────── UNRELEASED_TASKS
//
// A member that does not confirm within its rebalance timeout, or is not heard of within
// the session timeout, is fenced: removed, and its tasks are free. The first assignment
// of a group without members waits for streams.initial.rebalance.delay.ms.
//
// As in Kafka 4.3 the following are refused: static members, task offsets, warm-up tasks,
// regular expressions for source topics, another topology for a group that has one.
//
// Records are Kafka's:
//
//	17 group            group epoch, hash of the topics, topology epoch that can be run,
//	                    settings of the assignment
//	19 group, member    who it is: process, endpoint, tags
//	20 group            assignment epoch, when it was computed
//	21 group, member    target assignment
//	22 group, member    member epoch, state, tasks, tasks to give up
//	23 group            topology
//
// Neighbours: internal/coordinator/group routes calls, timers and records, and has the
// internal topics created.
//
// Invariants: all state that a heartbeat can change, but for whether a shutdown was asked
// for and what is told of endpoints, is written in the same event, so that a Group equals
// the Group made of its records at any time; what follows from an order of members
// follows from their ids.
package streams
