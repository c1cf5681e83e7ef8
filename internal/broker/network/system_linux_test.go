package network

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func openFileLimit() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	return l.Cur
}

// allRead tells that the server has taken what its clients sent.
func allRead(s *Server) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		raw, err := c.nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			return false
		}
		left := 0
		_ = raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
		if left > 0 || err != nil {
			return false
		}
	}
	return true
}

func TestConnectionsGetTheBuffersThatTheLimitsSay(t *testing.T) {
	s := start(t, Limits{SendBuffer: 20_000, ReceiveBuffer: 30_000}, echo)
	c := dial(t, s)
	c.send(payload(10, "a"))
	c.want(payload(10, "a"))
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		raw, err := conn.nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var send, receive int
		_ = raw.Control(func(fd uintptr) {
			send, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
			receive, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		})
		if send != 40_000 || receive != 60_000 { // Linux doubles what it is asked for
			t.Errorf("buffers of %d and %d bytes, want 40000 and 60000", send, receive)
		}
	}
}
