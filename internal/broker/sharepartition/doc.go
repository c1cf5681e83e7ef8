// Package sharepartition decides who of a share group gets which records of a partition:
// the pure core of KIP-932.
//
//	      start (SPSO)                                  end (SPEO)
//	        │◀───────────────── in flight ─────────────────▶│
//	────────┼───────────┬───────────┬───────────┬───────────┼────────▶ offsets
//	 done   │ Acquired  │ Available │ Archived  │ Acquired  │ nobody has had these
//
//	                       accept ┌──────────────┐
//	            acquire      ┌────▶ Acknowledged │
//	┌───────────┐──────▶┌────┴─────┐────────────┘
//	│ Available │       │ Acquired │ reject, gap, too many deliveries
//	└───────────┘◀──────└────┬─────┘────▶┌──────────┐
//	   release, timeout,     │           │ Archived │
//	   session ended         └ renew     └────▲─────┘
//	                                          │ dead letter written
//	                         reject, too ┌────┴──────┐
//	                         many, with  │ Archiving │
//	                         a DLQ topic └───────────┘
//
// A member acquires records for a time. It accepts, releases or rejects them, or the
// time ends and somebody else gets them; each delivery is counted, and a record that was
// delivered too often is archived. The start moves up when everything at it is done.
//
// What members decide must survive this broker, so it has two halves: Acknowledge,
// Release and Expire change the memory and return a Change with the batches to write; the
// shell writes them (coordinator/share) and tells Complete how that went. Until then the
// records can be neither acquired nor acknowledged, and if it went wrong they are what
// they were. That a lock has timed out needs no permission and takes effect at once.
//
// The in-flight records are batches, as they were first acquired, and a batch is runs of
// records in the same state; a batch that is treated as one, which most are, has one run.
//
// # Rules
//
//   - Records are acquired in whole record batches, though more than asked for, unless
//     the client wants the limit exact (KIP-1206).
//   - What was delivered often is delivered in smaller portions, and for the last time
//     alone, so that a poison record takes no others down with it.
//   - Records of aborted transactions are archived as they are acquired, for groups that
//     read committed records only.
//   - Records below the log's start are gone.
//
// Neighbours: broker/sharefetch is the shell: it reads the log, keeps time, writes state.
//
// A group may have a dead-letter topic (KIP-1191). What it could not process is Archiving
// first; when that is written DeadLetters hands it out, once, and Bury archives it. If the
// broker stops between, the letter is written again: at least once.
//
// Invariants: no record is acquired by two members; nothing between start and end is
// forgotten; batches and runs are in order and do not overlap; nothing in flight is below
// start. Time is an argument.
package sharepartition
