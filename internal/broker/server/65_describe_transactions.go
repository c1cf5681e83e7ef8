package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// describeTransactions tells where transactional ids are in their lives.
func (b *Broker) describeTransactions(c *call, r *protocol.DescribeTransactionsRequest) {
	b.Transactions.Describe(c.context(), r, reply[protocol.DescribeTransactionsResponse](c))
}
