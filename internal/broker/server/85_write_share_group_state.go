package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// writeShareGroupState takes in what became of the records of share partitions.
func (b *Broker) writeShareGroupState(c *call, r *protocol.WriteShareGroupStateRequest) {
	b.ShareState.WriteShareGroupState(c.context(), r, reply[protocol.WriteShareGroupStateResponse](c))
}
