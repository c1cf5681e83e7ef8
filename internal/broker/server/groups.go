package server

import (
	"net"

	"github.com/naru-stream/naru/internal/coordinator/runtime"
	"github.com/naru-stream/naru/internal/kafka/protocol"
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

// topicName returns the name of a topic that a request names, or identifies where
// byID is set; ok is false if there is no such topic.
func (b *Broker) topicName(name string, id protocol.UUID, byID bool) (string, bool) {
	if byID {
		t := b.image().TopicByID(id)
		if t == nil {
			return "", false
		}
		return t.Name, true
	}
	return name, b.image().Topic(name) != nil
}

// unknownTopicCode is what a request gets for a topic that is not there.
func unknownTopicCode(byID bool) protocol.ErrorCode {
	if byID {
		return protocol.UnknownTopicId
	}
	return protocol.UnknownTopicOrPartition
}
