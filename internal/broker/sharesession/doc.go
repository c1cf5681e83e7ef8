// Package sharesession remembers which partitions a member of a share group fetches from
// this broker, so that its next request lists only what changed (KIP-932).
//
// A member opens a session with epoch 0 and closes it with -1; between them each request,
// be it a ShareFetch or a ShareAcknowledge, carries the next epoch. A session also ends
// with the connection over which it was opened. When it ends, what the member has
// acquired is given back; the caller does that.
//
// The Cache is bounded: group.share.max.share.sessions sessions, MaxPartitions partitions
// in each.
//
// Neighbours: broker/server asks Begin for every ShareFetch and Acknowledge for every
// ShareAcknowledge. The package touches no log and no clock.
//
// Cache and Context are safe for concurrent use.
package sharesession
