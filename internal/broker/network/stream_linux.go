package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// bulkQuantum is how much of a file is sent before others get their turn.
	bulkQuantum = 256 << 10
	// maxVec is how many pieces one system call takes (IOV_MAX).
	maxVec = 1024
)

// newStream returns a stream over the socket of nc if it is a TCP connection.
func newStream(c *Conn, nc net.Conn) stream {
	if tcp, ok := nc.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			s := &socketStream{conn: c, nc: nc, raw: raw}
			s.onReadable, s.onWritable = s.readable, s.writable
			return s
		}
	}
	return &plainStream{conn: c, nc: nc}
}

// socketStream makes the system calls itself: so that a connection that waits
// holds no buffer, a deadline is set only before waiting, and a file is sent in
// quanta at an explicit offset.
type socketStream struct {
	conn *Conn
	nc   net.Conn
	raw  syscall.RawConn
	// The callbacks are made once, because making a method value allocates.
	onReadable, onWritable func(fd uintptr) bool
	readErr                error

	// What is being written, by the owner of the sending side.
	vec      [][]byte
	more     bool
	file     int
	offset   int64
	left     int64
	warmTo   int64 // up to where the file was found or brought into memory
	writeErr error
	probe    [1]byte
	probeVec [1][]byte
}

func (s *socketStream) read() error {
	for {
		s.readErr = nil
		if err := s.raw.Read(s.onReadable); err != nil {
			return err
		}
		if !errors.Is(s.readErr, errFlush) {
			return s.readErr
		}
		if s.conn.held == 1 {
			s.conn.lonely = lonelyRequests
		}
		s.conn.flushHeld()
	}
}

// errFlush ends a read that would wait while answers are held: sending them may
// close the connection, which cannot be done from within a read.
var errFlush = errors.New("held answers are sent before waiting")

// readable reads what is there; it returns false to wait for more.
func (s *socketStream) readable(fd uintptr) bool {
	in := &s.conn.in
	for {
		n, err := unix.Read(int(fd), in.room())
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if s.conn.held > 0 {
				s.readErr = errFlush
				return true
			}
			in.park()
			s.conn.armRead()
			return false
		case err != nil:
			s.readErr = err
		case n == 0:
			s.readErr = io.EOF
		default:
			in.filled(n)
		}
		return true
	}
}

func (s *socketStream) flushesBeforeWaiting() bool { return true }

func (s *socketStream) write(vec [][]byte, more bool) error {
	s.vec, s.more, s.left, s.writeErr = vec, more, 0, nil
	err := s.raw.Write(s.onWritable)
	s.vec = nil
	if err == nil {
		err = s.writeErr
	}
	return err
}

func (s *socketStream) canSendFile() bool { return true }

func (s *socketStream) sendFile(fd uintptr, offset, n int64) (int64, error) {
	s.file, s.offset, s.left, s.warmTo, s.writeErr = int(fd), offset, n, -1, nil
	err := s.raw.Write(s.onWritable)
	if err == nil {
		err = s.writeErr
	}
	return n - s.left, err
}

// writable sends as much as the socket takes; it returns false to wait until it
// takes more.
func (s *socketStream) writable(fd uintptr) bool {
	for len(s.vec) > 0 || s.left > 0 {
		var n int
		var err error
		if len(s.vec) > 0 {
			n, err = s.sendBytes(int(fd))
		} else {
			n, err = s.sendQuantum(int(fd))
		}
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if limit := s.conn.server.limits.WriteStall; limit > 0 {
				// An error means the connection is closed; waiting will tell.
				_ = s.nc.SetWriteDeadline(time.Now().Add(limit))
			}
			return false
		case err != nil:
			s.writeErr = err
			return true
		default:
			s.sent(n)
		}
		if s.writeErr != nil {
			return true
		}
	}
	return true
}

func (s *socketStream) sendBytes(fd int) (int, error) {
	if len(s.vec) == 1 && !s.more {
		return unix.Write(fd, s.vec[0])
	}
	flags := unix.MSG_NOSIGNAL
	if s.more {
		flags |= unix.MSG_MORE
	}
	return unix.SendmsgBuffers(fd, s.vec[:min(len(s.vec), maxVec)], nil, nil, flags)
}

// sendQuantum sends one piece of a file while holding a place among the bulk
// sends, so that they leave processors to everybody else.
func (s *socketStream) sendQuantum(fd int) (int, error) {
	bulk := s.conn.server.bulk
	quantum := min(s.left, bulkQuantum)
	if s.warmTo < s.offset+quantum {
		s.warm(s.offset, quantum)
	}
	bulk <- struct{}{}
	n, err := unix.Sendfile(fd, s.file, &s.offset, int(quantum))
	<-bulk
	if err == unix.EIO {
		s.writeErr = fmt.Errorf("%w: reading at %d: %w", errFile, s.offset, err)
	}
	if n == 0 && err == nil {
		s.writeErr = fmt.Errorf("%w: it ends at %d, %d bytes before the end of the range", errFile, s.offset, s.left)
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// sent moves on by n bytes.
func (s *socketStream) sent(n int) {
	if len(s.vec) == 0 {
		s.left -= int64(n)
		return
	}
	for n > 0 {
		if n < len(s.vec[0]) {
			s.vec[0] = s.vec[0][n:]
			return
		}
		n -= len(s.vec[0])
		s.vec = s.vec[1:]
	}
}
