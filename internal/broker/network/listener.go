package network

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// bindAttempts bounds the search for a port that is free on all addresses.
const bindAttempts = 20

// Listener is an open listener.
type Listener struct {
	// Name is the listener's name in the configuration.
	Name string

	sockets    []net.Listener
	tls        *tls.Config
	frameLimit int32
}

// Addr is the first address the listener is bound to.
func (l *Listener) Addr() net.Addr { return l.sockets[0].Addr() }

// Port is the port of all the listener's addresses, 0 if it has none.
func (l *Listener) Port() int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// Addrs are all the addresses the listener is bound to.
func (l *Listener) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(l.sockets))
	for i, s := range l.sockets {
		addrs[i] = s.Addr()
	}
	return addrs
}

// TLS tells whether the listener speaks TLS.
func (l *Listener) TLS() bool { return l.tls != nil }

func (l *Listener) close() {
	for _, s := range l.sockets {
		_ = s.Close() // nothing was written; accepting ends either way
	}
}

// bind opens host:port on every address that the host stands for. A family that
// the machine does not have is left out as long as one remains.
func bind(address string) ([]net.Listener, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the address %q is not of the form host:port: %w", address, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("the port in %q is not a number from 0 to 65535", address)
	}
	hosts, err := addressesOf(host)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		sockets, err := bindAll(hosts, int(port))
		retry := port == 0 && errors.Is(err, syscall.EADDRINUSE) && attempt < bindAttempts
		if !retry {
			return sockets, err
		}
	}
}

// addressesOf returns what to bind for a host: itself where the system's own
// meaning is right.
func addressesOf(host string) ([]string, error) {
	if host == "localhost" {
		return []string{"127.0.0.1", "::1"}, nil
	}
	if host == "" {
		return []string{""}, nil // both families at once
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{host}, nil
	}
	addrs, err := net.DefaultResolver.LookupHost(context.Background(), host)
	if err != nil {
		return nil, fmt.Errorf("looking up the listener's host: %w", err)
	}
	return addrs, nil
}

func bindAll(hosts []string, port int) ([]net.Listener, error) {
	var sockets []net.Listener
	var missing error
	for _, h := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(h, strconv.Itoa(port)))
		if err != nil {
			if absent(err) {
				missing = err
				continue
			}
			for _, s := range sockets {
				_ = s.Close() // nothing was written
			}
			return nil, err
		}
		sockets = append(sockets, l)
		if port == 0 {
			port = l.Addr().(*net.TCPAddr).Port
		}
	}
	if len(sockets) == 0 {
		return nil, missing
	}
	return sockets, nil
}

// absent tells an error that says the machine does not have the address.
func absent(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}
