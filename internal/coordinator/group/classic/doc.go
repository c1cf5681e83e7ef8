// Package classic is one group of the classic protocol: JoinGroup, SyncGroup,
// Heartbeat and LeaveGroup.
//
//	Empty ──join──▶ PreparingRebalance ──all joined──▶ CompletingRebalance ──leader's sync──▶ Stable
//	  ▲                 │         ▲                            │                                │
//	  └──nobody left────┘         └────── join, leave, expiry ─┴────────────────────────────────┘
//
// A Group is a pure state machine. Its methods take the event and an Env, where the
// effects go: records, answers and timers. What a member has to know to be valid, the
// generation and the member id, is checked before anything changes.
//
// What is in the log is the group as of its last generation that became Stable or
// Empty (Record). Members that are joining, and assignments not yet handed out, are
// memory only: after a restart the members find the group as it was and join again.
// A Group in Stable or Empty is therefore equal to the Group that FromRecord makes of
// its last record.
//
// Records are Kafka's:
//
//	key    int16 2 · group string
//	value  int16 3 · GroupMetadataValue v3, or null: the group is gone
//
// Rules that are not obvious: a member that joins without an id gets one and has to
// come back with it (KIP-394); a static member, one with an instance id, that comes
// back without its id takes the place of the old one, which is fenced (KIP-345), and
// is told to leave the assignment as it is (KIP-814); the session timeout does not
// count while a member waits for an answer; a join of a new member is given up after
// NewMemberJoinTimeoutMs because nobody sees it disconnect.
//
// Neighbours: internal/coordinator/group owns the groups of a partition and routes
// calls and timers; internal/coordinator/runtime defines effects and timers.
//
// Invariants: the members are kept in the order in which they joined, so that
// everything that follows from the order is the same in every run; every call handed
// in is answered exactly once or returned by Unload.
package classic
