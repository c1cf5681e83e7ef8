// Package assignor decides which member of a streams group works on which task: the
// sticky assignor, the only one of KIP-1071.
//
// A task is one partition of a subtopology. Every task has one active; one of a
// subtopology with state has standbys too, each in a process of its own, as many as are
// asked for and there are processes. Tasks go
//
//	active    to who had it, to who had its standby, to the process with the least to do
//	standby   to who had it active, to who had the standby, to the process with the
//	          least to do
//
// and to somebody who had it only up to a fair share. Members are threads: processes are
// compared by tasks per member.
//
// Neighbours: internal/coordinator/group/streams describes a group to it.
//
// Invariants: the same Spec gives the same answer; a group in which nothing has changed
// keeps its active tasks.
package assignor
