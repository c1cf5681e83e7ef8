package server

import (
	"net"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// groupOperations are what a client may do with a group, see topicOperations.
const groupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// context tells a coordinator who asks.
func (c *call) context() runtime.Context {
	host := c.req.Conn().RemoteAddr().String()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return runtime.Context{Version: c.version(), ClientID: c.clientID(), ClientHost: "/" + host}
}

// reply returns the callback that answers the call with the response.
func reply[T any, P interface {
	*T
	protocol.Message
}](c *call) func(P) {
	return func(r P) { c.respond(r) }
}

// topicOf returns the topic that a request names, or identifies where byID is set;
// nil if there is none.
func (b *Broker) topicOf(name string, id protocol.UUID, byID bool) *metadata.Topic {
	if byID {
		return b.image().TopicByID(id)
	}
	return b.image().Topic(name)
}

// unknownTopicCode is what a request gets for a topic that is not there.
func unknownTopicCode(byID bool) protocol.ErrorCode {
	if byID {
		return protocol.UnknownTopicId
	}
	return protocol.UnknownTopicOrPartition
}
