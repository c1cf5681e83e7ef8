package network

import (
	"net"
	"time"
)

// stream is how a connection's bytes are moved: straight through the socket
// where the system allows it, through net.Conn otherwise (TLS, memory).
type stream interface {
	// read puts at least one byte into the connection's inbox.
	read() error
	// flushesBeforeWaiting tells that read calls Conn.flushHeld before it waits.
	flushesBeforeWaiting() bool
	// write sends all bytes; more says that something follows at once. It may
	// change vec.
	write(vec [][]byte, more bool) error
	// canSendFile tells whether sendFile works.
	canSendFile() bool
	// sendFile sends n bytes of an open file and returns how many were sent.
	sendFile(fd uintptr, offset, n int64) (int64, error)
}

// plainStream moves bytes through a net.Conn.
type plainStream struct {
	conn *Conn
	nc   net.Conn
}

func (s *plainStream) read() error {
	in := &s.conn.in
	// The read below may wait, so it must not hold a large buffer.
	in.park()
	s.conn.armRead()
	n, err := s.nc.Read(in.smallRoom())
	in.filled(n)
	if n > 0 {
		return nil
	}
	return err
}

func (s *plainStream) flushesBeforeWaiting() bool { return false }

func (s *plainStream) canSendFile() bool { return false }

func (s *plainStream) sendFile(uintptr, int64, int64) (int64, error) { return 0, nil }

// write joins small pieces, because each Write becomes a TLS record of its own.
func (s *plainStream) write(vec [][]byte, _ bool) error {
	if limit := s.conn.server.limits.WriteStall; limit > 0 {
		if err := s.nc.SetWriteDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
	}
	pool := &s.conn.server.buffers
	joined := pool.get(readBuffer)
	defer func() { pool.put(joined) }()
	for i, p := range vec {
		if len(joined)+len(p) <= cap(joined) && (i < len(vec)-1 || len(joined) > 0) {
			joined = append(joined, p...)
			continue
		}
		if err := s.flush(joined); err != nil {
			return err
		}
		joined = joined[:0]
		if err := s.flush(p); err != nil {
			return err
		}
	}
	return s.flush(joined)
}

func (s *plainStream) flush(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := s.nc.Write(p)
	return err
}
