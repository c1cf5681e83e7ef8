package server

import (
	"github.com/naru-stream/naru/internal/broker/network"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// call is one request on its way through the server. Its body, and every string
// and byte slice decoded from it, is valid until the request is answered.
type call struct {
	broker *Broker
	req    *network.Request
	header protocol.RequestHeader
	body   []byte
}

func (c *call) version() int16 { return c.header.APIVersion }

func (c *call) clientID() string {
	if c.header.ClientID == nil {
		return ""
	}
	return *c.header.ClientID
}

// respond answers with the message in the request's version. A message that the
// version cannot carry is a handler's mistake, and must not cost more than the
// connection.
func (c *call) respond(m protocol.Message) {
	if err := protocol.CheckVersion(m, c.header.APIVersion); err != nil {
		c.broker.log.Error("closing connection, because the answer does not fit the request's version",
			"api", c.header.APIKey.String(), "version", c.header.APIVersion, "error", err)
		c.req.CloseConnection()
		return
	}
	out := protocol.AppendResponseHeader(c.req.Buffer(), c.header.APIKey, c.header.APIVersion, c.header.CorrelationID)
	c.req.Respond(m.Append(out, c.header.APIVersion))
}

// malformed ends a connection whose request could not be read: nothing after it
// can be trusted. Kafka closes the connection too.
func (c *call) malformed(err error) {
	c.broker.log.Info("closing connection after a malformed request",
		"api", c.header.APIKey.String(), "version", c.header.APIVersion,
		"client_id", c.clientID(), "remote", c.req.Conn().RemoteAddr().String(), "error", err)
	c.req.CloseConnection()
}

// message is a request of type T that can be decoded.
type message[T any] interface {
	*T
	protocol.Request
}

// inline makes a handler of a function that answers before it returns.
func inline[T any, P message[T]](answer func(*Broker, *call, P) protocol.Message) func(*Broker, *call) {
	return func(b *Broker, c *call) {
		r := P(new(T))
		if err := r.Decode(c.body, c.version()); err != nil {
			c.malformed(err)
			return
		}
		c.respond(answer(b, c, r))
	}
}

// later makes a handler of a function that answers through c.respond, at any time
// and from any goroutine.
func later[T any, P message[T]](handle func(*Broker, *call, P)) func(*Broker, *call) {
	return func(b *Broker, c *call) {
		r := P(new(T))
		if err := r.Decode(c.body, c.version()); err != nil {
			c.malformed(err)
			return
		}
		handle(b, c, r)
	}
}

func ptr[T any](v T) *T { return &v }

// message returns the text that goes with an error code, nil where there is none.
func errorMessage(err error) *string {
	if err == nil {
		return nil
	}
	return ptr(err.Error())
}
