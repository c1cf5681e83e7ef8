package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// listTransactions lists the transactional ids that this broker coordinates.
func (b *Broker) listTransactions(c *call, r *protocol.ListTransactionsRequest) {
	b.Transactions.List(c.context(), r, reply[protocol.ListTransactionsResponse](c))
}
