package controller

import (
	"math"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// ProducerIDBlockSize is how many producer ids a broker gets at once.
const ProducerIDBlockSize = 1000

// allocateProducerIDs gives a broker a block of producer ids that nobody else
// ever gets.
func (c *Core) allocateProducerIDs(r *protocol.AllocateProducerIdsRequest) *protocol.AllocateProducerIdsResponse {
	resp := &protocol.AllocateProducerIdsResponse{}
	resp.SetDefaults()
	if _, code := c.checkBrokerEpoch(r.BrokerId, r.BrokerEpoch); code != protocol.None {
		resp.ErrorCode = code
		return resp
	}
	start := c.image().ProducerIDs().NextProducerID
	if start > math.MaxInt64-ProducerIDBlockSize {
		resp.ErrorCode = protocol.UnknownServerError
		return resp
	}
	c.write(&metarecord.ProducerIdsRecord{
		BrokerId: r.BrokerId, BrokerEpoch: r.BrokerEpoch, NextProducerId: start + ProducerIDBlockSize,
	})
	resp.ProducerIdStart, resp.ProducerIdLen = start, ProducerIDBlockSize
	return resp
}
