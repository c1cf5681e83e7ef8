package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/publish"
)

// initProducerID gives a producer its id. One that is only idempotent and comes back
// with an id gets a new one: ids are plentiful and no state is tied to them. What a
// transactional one gets is the coordinator's decision.
func (b *Broker) initProducerID(c *call, r *protocol.InitProducerIdRequest) {
	if r.TransactionalId != nil {
		b.Transactions.InitProducerID(c.context(), r, func(response *protocol.InitProducerIdResponse) {
			response.ErrorCode = fencedCode(response.ErrorCode, c.version() >= 4)
			c.respond(response)
		})
		return
	}
	response := &protocol.InitProducerIdResponse{}
	response.SetDefaults()
	response.ProducerEpoch = -1
	id, err := b.ProducerIDs.Next()
	if err != nil {
		b.log.Warn("no producer id for a client", "client_id", c.clientID(), "error", err)
		response.ErrorCode = protocol.CoordinatorNotAvailable
		c.respond(response)
		return
	}
	response.ProducerId, response.ProducerEpoch = id, 0
	c.respond(response)
}

// ProducerIDs hands out ids from blocks that the controller reserves, so that no id
// is given twice, whatever crashes. Its methods may be called from any goroutine.
type ProducerIDs struct {
	controller Controller
	metadata   *publish.Publisher
	nodeID     int32

	mu          sync.Mutex
	first, left int64
}

// NewProducerIDs returns the producer ids of a node.
func NewProducerIDs(controller Controller, metadata *publish.Publisher, nodeID int32) *ProducerIDs {
	return &ProducerIDs{controller: controller, metadata: metadata, nodeID: nodeID}
}

// Next returns an id that nobody has had. It may wait for the controller.
func (p *ProducerIDs) Next() (int64, error) {
	for {
		p.mu.Lock()
		if p.left > 0 {
			id := p.first
			p.first++
			p.left--
			p.mu.Unlock()
			return id, nil
		}
		p.mu.Unlock()
		if err := p.reserve(); err != nil {
			return 0, err
		}
	}
}

// reserve asks for another block. Two at once may both get one; the second is
// dropped, which only skips ids.
func (p *ProducerIDs) reserve() error {
	ctx, cancel := context.WithTimeout(context.Background(), submitTimeout)
	defer cancel()
	request := &protocol.AllocateProducerIdsRequest{BrokerId: p.nodeID}
	if self := p.metadata.Current().Broker(p.nodeID); self != nil {
		request.BrokerEpoch = self.Epoch
	}
	m, _, err := p.controller.Submit(ctx, request, 0)
	if err != nil {
		return fmt.Errorf("reserving producer ids: %w", err)
	}
	block := m.(*protocol.AllocateProducerIdsResponse)
	if block.ErrorCode != protocol.None {
		return fmt.Errorf("reserving producer ids: %w", block.ErrorCode)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 {
		p.first, p.left = block.ProducerIdStart, int64(block.ProducerIdLen)
	}
	return nil
}
