// Package syncer makes durable what was appended to the logs of one log directory.
//
// Purpose: as few fdatasync calls as possible, none of them waited for longer than the
// one before it takes. A log is synced in its own files, or, with what others have
// appended meanwhile, through the journal that the directory's logs share.
//
// Neighbours: package storage asks for syncs, knows how a [Log] is synced by itself and
// what of it is at risk, and ends the directory if a sync fails. Below are syncqueue,
// which orders the turns, and journal, the file that is shared.
//
// # Invariants
//
//   - One sync of a log runs at a time; what is asked for meanwhile is covered by the
//     next one.
//   - At most Config.Workers goroutines sync; without work there is none.
//   - A file of the journal is begun anew only when the logs have everything in files of
//     their own that it holds, so that a crash finds it in one of the two.
//   - Before a log's files change in another way than by appending, TakeBack has made
//     sure that the journal will not undo it.
//   - No lock is held across I/O or a call of the log.
package syncer
