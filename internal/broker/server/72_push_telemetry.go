package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// pushTelemetry takes the metrics of a client (KIP-714).
func (b *Broker) pushTelemetry(c *call, r *protocol.PushTelemetryRequest) protocol.Message {
	code, first, err := b.Telemetry.Push(r, c.client(), nowMs())
	c.endsTelemetry(first)
	if err != nil {
		b.log.Info("metrics that a client pushed were not taken", "client_id", c.clientID(),
			"client_instance_id", r.ClientInstanceId.String(), "remote", c.req.Conn().RemoteAddr().String(), "error", err)
	}
	return &protocol.PushTelemetryResponse{ErrorCode: code}
}
