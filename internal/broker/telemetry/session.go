package telemetry

import (
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// session is the conversation with one client instance.
type session struct {
	client      Client
	wanted      wanted
	revision    int64 // of the subscriptions that wanted was made from
	lastGet     int64
	lastPush    int64
	lastSeen    int64
	terminating bool
	// lastError is what the last answer said: a client that was told to ask again
	// may do so at once.
	lastError protocol.ErrorCode
}

// mayGet tells whether the client may ask for its subscriptions now, and notes it.
func (s *session) mayGet(nowMs int64) bool {
	if nowMs-max(s.lastGet, s.lastPush) >= int64(s.wanted.intervalMs) {
		s.lastGet = nowMs
		return true
	}
	return s.lastError == protocol.UnknownSubscriptionId || s.lastError == protocol.UnsupportedCompressionType
}

// mayPush tells whether the client may push now, and notes it: after the interval, or
// once after it asked, because clients begin at a random point of the interval.
func (s *session) mayPush(nowMs int64) bool {
	if s.lastGet > s.lastPush || nowMs-s.lastPush >= int64(s.wanted.intervalMs) {
		s.lastPush = nowMs
		return true
	}
	return false
}

// check returns the error of a push, in the order in which Kafka finds it.
func (s *session) check(r *protocol.PushTelemetryRequest, maxBytes int32, nowMs int64) protocol.ErrorCode {
	switch {
	case s.terminating:
		return protocol.InvalidRequest
	case !s.mayPush(nowMs) && !r.Terminating:
		return protocol.ThrottlingQuotaExceeded
	case r.SubscriptionId != s.wanted.id:
		return protocol.UnknownSubscriptionId
	case !compress.Codec(r.CompressionType).Valid():
		return protocol.UnsupportedCompressionType
	case len(r.Metrics) > int(maxBytes):
		return protocol.TelemetryTooLarge
	}
	return protocol.None
}

// reserved tells whether an id stands for something else than a client instance: none,
// or the id 1, which Kafka keeps for itself.
func reserved(id wire.UUID) bool { return id.IsZero() || id == wire.UUID{15: 1} }
