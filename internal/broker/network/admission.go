package network

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// admission decides which connections come in. Over max.connections and over the
// creation rate a socket's accepting goroutine waits with the connection it has,
// and the next ones wait in the kernel's queue, as with Kafka; over the limit of
// their address they are closed.
type admission struct {
	stop chan struct{}

	mu     sync.Mutex
	limits Limits // those of connections
	freed  sync.Cond
	open   int
	perIP  map[netip.Addr]int
	nextAt map[*Listener]time.Time // when the creation rate allows the next one
	closed bool
}

func (a *admission) init(limits Limits) {
	a.limits = limits
	a.stop = make(chan struct{})
	a.freed.L = &a.mu
	a.perIP = map[netip.Addr]int{}
	a.nextAt = map[*Listener]time.Time{}
}

// admit returns true when a connection from remote may be served, once there is
// a place for it; false when its address has too many or the server is closed.
func (a *admission) admit(l *Listener, remote net.Addr) bool {
	if !a.pause(a.creationPause(l, time.Now())) {
		return false
	}
	ip := ipOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.open >= a.limits.MaxConnections && !a.closed {
		a.freed.Wait()
	}
	limit := a.limits.MaxConnectionsPerIP
	if n, ok := a.limits.PerIPOverrides[ip.String()]; ok {
		limit = n
	}
	if a.closed || ip.IsValid() && a.perIP[ip] >= limit {
		return false
	}
	a.open++
	a.perIP[ip]++
	return true
}

// creationPause is how long the next connection must wait for its turn. A burst
// of up to a second's worth is let through.
func (a *admission) creationPause(l *Listener, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	rate := a.limits.CreationRate
	if rate <= 0 {
		return 0
	}
	at := a.nextAt[l]
	if earliest := now.Add(-time.Second); at.Before(earliest) {
		at = earliest
	}
	a.nextAt[l] = at.Add(time.Second / time.Duration(rate))
	return at.Sub(now)
}

// pause waits; it returns false at once when the server is closed.
func (a *admission) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.stop:
		return false
	}
}

// setLimits changes what is admitted from now on. Connections that are open stay.
func (a *admission) setLimits(limits Limits) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limits = limits
	a.freed.Broadcast()
}

// release forgets an admitted connection.
func (a *admission) release(remote net.Addr) {
	ip := ipOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.perIP[ip]--; a.perIP[ip] == 0 {
		delete(a.perIP, ip)
	}
	a.freed.Signal()
}

func (a *admission) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		close(a.stop)
		a.freed.Broadcast()
	}
}

// ipOf is the address without port, zone and IPv6 mapping; invalid for
// connections that do not come over the network.
func ipOf(remote net.Addr) netip.Addr {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
