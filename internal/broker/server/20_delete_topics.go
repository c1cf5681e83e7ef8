package server

import (
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// deleteTopics deletes topics by name or, from v6, by id.
func (b *Broker) deleteTopics(c *call, r *protocol.DeleteTopicsRequest) protocol.Message {
	m, err := b.submit(r, c.version())
	if err == nil {
		return m
	}
	response := &protocol.DeleteTopicsResponse{}
	refuse := func(name *string, id protocol.UUID) {
		response.Responses = append(response.Responses, protocol.DeleteTopicsResponseDeletableTopicResult{
			Name: name, TopicId: id, ErrorCode: protocol.CodeOf(err), ErrorMessage: errorMessage(err),
		})
	}
	for i := range r.TopicNames {
		refuse(&r.TopicNames[i], protocol.UUID{})
	}
	for _, t := range r.Topics {
		refuse(t.Name, t.TopicId)
	}
	return response
}
