package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// endTxn commits or aborts a transaction. The answer means that it is decided; its
// records become visible when the markers are written.
func (b *Broker) endTxn(c *call, r *protocol.EndTxnRequest) {
	b.Transactions.EndTxn(c.context(), r, func(response *protocol.EndTxnResponse) {
		response.ErrorCode = fencedCode(response.ErrorCode, c.version() >= 2)
		c.respond(response)
	})
}
