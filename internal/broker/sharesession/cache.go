package sharesession

import (
	"slices"
	"strings"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Epochs with a meaning of their own.
const (
	// InitialEpoch opens a session.
	InitialEpoch = 0
	// FinalEpoch closes it.
	FinalEpoch = -1
)

// MaxPartitions is how many partitions one session may hold; a request that names more
// is refused with INVALID_REQUEST.
const MaxPartitions = 100_000

// Key names a session: a member of a group has one with each broker.
type Key struct {
	Group, Member string
}

// Partition is a partition that a member fetches.
type Partition struct {
	Topic protocol.UUID
	Index int32
}

// Cache holds the share sessions of one broker.
type Cache struct {
	mu       sync.Mutex
	sessions map[Key]*session
	members  map[string]int // of each group
	// conns holds the sessions of each connection that had one, until it ends.
	conns map[uint64]map[Key]bool
}

type session struct {
	key   Key
	epoch int32 // the epoch the next request must carry
	conn  uint64
	// partitions are in the order in which they are read: those that gave records come
	// last.
	partitions []Partition
	// untold holds the partitions about which the member must be told something, though
	// there be no records.
	untold map[Partition]bool
}

// NewCache returns a cache without sessions.
func NewCache() *Cache {
	return &Cache{sessions: map[Key]*session{}, members: map[string]int{}, conns: map[uint64]map[Key]bool{}}
}

// Context is one fetch resolved against its session.
type Context struct {
	// Key has strings that outlive the request.
	Key Key
	// Partitions is what to read, in order, and the caller's.
	Partitions []Partition
	// Opened tells that the session is new, and FirstOfConn that it is the first of its
	// connection: the caller arranges that Disconnected is called.
	Opened, FirstOfConn bool

	cache *Cache
	epoch int32 // the session's while the request is the latest
}

// Fetch is what a ShareFetch request says about its session.
type Fetch struct {
	Key   Key
	Epoch int32
	// Added and Forgotten change what is fetched.
	Added, Forgotten []Partition
	// Acknowledges tells that the request acknowledges records, too.
	Acknowledges bool
	// Conn is the connection; a session ends with the one over which it was opened.
	Conn uint64
	// MaxSessions is group.share.max.share.sessions.
	MaxSessions int
}

// Begin resolves a fetch. It returns an error code that answers the whole request:
// SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH, SHARE_SESSION_LIMIT_REACHED or
// INVALID_REQUEST.
func (c *Cache) Begin(f *Fetch) (*Context, protocol.ErrorCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[f.Key]
	switch {
	case len(f.Added) > MaxPartitions:
		return nil, protocol.InvalidRequest
	case f.Epoch == FinalEpoch && s == nil, f.Epoch > InitialEpoch && s == nil, f.Epoch < FinalEpoch && s == nil:
		return nil, protocol.ShareSessionNotFound
	case f.Epoch == FinalEpoch:
		return &Context{Key: s.key, cache: c, epoch: FinalEpoch}, protocol.None
	case f.Epoch == InitialEpoch:
		return c.open(f)
	case f.Epoch != s.epoch:
		return nil, protocol.InvalidShareSessionEpoch
	}
	if !s.update(f) {
		return nil, protocol.InvalidRequest
	}
	ctx := &Context{Key: s.key, Partitions: slices.Clone(s.partitions), cache: c}
	s.epoch = nextEpoch(s.epoch)
	ctx.epoch = s.epoch
	return ctx, protocol.None
}

func (c *Cache) open(f *Fetch) (*Context, protocol.ErrorCode) {
	if f.Acknowledges {
		return nil, protocol.InvalidRequest
	}
	c.remove(f.Key)
	if len(c.sessions) >= f.MaxSessions {
		return nil, protocol.ShareSessionLimitReached
	}
	s := &session{
		key: Key{strings.Clone(f.Key.Group), strings.Clone(f.Key.Member)}, epoch: 1, conn: f.Conn, untold: map[Partition]bool{},
	}
	s.update(f)
	clear(s.untold)
	c.sessions[s.key] = s
	c.members[s.key.Group]++
	first := c.conns[f.Conn] == nil
	if first {
		c.conns[f.Conn] = map[Key]bool{}
	}
	c.conns[f.Conn][s.key] = true
	return &Context{
		Key: s.key, Partitions: slices.Clone(s.partitions), Opened: true, FirstOfConn: first, cache: c, epoch: 1,
	}, protocol.None
}

// update changes what is fetched; false means that it would be too much.
func (s *session) update(f *Fetch) bool {
	if len(f.Added) > 0 {
		known := make(map[Partition]bool, len(s.partitions))
		for _, p := range s.partitions {
			known[p] = true
		}
		for _, p := range f.Added {
			if !known[p] {
				known[p], s.untold[p] = true, true
				s.partitions = append(s.partitions, p)
			}
		}
	}
	if len(f.Forgotten) > 0 {
		forgotten := make(map[Partition]bool, len(f.Forgotten))
		for _, p := range f.Forgotten {
			forgotten[p] = true
			delete(s.untold, p)
		}
		s.partitions = slices.DeleteFunc(s.partitions, func(p Partition) bool { return forgotten[p] })
	}
	return len(s.partitions) <= MaxPartitions
}

// Acknowledge moves the session of an acknowledgement on to its next epoch and returns
// the session's key, whose strings outlive the request.
func (c *Cache) Acknowledge(k Key, epoch int32) (Key, protocol.ErrorCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[k]
	switch {
	case epoch == InitialEpoch:
		return k, protocol.InvalidShareSessionEpoch
	case s == nil:
		return k, protocol.ShareSessionNotFound
	case epoch == FinalEpoch:
	case epoch != s.epoch:
		return k, protocol.InvalidShareSessionEpoch
	default:
		s.epoch = nextEpoch(s.epoch)
	}
	return s.key, protocol.None
}

// News tells whether an answer must mention a partition, and notes that it does.
func (x *Context) News(p Partition, code protocol.ErrorCode, recordBytes int) bool {
	if x.Opened || x.epoch == FinalEpoch {
		return true
	}
	x.cache.mu.Lock()
	defer x.cache.mu.Unlock()
	s := x.cache.sessions[x.Key]
	if s == nil {
		return true
	}
	told := recordBytes > 0 || code != protocol.None || s.untold[p]
	delete(s.untold, p)
	if code != protocol.None {
		s.untold[p] = true
	}
	if recordBytes > 0 {
		if i := slices.Index(s.partitions, p); i >= 0 {
			s.partitions = append(slices.Delete(s.partitions, i, i+1), p)
		}
	}
	return told
}

// Closed is a session that has ended.
type Closed struct {
	Key        Key
	Partitions []Partition
	// Last tells that the group has no other session here.
	Last bool
}

// Close ends a session; ok is false if there is none.
func (c *Cache) Close(k Key) (closed Closed, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remove(k)
}

// Disconnected ends the sessions that were opened over the connection.
func (c *Cache) Disconnected(conn uint64) (closed []Closed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.conns[conn] {
		x, _ := c.remove(k)
		closed = append(closed, x)
	}
	delete(c.conns, conn)
	return closed
}

// Members returns how many sessions a group has here.
func (c *Cache) Members(group string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members[group]
}

func (c *Cache) remove(k Key) (Closed, bool) {
	s := c.sessions[k]
	if s == nil {
		return Closed{}, false
	}
	delete(c.sessions, k)
	delete(c.conns[s.conn], k)
	if c.members[k.Group]--; c.members[k.Group] == 0 {
		delete(c.members, k.Group)
	}
	return Closed{s.key, s.partitions, c.members[k.Group] == 0}, true
}

// Len returns the number of sessions held.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

func nextEpoch(epoch int32) int32 {
	if epoch == 0x7fffffff {
		return 1
	}
	return epoch + 1
}

// Has tells whether there is a session.
func (c *Cache) Has(k Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions[k] != nil
}
