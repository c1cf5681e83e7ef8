package network

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/naru-stream/naru/internal/vfs"
)

const (
	// maxBatch is how many answers are gathered into one system call.
	maxBatch = 64
	// smallRange is the length of a file range below which reading it and
	// sending it together with its neighbours is cheaper than sendfile.
	smallRange = 32 << 10
	// gatherLimit is how many bytes are gathered before they are sent.
	gatherLimit = 256 << 10
)

// errFile says that a file range could not be read as announced. The length of
// the answer may have been sent already, so only closing the connection can tell
// the client.
var errFile = errors.New("a file range could not be sent")

// drain sends what is ready until nothing is. The caller set c.writing.
func (c *Conn) drain() {
	for {
		first := c.takeReady()
		if first == nil {
			return
		}
		c.send(first)
	}
}

// send writes the answers of a chain of completed requests and gives back what
// they hold. On an error the connection is closed; on a closed one nothing is
// written.
func (c *Conn) send(first *Request) {
	if !c.closing.Load() {
		g := c.server.gatherers.Get().(*gatherer)
		g.conn = c
		reason, ok := g.sendAll(first)
		g.recycle()
		g.conn = nil
		c.server.gatherers.Put(g)
		if !ok {
			c.shut(reason)
		}
	}
	for r := first; r != nil; {
		next := r.next
		r.next = nil
		r.discard()
		r = next
	}
	now := time.Now()
	c.active(now)
	c.mu.Lock()
	c.lastSent = now
	c.wakeReader()
	c.mu.Unlock()
}

// gatherer collects the pieces of answers into as few writes as possible. It is
// pooled; while conn is set it belongs to the owner of conn's sending side.
type gatherer struct {
	conn    *Conn
	vec     [][]byte
	bytes   int
	scratch [][]byte // pooled buffers that file ranges were read into
}

// recycle forgets what was sent.
func (g *gatherer) recycle() {
	for i, b := range g.scratch {
		g.conn.server.buffers.put(b)
		g.scratch[i] = nil
	}
	g.scratch = g.scratch[:0]
	clear(g.vec)
	g.vec, g.bytes = g.vec[:0], 0
}

func (g *gatherer) sendAll(first *Request) (CloseReason, bool) {
	var err error
	hang := false
	for r := first; r != nil && err == nil && !hang; r = r.next {
		switch r.state {
		case answered:
			err = g.add(r)
		case hanging:
			hang = true
		}
	}
	if err == nil {
		err = g.flush(false)
	}
	switch {
	case err == nil:
		return ClosedByHandler, !hang
	case errors.Is(err, errFile):
		g.conn.server.log.Error("a fetch answer could not be sent from its file", "error", err, "remote", g.conn.remote.String())
		return ClosedFile, false
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ClosedSlowReader, false
	}
	return ClosedByPeer, false
}

// add takes an answer's pieces in order: bytes are gathered, small ranges are
// read and gathered, large ranges are sent from their file.
func (g *gatherer) add(r *Request) error {
	from := 0
	for i := range r.inserts {
		in := &r.inserts[i]
		g.bytesPiece(r.out[from:in.At])
		from = in.At
		var err error
		switch {
		case in.Bytes != nil:
			g.bytesPiece(in.Bytes)
		case in.Range.Length < smallRange:
			err = g.readRange(in.Range.File, in.Range.Offset, in.Range.Length)
		default:
			err = g.largeRange(&in.Range)
		}
		if err == nil && g.bytes >= gatherLimit {
			err = g.flush(true)
		}
		if err != nil {
			return err
		}
	}
	g.bytesPiece(r.out[from:])
	if g.bytes >= gatherLimit {
		return g.flush(true)
	}
	return nil
}

func (g *gatherer) bytesPiece(p []byte) {
	if len(p) > 0 {
		g.vec = append(g.vec, p)
		g.bytes += len(p)
	}
}

// readRange gathers n bytes of a file, at most gatherLimit.
func (g *gatherer) readRange(f vfs.File, offset, n int64) error {
	if n == 0 {
		return nil
	}
	last := len(g.scratch) - 1
	if last < 0 || int64(cap(g.scratch[last])-len(g.scratch[last])) < n {
		g.scratch = append(g.scratch, g.conn.server.buffers.get(max(int(n), 2*smallRange)))
		last++
	}
	b := g.scratch[last]
	p := b[len(b) : len(b)+int(n)]
	if got, err := f.ReadAt(p, offset); got < len(p) {
		return shortRange(offset, n, int64(got), err)
	}
	g.scratch[last] = b[:len(b)+int(n)]
	g.bytesPiece(p)
	return nil
}

func shortRange(offset, n, got int64, err error) error {
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: reading %d bytes at %d ended after %d: %w", errFile, n, offset, got, err)
}

// largeRange sends what was gathered and then the range.
func (g *gatherer) largeRange(r *vfs.Range) error {
	if fd, ok := r.File.Fd(); ok && g.conn.stream.canSendFile() {
		if err := g.flush(true); err != nil {
			return err
		}
		sent, err := g.conn.stream.sendFile(fd, r.Offset, r.Length)
		g.conn.server.stats.BytesOut.Add(sent)
		return err
	}
	for done := int64(0); done < r.Length; {
		n := min(gatherLimit, r.Length-done)
		if err := g.readRange(r.File, r.Offset+done, n); err != nil {
			return err
		}
		done += n
		if err := g.flush(true); err != nil {
			return err
		}
	}
	return nil
}

// flush writes what was gathered; more says that something follows at once.
func (g *gatherer) flush(more bool) error {
	if len(g.vec) == 0 {
		return nil
	}
	n := g.bytes
	err := g.conn.stream.write(g.vec, more)
	if err == nil {
		g.conn.server.stats.BytesOut.Add(int64(n))
	}
	g.recycle()
	return err
}
