package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// deleteShareGroupState forgets share partitions.
func (b *Broker) deleteShareGroupState(c *call, r *protocol.DeleteShareGroupStateRequest) {
	b.ShareState.DeleteShareGroupState(c.context(), r, reply[protocol.DeleteShareGroupStateResponse](c))
}
