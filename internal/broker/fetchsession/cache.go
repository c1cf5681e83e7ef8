package fetchsession

import (
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Limits of the cache beside its number of slots.
const (
	// EvictionMs is how long a session must have been unused before another may
	// take its slot (Kafka's min.incremental.fetch.session.eviction.ms).
	EvictionMs = 120_000
	// MaxPartitions is how many partitions one session may hold; a client that
	// fetches more goes without a session.
	MaxPartitions = 100_000
	// MaxTotalPartitions bounds the partitions of all sessions together.
	MaxTotalPartitions = 1_000_000
)

// Cache holds the fetch sessions of one broker.
type Cache struct {
	slots int

	mu       sync.Mutex
	sessions map[int32]*session
	total    int // partitions in all sessions
	evicted  int64
}

// NewCache returns a cache of at most slots sessions; with 0 slots no client gets
// a session.
func NewCache(slots int) *Cache {
	return &Cache{slots: slots, sessions: map[int32]*session{}}
}

// Len returns the number of sessions held.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// Begin resolves a fetch request to the partitions it asks for. It returns an
// error code that answers the whole request: FETCH_SESSION_ID_NOT_FOUND,
// INVALID_FETCH_SESSION_EPOCH or FETCH_SESSION_TOPIC_ID_ERROR. newID is a random
// number from which a new session's id is made.
func (c *Cache) Begin(req *protocol.FetchRequest, version int16, nowMs int64, newID int32) (*Context, protocol.ErrorCode) {
	usesIDs := version >= 13
	switch {
	case version < 7 || req.SessionEpoch == finalEpoch:
		if req.SessionId != 0 && version >= 7 {
			c.remove(req.SessionId)
		}
		return fullContext(req), protocol.None
	case req.SessionEpoch == initialEpoch:
		if req.SessionId != 0 {
			c.remove(req.SessionId)
		}
		ctx := fullContext(req)
		ctx.session = c.open(ctx.Partitions, usesIDs, nowMs, newID)
		return ctx, protocol.None
	default:
		return c.resume(req, usesIDs, nowMs)
	}
}

const (
	initialEpoch = 0
	finalEpoch   = -1
)

func (c *Cache) remove(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(id)
}

func (c *Cache) removeLocked(id int32) {
	if s := c.sessions[id]; s != nil {
		c.total -= s.counted
		delete(c.sessions, id)
	}
}

// open stores a new session for the partitions, or returns nil where there is no
// room for one.
func (c *Cache) open(partitions []*Partition, usesIDs bool, nowMs int64, newID int32) *session {
	if len(partitions) == 0 || len(partitions) > MaxPartitions {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sessions) >= c.slots && !c.evictLocked(nowMs) {
		return nil
	}
	if c.total+len(partitions) > MaxTotalPartitions {
		return nil
	}
	id := newID & 0x7fffffff
	for id == 0 || c.sessions[id] != nil {
		id = (id + 1) & 0x7fffffff
	}
	s := newSession(id, partitions, usesIDs, nowMs)
	s.counted = len(partitions)
	c.total += s.counted
	c.sessions[id] = s
	return s
}

// evictLocked drops the session that was unused longest, if that is long enough.
func (c *Cache) evictLocked(nowMs int64) bool {
	var oldest *session
	for _, s := range c.sessions {
		if oldest == nil || s.lastUsedMs < oldest.lastUsedMs {
			oldest = s
		}
	}
	if oldest == nil || nowMs-oldest.lastUsedMs < EvictionMs {
		return false
	}
	c.removeLocked(oldest.id)
	c.evicted++
	return true
}

// resume applies an incremental request to its session.
func (c *Cache) resume(req *protocol.FetchRequest, usesIDs bool, nowMs int64) (*Context, protocol.ErrorCode) {
	c.mu.Lock()
	s := c.sessions[req.SessionId]
	if s != nil {
		s.lastUsedMs = nowMs
	}
	c.mu.Unlock()
	if s == nil {
		return nil, protocol.FetchSessionIdNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != req.SessionEpoch || s.busy {
		return nil, protocol.InvalidFetchSessionEpoch
	}
	if s.usesIDs != usesIDs {
		return nil, protocol.FetchSessionTopicIdError
	}
	s.epoch = nextEpoch(s.epoch)
	s.busy = true
	s.update(req)
	if len(s.byKey) > MaxPartitions || !c.recount(s) {
		c.remove(s.id)
		return nil, protocol.FetchSessionIdNotFound
	}
	if len(s.byKey) == 0 {
		// Nothing left to ask for: the session ends (KIP-227).
		c.remove(s.id)
		return &Context{incremental: true}, protocol.None
	}
	return &Context{session: s, incremental: true, Partitions: s.snapshot()}, protocol.None
}

// recount books the session's present size; false means the cache's bound is
// reached and the session must go.
func (c *Cache) recount(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.id] != s {
		return true // evicted meanwhile: its size is no longer counted
	}
	c.total += len(s.byKey) - s.counted
	s.counted = len(s.byKey)
	return c.total <= MaxTotalPartitions
}

func nextEpoch(epoch int32) int32 {
	if epoch == 0x7fffffff {
		return 1
	}
	return epoch + 1
}
