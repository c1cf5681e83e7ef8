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
	at     map[*Listener]int
	next   pace               // of all listeners together
	nextOf map[*Listener]pace // of each listener
	closed bool
}

// pace is when a creation rate allows the next connection.
type pace struct{ at time.Time }

// turn takes the next turn and returns how far off it is. A burst of up to a second's
// worth is let through.
func (p *pace) turn(rate int, now time.Time) time.Duration {
	if earliest := now.Add(-time.Second); p.at.Before(earliest) {
		p.at = earliest
	}
	wait := p.at.Sub(now)
	p.at = p.at.Add(time.Second / time.Duration(rate))
	return wait
}

func (a *admission) init(limits Limits) {
	a.limits = limits
	a.stop = make(chan struct{})
	a.freed.L = &a.mu
	a.perIP = map[netip.Addr]int{}
	a.at = map[*Listener]int{}
	a.nextOf = map[*Listener]pace{}
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
	for !a.hasRoom(l) && !a.closed {
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
	a.at[l]++
	a.perIP[ip]++
	return true
}

// hasRoom tells whether a listener may have one connection more. The caller holds mu.
func (a *admission) hasRoom(l *Listener) bool {
	if own, ok := a.limits.Listeners[l.Name]; ok && a.at[l] >= own.MaxConnections {
		return false
	}
	return l.Name == a.limits.Protected || a.open < a.limits.MaxConnections
}

// excess is how many connections there are over max.connections.
func (a *admission) excess() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open - max(a.limits.MaxConnections, 0)
}

// creationPause is how long the next connection must wait for its turn.
func (a *admission) creationPause(l *Listener, now time.Time) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.Name != a.limits.Protected && a.limits.CreationRate > 0 {
		wait = a.next.turn(a.limits.CreationRate, now)
	}
	if own := a.limits.Listeners[l.Name]; own.CreationRate > 0 {
		p := a.nextOf[l]
		wait = max(wait, p.turn(own.CreationRate, now))
		a.nextOf[l] = p
	}
	return wait
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

// setLimits changes what is admitted from now on.
func (a *admission) setLimits(limits Limits) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limits = limits
	a.freed.Broadcast()
}

// release forgets an admitted connection.
func (a *admission) release(l *Listener, remote net.Addr) {
	ip := ipOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	a.at[l]--
	if a.perIP[ip]--; a.perIP[ip] == 0 {
		delete(a.perIP, ip)
	}
	a.freed.Broadcast() // not every listener that waits may have the place
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
