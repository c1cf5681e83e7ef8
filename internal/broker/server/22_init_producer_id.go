package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/publish"
)

// initProducerID gives an idempotent producer its id. A producer that comes back
// with an id gets a new one: ids are plentiful and no state is tied to them.
func (b *Broker) initProducerID(c *call, r *protocol.InitProducerIdRequest) protocol.Message {
	response := &protocol.InitProducerIdResponse{}
	response.SetDefaults()
	response.ProducerEpoch = -1
	if r.TransactionalId != nil {
		// Transactions are not served, and no transaction coordinator is advertised.
		response.ErrorCode = protocol.UnsupportedVersion
		if *r.TransactionalId == "" {
			response.ErrorCode = protocol.InvalidRequest
		}
		return response
	}
	id, err := b.producers.next()
	if err != nil {
		b.log.Warn("no producer id for a client", "client_id", c.clientID(), "error", err)
		response.ErrorCode = protocol.CoordinatorNotAvailable
		return response
	}
	response.ProducerId, response.ProducerEpoch = id, 0
	return response
}

// producerIDs hands out ids from blocks that the controller reserves, so that no
// id is given twice, whatever crashes.
type producerIDs struct {
	controller Controller
	metadata   *publish.Publisher
	nodeID     int32

	mu          sync.Mutex
	first, left int64
}

func (p *producerIDs) next() (int64, error) {
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
func (p *producerIDs) reserve() error {
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
