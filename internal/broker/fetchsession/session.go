package fetchsession

import (
	"strings"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Partition is one partition a client fetches, with the position it asked for.
// In a request without a session its Topic aliases the request's frame.
type Partition struct {
	// Topic is the topic's name; empty where the request names topics by id (v13+).
	Topic string
	// TopicID is the topic's id; zero where the request names topics by name.
	TopicID protocol.UUID
	// Index is the partition's number.
	Index int32
	// FetchOffset is the first offset wanted.
	FetchOffset int64
	// LogStartOffset is a follower's log start offset, -1 for consumers.
	LogStartOffset int64
	// MaxBytes bounds the answer's bytes for this partition.
	MaxBytes int32
	// CurrentLeaderEpoch is the leader epoch the client knows, or -1.
	CurrentLeaderEpoch int32
	// LastFetchedEpoch is the epoch of the last record the client has, or -1.
	LastFetchedEpoch int32

	told         bool
	toldHW       int64
	toldLogStart int64
	prev, next   *Partition
}

type key struct {
	topic string
	id    protocol.UUID
	index int32
}

func (p *Partition) key() key { return key{p.Topic, p.TopicID, p.Index} }

func (p *Partition) position(from *protocol.FetchRequestFetchPartition) {
	p.FetchOffset = from.FetchOffset
	p.LogStartOffset = from.LogStartOffset
	p.MaxBytes = from.PartitionMaxBytes
	p.CurrentLeaderEpoch = from.CurrentLeaderEpoch
	p.LastFetchedEpoch = from.LastFetchedEpoch
}

// session is the state behind one session id. lastUsedMs and counted belong to
// the cache's lock, the rest to the session's own.
type session struct {
	id         int32
	usesIDs    bool
	lastUsedMs int64
	counted    int

	mu    sync.Mutex
	epoch int32 // the epoch the next request must carry
	// busy is set while a request of this session is being answered: its partitions
	// are that request's, and another request must not move them meanwhile.
	busy  bool
	byKey map[key]*Partition
	// ring is the order in which partitions are read; a partition that gave data
	// moves to its end, so that a byte limit starves none.
	ring Partition
}

func newSession(id int32, partitions []*Partition, usesIDs bool, nowMs int64) *session {
	s := &session{id: id, usesIDs: usesIDs, lastUsedMs: nowMs, epoch: 1, busy: true, byKey: make(map[key]*Partition, len(partitions))}
	s.ring.prev, s.ring.next = &s.ring, &s.ring
	for _, p := range partitions {
		if s.byKey[p.key()] != nil {
			continue
		}
		p.Topic = strings.Clone(p.Topic) // it outlives the request's frame
		s.add(p)
	}
	return s
}

func (s *session) add(p *Partition) {
	s.byKey[p.key()] = p
	p.prev, p.next = s.ring.prev, &s.ring
	p.prev.next, s.ring.prev = p, p
}

func unlink(p *Partition) {
	p.prev.next, p.next.prev = p.next, p.prev
	p.prev, p.next = nil, nil
}

// update applies the changes an incremental request lists.
func (s *session) update(req *protocol.FetchRequest) {
	for i := range req.ForgottenTopicsData {
		f := &req.ForgottenTopicsData[i]
		for _, index := range f.Partitions {
			k := key{f.Topic, f.TopicId, index}
			if p := s.byKey[k]; p != nil {
				unlink(p)
				delete(s.byKey, k)
			}
		}
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			k := key{t.Topic, t.TopicId, t.Partitions[j].Partition}
			p := s.byKey[k]
			if p == nil {
				p = &Partition{Topic: strings.Clone(t.Topic), TopicID: t.TopicId, Index: k.index}
				s.add(p)
			}
			p.position(&t.Partitions[j])
		}
	}
}

func (s *session) snapshot() []*Partition {
	out := make([]*Partition, 0, len(s.byKey))
	for p := s.ring.next; p != &s.ring; p = p.next {
		out = append(out, p)
	}
	return out
}

// Context is one fetch request resolved against its session.
type Context struct {
	// Partitions is what to read, in order. The slice belongs to the request; the
	// partitions belong to the session where there is one.
	Partitions []*Partition

	session     *session
	incremental bool
}

func fullContext(req *protocol.FetchRequest) *Context {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	ctx := &Context{Partitions: make([]*Partition, 0, n)}
	block := make([]Partition, n)
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &block[0]
			block = block[1:]
			p.Topic, p.TopicID, p.Index = t.Topic, t.TopicId, t.Partitions[j].Partition
			p.position(&t.Partitions[j])
			ctx.Partitions = append(ctx.Partitions, p)
		}
	}
	return ctx
}

// SessionID returns the id the answer must carry, 0 where there is no session.
func (c *Context) SessionID() int32 {
	if c.session == nil {
		return 0
	}
	return c.session.id
}

// Incremental reports whether the answer leaves out partitions without news.
func (c *Context) Incremental() bool { return c.incremental }

// End gives the session back after the answer was built, so that the client's next
// request may use it. It must be called once for every context Begin returned.
func (c *Context) End() {
	if c.session != nil {
		c.session.mu.Lock()
		c.session.busy = false
		c.session.mu.Unlock()
	}
}

// News reports whether partition p must be in the answer, and remembers what the
// client is told by it. size is the number of record bytes that p contributes.
// It must be called once for each partition when the answer is built.
func (c *Context) News(p *Partition, code protocol.ErrorCode, highWatermark, logStartOffset int64, size int, diverging bool) bool {
	if c.session == nil {
		return true
	}
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	news := !c.incremental || !p.told || code != protocol.None || size > 0 || diverging ||
		p.toldHW != highWatermark || p.toldLogStart != logStartOffset
	// An error is told again until the client reacts, as Kafka does.
	p.told = code == protocol.None
	p.toldHW, p.toldLogStart = highWatermark, logStartOffset
	if size > 0 && p.next != nil {
		unlink(p)
		s := c.session
		p.prev, p.next = s.ring.prev, &s.ring
		p.prev.next, s.ring.prev = p, p
	}
	return news
}
