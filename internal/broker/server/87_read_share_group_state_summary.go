package server

import "github.com/naru-stream/naru/internal/kafka/protocol"

// readShareGroupStateSummary tells where share partitions begin.
func (b *Broker) readShareGroupStateSummary(c *call, r *protocol.ReadShareGroupStateSummaryRequest) {
	b.ShareState.ReadShareGroupStateSummary(c.context(), r, reply[protocol.ReadShareGroupStateSummaryResponse](c))
}
