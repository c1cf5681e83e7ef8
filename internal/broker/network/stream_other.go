//go:build !linux

package network

import "net"

// newStream returns a stream over nc.
func newStream(c *Conn, nc net.Conn) stream { return &plainStream{conn: c, nc: nc} }
