package telemetry

import (
	"container/list"
	"fmt"
	"iter"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// accepted are the compressions clients may use, the preferred first.
var accepted = []int8{int8(compress.Zstd), int8(compress.Lz4), int8(compress.Gzip), int8(compress.Snappy)}

// Manager answers the two APIs and keeps what clients pushed. Its methods may be
// called from any goroutine.
type Manager struct {
	maxBytes int32

	mu            sync.Mutex
	subscriptions map[string]*Subscription
	revision      int64 // of subscriptions
	sessions      map[wire.UUID]*list.Element
	order         *list.List // of *entry, the one heard of last in front
	connections   map[uint64]wire.UUID

	// receiving guards the rest, and lets one payload be decoded at a time.
	receiving sync.Mutex
	store     *store
	plain     []byte
}

type entry struct {
	id wire.UUID
	session
}

// NewManager returns a manager that accepts pushes of up to maxBytes
// (telemetry.max.bytes), before and after decompression.
func NewManager(maxBytes int32) *Manager {
	return &Manager{
		maxBytes: maxBytes, subscriptions: map[string]*Subscription{}, sessions: map[wire.UUID]*list.Element{}, order: list.New(),
		connections: map[uint64]wire.UUID{}, store: newStore(),
	}
}

// Subscribe sets the subscription of that name, or with nil removes it. Clients learn
// of it with their next push.
func (m *Manager) Subscribe(name string, s *Subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s == nil {
		delete(m.subscriptions, name)
	} else {
		m.subscriptions[name] = s
	}
	m.revision++
}

// Get answers a GetTelemetrySubscriptions request. A client that has no id yet gets
// newID. First tells whether the connection was not heard of before: its end must then
// be told to Disconnected.
func (m *Manager) Get(r *protocol.GetTelemetrySubscriptionsRequest, c Client, newID wire.UUID, nowMs int64) (response *protocol.GetTelemetrySubscriptionsResponse, first bool) {
	id := r.ClientInstanceId
	if id.IsZero() {
		id = newID
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, first := m.session(id, c, nowMs)
	response = &protocol.GetTelemetrySubscriptionsResponse{}
	response.SetDefaults()
	if !s.mayGet(nowMs) {
		response.ErrorCode = protocol.ThrottlingQuotaExceeded
		return response, first
	}
	s.lastError = protocol.None
	response.ClientInstanceId, response.SubscriptionId = id, s.wanted.id
	response.RequestedMetrics, response.PushIntervalMs = s.wanted.metrics, s.wanted.intervalMs
	response.AcceptedCompressionTypes, response.TelemetryMaxBytes = accepted, m.maxBytes
	response.DeltaTemporality = true
	return response, first
}

// Push answers a PushTelemetry request. First is as for Get; problem is for the log.
func (m *Manager) Push(r *protocol.PushTelemetryRequest, c Client, nowMs int64) (code protocol.ErrorCode, first bool, problem error) {
	if reserved(r.ClientInstanceId) {
		return protocol.InvalidRequest, false, fmt.Errorf("invalid client instance id %s", r.ClientInstanceId)
	}
	m.mu.Lock()
	s, first := m.session(r.ClientInstanceId, c, nowMs)
	code = s.check(r, m.maxBytes, nowMs)
	s.terminating = r.Terminating
	s.lastError = code
	expires := nowMs + expiryMs(s.wanted.intervalMs)
	m.mu.Unlock()
	if code != protocol.None || len(r.Metrics) == 0 {
		return code, first, nil
	}
	if err := m.receive(r, c, nowMs, expires); err != nil {
		m.mu.Lock()
		if e, ok := m.sessions[r.ClientInstanceId]; ok {
			e.Value.(*entry).lastError = protocol.InvalidRecord
		}
		m.mu.Unlock()
		return protocol.InvalidRecord, first, err
	}
	return protocol.None, first, nil
}

// receive takes the payload of a push that may be taken.
func (m *Manager) receive(r *protocol.PushTelemetryRequest, c Client, nowMs, expiresMs int64) error {
	m.receiving.Lock()
	defer m.receiving.Unlock()
	plain, err := compress.Decompress(m.plain[:0], r.Metrics, compress.Codec(r.CompressionType), int(m.maxBytes))
	if err != nil {
		return err
	}
	m.plain = plain
	// Once to see that all of it can be read, then to keep it.
	d := decoder{resource: func([]Label) {}, point: func(string, []Label, point) {}}
	if err := d.decode(plain); err != nil {
		return err
	}
	in := m.store.open(r.ClientInstanceId, nowMs)
	before := in.bytes
	in.Client, in.PushedMs, in.Terminating, in.expiresMs = c, nowMs, r.Terminating, expiresMs
	d.resource, d.point = in.describe, in.put
	err = d.decode(plain)
	m.store.settle(in, before)
	return err
}

// session returns the conversation with an instance, up to date with the
// subscriptions; a new one begins as in Kafka as if it had never been throttled.
func (m *Manager) session(id wire.UUID, c Client, nowMs int64) (s *session, first bool) {
	e, ok := m.sessions[id]
	switch {
	case !ok:
		m.makeRoom(nowMs)
		e = m.order.PushFront(&entry{id: id, session: session{client: c, wanted: want(m.subscriptions, &c, id), revision: m.revision}})
		m.sessions[id] = e
	case e.Value.(*entry).revision != m.revision:
		old := &e.Value.(*entry).session
		*old = session{client: old.client, wanted: want(m.subscriptions, &old.client, id), revision: m.revision}
	}
	m.order.MoveToFront(e)
	s = &e.Value.(*entry).session
	s.lastSeen = nowMs
	owner, known := m.connections[c.Connection]
	if !known || owner != id {
		m.leave(owner, known, c.Connection)
		m.connections[c.Connection] = id
		s.client.Connection = c.Connection
	}
	return s, !known
}

// makeRoom ends the conversations that have expired, and the oldest if there are too
// many.
func (m *Manager) makeRoom(nowMs int64) {
	for e := m.order.Back(); e != nil; e = m.order.Back() {
		old := e.Value.(*entry)
		if m.order.Len() < MaxSessions && nowMs-old.lastSeen < expiryMs(old.wanted.intervalMs) {
			return
		}
		m.order.Remove(e)
		delete(m.sessions, old.id)
	}
}

// leave ends the conversation that a connection had, unless it goes on over another.
func (m *Manager) leave(id wire.UUID, known bool, connection uint64) {
	if e, ok := m.sessions[id]; known && ok && e.Value.(*entry).client.Connection == connection {
		m.order.Remove(e)
		delete(m.sessions, id)
	}
}

// Disconnected ends the conversation over a connection that has ended.
func (m *Manager) Disconnected(connection uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, known := m.connections[connection]
	delete(m.connections, connection)
	m.leave(id, known, connection)
}

// Instances returns what clients pushed, one instance after the other in order of
// their ids. It may be left out of a loop at any time.
func (m *Manager) Instances(nowMs int64) iter.Seq[Instance] {
	return func(yield func(Instance) bool) {
		m.receiving.Lock()
		ids := m.store.ids(nowMs)
		m.receiving.Unlock()
		for _, id := range ids {
			m.receiving.Lock()
			in, ok := m.store.get(id)
			m.receiving.Unlock()
			if ok && !yield(in) {
				return
			}
		}
	}
}
