package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// initializeShareGroupState begins share partitions.
func (b *Broker) initializeShareGroupState(c *call, r *protocol.InitializeShareGroupStateRequest) {
	b.ShareState.InitializeShareGroupState(c.context(), r, reply[protocol.InitializeShareGroupStateResponse](c))
}
