// Package sharefetch holds this broker's share partitions: what the share groups have of
// the partitions that it leads (KIP-932).
//
//	ShareFetch ───▶ Fetch ──▶ share ──▶ sharepartition (who gets what)
//	                            │  └──▶ replica (what there is; bytes stay in their files)
//	ShareAcknowledge ─────────▶ │
//	session ended ────────────▶ └─────▶ share coordinator (what must survive)
//	                            └─────▶ deadletter (what nobody could process)
//
// A share partition is loaded from the share coordinator when a member first fetches it,
// and given up when another broker leads the partition or it is deleted, when the
// coordinator says that it was initialized anew, or when the group has no session left and
// nothing is under way.
//
// A fetch waits until there is something to acquire: it is woken by appends, by records
// that are given back or whose lock timed out, and by other fetches that are done with
// the share partition, which one fetch at a time may read.
//
// Changes of a share partition are written one write after the other; what comes while
// one is under way goes together into the next. So a state that is read back later is
// never older than one that was acknowledged.
//
// Records that go to the group's dead-letter topic are archived when that is written.
//
// Neighbours: broker/sharepartition is the pure core, broker/sharesession knows who
// fetches what, coordinator/share keeps the state. Above is broker/server.
//
// Invariants: a callback is called exactly once, with no lock held; no lock is held
// while the log is read or state is written. A share has no goroutine, and a timer only
// while somebody has acquired records.
package sharefetch
