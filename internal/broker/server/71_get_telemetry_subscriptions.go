package server

import (
	"crypto/rand"
	"net"
	"strings"

	"github.com/naru-stream/naru/internal/broker/telemetry"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// getTelemetrySubscriptions tells a client which metrics to push, how often and how
// (KIP-714).
func (b *Broker) getTelemetrySubscriptions(c *call, r *protocol.GetTelemetrySubscriptionsRequest) protocol.Message {
	response, first := b.Telemetry.Get(r, c.client(), newInstanceID(), nowMs())
	c.endsTelemetry(first)
	return response
}

// client tells who sent the request, with texts that outlive it.
func (c *call) client() telemetry.Client {
	conn := c.req.Conn()
	out := telemetry.Client{Connection: conn.ID(), ID: strings.Clone(c.clientID())}
	out.Software, out.Version = conn.ClientSoftware()
	if host, port, err := net.SplitHostPort(conn.RemoteAddr().String()); err == nil {
		out.SourceAddress, out.SourcePort = host, port
	}
	return out
}

// endsTelemetry tells the telemetry of a connection's end, if it is to be told.
func (c *call) endsTelemetry(first bool) {
	if first {
		conn, rooms := c.req.Conn(), c.broker.Telemetry
		conn.OnClose(func() { rooms.Disconnected(conn.ID()) })
	}
}

// newInstanceID makes the id of a client instance: random, and without a dash in
// front, which command lines take for an option.
func newInstanceID() wire.UUID {
	for {
		var id wire.UUID
		_, _ = rand.Read(id[:]) // documented never to fail
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}
