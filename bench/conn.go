package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// conn is a client connection that speaks frames.
type conn struct {
	nc net.Conn
	in *bufio.Reader
	id int32
}

func dial(addr string) (*conn, error) {
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{nc: nc, in: bufio.NewReaderSize(nc, 64<<10)}, nil
}

func (c *conn) close() { _ = c.nc.Close() }

// encode returns the frame of a request.
func encode(r protocol.Request, version int16, id int32) []byte {
	client := "bench"
	header := protocol.RequestHeader{APIKey: r.Key(), APIVersion: version, CorrelationID: id, ClientID: &client}
	frame := header.Append(make([]byte, 4, 512))
	frame = r.Append(frame, version)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

// read returns the next response frame; it is valid until the next read.
func (c *conn) read(buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return buf, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	_, err := io.ReadFull(c.in, buf[:n])
	return buf[:n], err
}

// ask sends a request and decodes its response.
func (c *conn) ask(r protocol.Request, version int16, into protocol.Message) error {
	c.id++
	_ = c.nc.SetDeadline(time.Now().Add(30 * time.Second))
	defer c.nc.SetDeadline(time.Time{})
	if _, err := c.nc.Write(encode(r, version, c.id)); err != nil {
		return err
	}
	frame, err := c.read(nil)
	if err != nil {
		return err
	}
	_, body, err := protocol.ParseResponseHeader(frame, r.Key(), version)
	if err != nil {
		return err
	}
	return into.Decode(body, version)
}

func (c *conn) metadata() (*protocol.MetadataResponse, error) {
	response := &protocol.MetadataResponse{}
	request := &protocol.MetadataRequest{}
	if err := c.ask(request, 9, response); err != nil {
		return nil, err
	}
	if len(response.Brokers) == 0 {
		return nil, fmt.Errorf("no broker is registered yet")
	}
	return response, nil
}

// createTopic creates a topic and waits until every partition has a leader.
func createTopic(addr, name string, partitions int32) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.close()
	request := &protocol.CreateTopicsRequest{}
	request.SetDefaults()
	request.Topics = []protocol.CreateTopicsRequestCreatableTopic{{Name: name, NumPartitions: partitions, ReplicationFactor: 1}}
	response := &protocol.CreateTopicsResponse{}
	if err := c.ask(request, 5, response); err != nil {
		return err
	}
	if code := response.Topics[0].ErrorCode; code != protocol.None {
		return fmt.Errorf("creating topic %s: %w", name, code)
	}
	return c.awaitLeaders(name, partitions)
}

// awaitLeaders asks for every partition's end until all answer: metadata may name a
// leader that does not know it yet.
func (c *conn) awaitLeaders(topic string, partitions int32) error {
	request := &protocol.ListOffsetsRequest{ReplicaId: -1}
	asked := protocol.ListOffsetsRequestListOffsetsTopic{Name: topic}
	for i := range partitions {
		asked.Partitions = append(asked.Partitions, protocol.ListOffsetsRequestListOffsetsPartition{
			PartitionIndex: i, CurrentLeaderEpoch: -1, Timestamp: -1,
		})
	}
	request.Topics = append(request.Topics, asked)
	var code protocol.ErrorCode
	for range 2000 {
		response := &protocol.ListOffsetsResponse{}
		if err := c.ask(request, 5, response); err != nil {
			return err
		}
		code = protocol.None
		for _, p := range response.Topics[0].Partitions {
			if p.ErrorCode != protocol.None {
				code = p.ErrorCode
			}
		}
		if code == protocol.None {
			return nil
		}
		<-time.After(5 * time.Millisecond)
	}
	return fmt.Errorf("topic %s is not led: %w", topic, code)
}
