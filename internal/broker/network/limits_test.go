package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestFrameLengthThatIsNotAllowedCloses(t *testing.T) {
	for _, length := range []int32{-1, -2147483648, 0, 1, 7, 1<<20 + 1, 2147483647} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			s := start(t, Limits{MaxFrame: 1 << 20}, echo)
			c := dial(t, s)
			whole := frame(payload(10, "before"))
			whole = binary.BigEndian.AppendUint32(whole, uint32(length))
			c.nc.Write(append(whole, "some bytes more"...))
			c.want(payload(10, "before"))
			c.wantClosed()
			if got := s.stats.Closes[ClosedFrameSize].Load(); got != 1 {
				t.Errorf("%d connections closed for their frame's size, want 1", got)
			}
		})
	}
}

func TestFrameLimitCanRiseAfterAuthentication(t *testing.T) {
	s := startWith(t, Config{Listeners: []ListenerConfig{{Name: "SASL", Address: "127.0.0.1:0", FrameLimit: 1000}}}, func(r *Request) {
		if strings.HasPrefix(string(r.Frame()), "auth") {
			r.Conn().SetFrameLimit(100 << 10)
		}
		echo(r)
	})
	c := dial(t, s)
	c.send(payload(1000, "auth"))
	c.want(payload(1000, "auth"))
	c.send(payload(100<<10, "x"))
	c.want(payload(100<<10, "x"))
	c.send(payload(100<<10+1, "x"))
	c.wantClosed()
	other := dial(t, s)
	other.send(payload(1001, "x"))
	other.wantClosed()
}

func TestLocalhostListensOnBothFamiliesOnOnePort(t *testing.T) {
	s := startWith(t, Config{Listeners: []ListenerConfig{{Name: "PLAINTEXT", Address: "localhost:0"}}}, echo)
	l := s.Listener("PLAINTEXT")
	hosts := []string{"127.0.0.1"}
	if probe, err := net.Listen("tcp", "[::1]:0"); err == nil {
		probe.Close()
		hosts = append(hosts, "::1")
	}
	if len(l.Addrs()) != len(hosts) {
		t.Fatalf("listening on %v, want %v", l.Addrs(), hosts)
	}
	for _, h := range hosts {
		nc, err := net.Dial("tcp", net.JoinHostPort(h, fmt.Sprint(l.Port())))
		if err != nil {
			t.Errorf("dialling %s: %v", h, err)
			continue
		}
		nc.Close()
	}
}

func TestWrongAddressesAreNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, want := range map[string]string{
		"localhost":            "host:port",
		"localhost:kafka":      "0 to 65535",
		"localhost:70000":      "0 to 65535",
		"no.such.invalid:9092": "looking up",
		taken.Addr().String():  "in use",
	} {
		_, err := Listen(Config{Listeners: []ListenerConfig{{Name: "OUTSIDE", Address: address}}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "OUTSIDE") {
			t.Errorf("%s: %v, want an error with the listener's name and %q", address, err, want)
		}
	}
	_, err = Listen(Config{Listeners: []ListenerConfig{{Name: "A", Address: "127.0.0.1:0"}, {Name: "A", Address: "127.0.0.1:0"}}})
	if err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("two listeners of one name: %v", err)
	}
}

func TestOneAddressMayNotTakeAllConnections(t *testing.T) {
	s := start(t, Limits{MaxConnectionsPerIP: 5, PerIPOverrides: map[string]int{"127.0.0.1": 2}}, echo)
	a, b := dial(t, s), dial(t, s)
	for _, c := range []*client{a, b} {
		c.send(payload(10, "a"))
		c.want(payload(10, "a"))
	}
	dial(t, s).wantClosed()
	a.nc.Close()
	eventually(t, "the place becomes free", func() bool { return s.stats.Connections.Load() == 1 })
	again := dial(t, s)
	again.send(payload(10, "a"))
	again.want(payload(10, "a"))
}

func TestOverMaxConnectionsNewOnesWait(t *testing.T) {
	s := startWith(t, Config{Limits: Limits{MaxConnections: 2}, Listeners: []ListenerConfig{{Name: "PLAINTEXT", Address: "localhost:0"}}}, echo)
	a, b := dial(t, s), dial(t, s)
	for _, c := range []*client{a, b} {
		c.send(payload(10, "a"))
		c.want(payload(10, "a"))
	}
	third := dial(t, s)
	third.send(payload(10, "c"))
	if n := s.stats.Accepted.Load(); n != 2 {
		t.Fatalf("%d connections served, want 2", n)
	}
	b.nc.Close()
	third.want(payload(10, "c"))
}

// failing is a listener whose first accepts fail as when descriptors run out.
type failing struct {
	net.Listener
	left atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestAcceptingGoesOnAfterErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Listener: l}
	f.left.Store(4)
	s := startWith(t, Config{Listeners: []ListenerConfig{{Name: "PLAINTEXT", Accept: f}}}, echo)
	c := dial(t, s)
	c.send(payload(10, "a"))
	c.want(payload(10, "a"))
	if n := s.stats.AcceptErrors.Load(); n != 4 {
		t.Errorf("%d accept errors counted, want 4", n)
	}
}

func TestFailedHandshakeCloses(t *testing.T) {
	s := startWith(t, Config{Listeners: []ListenerConfig{{Name: "SSL", Address: "127.0.0.1:0", TLS: selfSigned(t)}}}, echo)
	c := dial(t, s)
	c.send(payload(100, "plaintext on a TLS port"))
	eventually(t, "the close is counted", func() bool { return s.stats.Closes[ClosedHandshake].Load() == 1 })
	other := dial(t, s)
	other.secure()
	other.send(payload(100, "a"))
	other.want(payload(100, "a"))
}

func TestConnectionLimitsChangeWhileTheServerRuns(t *testing.T) {
	s := start(t, Limits{MaxConnectionsPerIP: 1}, echo)
	first := dial(t, s)
	first.send(payload(10, "a"))
	first.want(payload(10, "a"))
	dial(t, s).wantClosed()
	s.SetConnectionLimits(Limits{MaxConnectionsPerIP: 2, MaxConnections: 2})
	second := dial(t, s)
	second.send(payload(10, "b"))
	second.want(payload(10, "b"))
	waiting := dial(t, s)
	waiting.send(payload(10, "c"))
	s.SetConnectionLimits(Limits{})
	waiting.want(payload(10, "c"))
}
