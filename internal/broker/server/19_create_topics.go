package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// createTopics creates topics; the answer leaves when this broker leads them.
func (b *Broker) createTopics(c *call, r *protocol.CreateTopicsRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	response := &protocol.CreateTopicsResponse{}
	for i := range r.Topics {
		var t protocol.CreateTopicsResponseCreatableTopicResult
		t.SetDefaults()
		t.Name, t.ErrorCode, t.ErrorMessage = r.Topics[i].Name, protocol.CodeOf(err), errorMessage(err)
		response.Topics = append(response.Topics, t)
	}
	return response
}
