// Package share is one share group (KIP-932): members send ShareGroupHeartbeat, and the
// coordinator decides who consumes what. Several members may consume the same partition;
// who gets which record is decided where the partition is led, not here.
//
// Epochs are those of consumer groups, see package consumer. As nobody owns a partition
// alone, a member has its whole target at once: nothing is given up first.
//
// A partition can be consumed once its state exists, the share-partition start offset
// and the rest, which the share coordinator keeps. The group knows how far each is:
//
//	            asked for                 there                    deleted
//	(unknown) ───────────▶ initializing ────────▶ initialized ─────────────▶ deleting
//	    ▲                       │ refused, or not answered                      │
//	    └───────────────────────┴───────────────────────────────────────────────┘
//
// Only initialized partitions are assigned. To ask the share coordinator is the matter
// of the owner of the group: Heartbeat, Alter, DeleteOffsets and DeleteAll return what
// to ask for, and the answers come back through Initialized and Deleted.
//
// Records are Kafka's:
//
//	10 group, member     who it is and what it subscribes to
//	11 group             group epoch, hash of the subscribed topics
//	12 group             assignment epoch, when it was computed
//	13 group, member     target assignment
//	14 group, member     member epoch, assigned partitions
//	15 group             partitions that are initializing, initialized, deleting
//
// Neighbours: internal/coordinator/group routes calls, timers and records;
// internal/coordinator/group/assignor computes target assignments.
//
// Invariants: a target has initialized partitions only, and once the group is at rest
// each of them that has a subscriber; all state that a heartbeat can change is written
// in the same event, so that a Group equals the Group made of its records at any time,
// except for when something was last asked for: that is forgotten, and asked again.
package share
