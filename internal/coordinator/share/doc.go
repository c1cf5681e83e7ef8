// Package share is the share coordinator: the memory of how far share groups have come
// in each partition, kept in __share_group_state (KIP-932).
//
// A share partition is a group's view of a topic's partition. Its leader decides who
// gets which record (broker/sharefetch); what must outlive that leader it writes here:
// the first offset that is not done with, and batches of offsets behind it with their
// state and how often they were delivered.
//
//	group coordinator ── Initialize, Delete, ReadSummary ──▶ Coordinator
//	share partition's leader ── Read, Write ───────────────▶   │ key group:topicId:partition
//	                                                           ▼
//	                              runtime ──▶ core, one for each partition of the topic
//	                                          ShareSnapshot, ShareUpdate*, ShareSnapshot …
//
// A change is written as a ShareUpdate, which holds the change alone, and every so often
// as a ShareSnapshot, which holds everything. So the topic cannot be compacted: an update
// needs the snapshot before it. Instead the coordinator deletes what lies below the
// oldest snapshot that is still needed, and writes a snapshot of those that have not
// changed for long, so that they hold up nobody.
//
// # Rules
//
//   - A write of a leader that another has replaced is refused (FENCED_LEADER_EPOCH): a
//     Read carries the reader's leader epoch, and from then on older ones are fenced.
//   - A write for a share partition that was initialized anew meanwhile is refused
//     (FENCED_STATE_EPOCH).
//   - Where batches say different things about an offset the one with more deliveries
//     is right, and among equals the one whose state is further on.
//
// Neighbours: internal/coordinator/runtime runs the core, writes its records and lets
// answers wait until they are committed. Package coordrecord has the records.
//
// Invariants: a core touches no clock, lock or randomness; what it remembers is what a
// replay of its records gives; a share partition's batches are in order, do not overlap
// and lie at or behind its start offset.
package share
