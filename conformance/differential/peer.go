package differential

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// answerLimit bounds how long a server may take for one answer.
const answerLimit = 5 * time.Second

// maxAnswer bounds the size of an answer in bytes.
const maxAnswer = 64 << 20

// clientID is what every peer calls itself.
const clientID = "differ"

// Errors of a peer, each one possible outcome of a request.
var (
	errClosed = errors.New("closed")
	errSilent = errors.New("silent")
)

// peer is one connection that speaks frames. It is used by one goroutine at a time.
type peer struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	id   int32
}

// open connects unless there is a connection.
func (p *peer) open() error {
	if p.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", p.addr, 5*time.Second)
	if err != nil {
		return err
	}
	p.conn, p.in = conn, bufio.NewReaderSize(conn, 64<<10)
	return nil
}

func (p *peer) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// frame builds a whole frame with its header for the request in the version.
func frame(r protocol.Request, version int16, id int32) []byte {
	name := clientID
	header := protocol.RequestHeader{APIKey: r.Key(), APIVersion: version, CorrelationID: id, ClientID: &name}
	return sized(r.Append(header.Append(make([]byte, 4)), version))
}

// sized fills in the first four bytes of a frame.
func sized(f []byte) []byte {
	binary.BigEndian.PutUint32(f, uint32(len(f)-4))
	return f
}

// send writes a request and returns its correlation id.
func (p *peer) send(r protocol.Request, version int16) (int32, error) {
	p.id++
	return p.id, p.write(frame(r, version, p.id))
}

func (p *peer) write(b []byte) error {
	if err := p.open(); err != nil {
		return err
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(answerLimit))
	if _, err := p.conn.Write(b); err != nil {
		return errClosed
	}
	return nil
}

// read returns the next frame without its size.
func (p *peer) read(limit time.Duration) ([]byte, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(limit))
	size := make([]byte, 4)
	if _, err := io.ReadFull(p.in, size); err != nil {
		return nil, p.lost(err)
	}
	n := binary.BigEndian.Uint32(size)
	if n > maxAnswer {
		return nil, p.lost(fmt.Errorf("an answer of %d bytes", n))
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(p.in, answer); err != nil {
		return nil, p.lost(err)
	}
	return answer, nil
}

// lost closes the connection, on which nothing can be told apart any more, and says why.
func (p *peer) lost(err error) error {
	p.close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSilent
	}
	return errClosed
}

// receive reads the answer to a request and decodes it. UNSUPPORTED_VERSION of ApiVersions comes in
// version 0 whatever was asked (KIP-511).
func (p *peer) receive(key protocol.APIKey, version int16, id int32, limit time.Duration) (protocol.Message, error) {
	answer, err := p.read(limit)
	if err != nil {
		return nil, err
	}
	got, body, err := protocol.ParseResponseHeader(answer, key, version)
	if err != nil {
		return nil, fmt.Errorf("undecodable: %w", err)
	}
	if got != id {
		return nil, fmt.Errorf("answer to request %+d", got-id)
	}
	m := key.API().NewResponse()
	if key == protocol.KeyApiVersions && len(body) > 1 && protocol.ErrorCode(binary.BigEndian.Uint16(body)) == protocol.UnsupportedVersion {
		version = 0
	}
	if err := m.Decode(body, version); err != nil {
		return nil, fmt.Errorf("undecodable: %w", err)
	}
	return m, nil
}

// ask is send and receive.
func (p *peer) ask(r protocol.Request, version int16) (protocol.Message, error) {
	id, err := p.send(r, version)
	if err != nil {
		return nil, err
	}
	return p.receive(r.Key(), version, id, answerLimit)
}
