package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// readShareGroupState tells what is remembered of share partitions.
func (b *Broker) readShareGroupState(c *call, r *protocol.ReadShareGroupStateRequest) {
	b.ShareState.ReadShareGroupState(c.context(), r, reply[protocol.ReadShareGroupStateResponse](c))
}
