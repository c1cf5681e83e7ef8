// Package fetchsession remembers what a fetching client asked for and was told,
// so that its next request and answer carry only what changed (KIP-227).
//
// A client opens a session with a full fetch (epoch 0). Later fetches name the
// session and the next epoch and list only partitions whose position changed or
// that were added or forgotten; answers leave out partitions without news. A
// session is found by its id from any connection, so a client may reconnect.
//
// The Cache is bounded: max.incremental.fetch.session.cache.slots sessions,
// MaxPartitions partitions in each, and MaxTotalPartitions in all. A client that
// finds no room is answered with session id 0, which the protocol defines as
// "fetch without a session". A session unused for EvictionMs gives way to a new one.
//
// Neighbours: broker/server asks Begin for every Fetch request and Context.News
// for every partition it answers. The package touches no log and no clock; time
// and random session ids are arguments.
//
// Concurrency: Cache is safe for concurrent use. A Context belongs to one request,
// and a session serves one request at a time: a second one that comes meanwhile,
// over another connection, is told INVALID_FETCH_SESSION_EPOCH and starts over with a
// full fetch, which no known client does.
package fetchsession
