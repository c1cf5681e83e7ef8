package network

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/vfs"
)

// lengthPrefix is the size of the length before each frame.
const lengthPrefix = 4

// outcome says how a request was completed.
type outcome uint8

const (
	waiting outcome = iota
	answered
	silent  // NoResponse
	hanging // CloseConnection
)

// Insert is a slice of a file or of memory that goes out in the middle of an
// answer without being copied into its buffer.
type Insert struct {
	// At is where it goes: before the byte of this index in the answer's buffer.
	At int
	// Range is a slice of a file; it is released when it has been sent or the
	// connection is gone.
	Range vfs.Range
	// Bytes is sent instead if it is not nil. It must not change afterwards.
	Bytes []byte
}

func (in *Insert) size() int64 {
	if in.Bytes != nil {
		return int64(len(in.Bytes))
	}
	return in.Range.Length
}

// Request is one frame and the duty to complete it: exactly one of Respond,
// NoResponse and CloseConnection must be called, once, from any goroutine. None
// of them waits for the client. After that the request and its frame must not be
// touched, except under a Retain.
type Request struct {
	conn    *Conn
	next    *Request // in the order of arrival, guarded by conn.mu
	state   outcome  // guarded by conn.mu
	refs    atomic.Int32
	arrived time.Time

	frame   []byte // starts where its pooled buffer starts
	charged int64  // bytes of the budget held for the frame

	out     []byte // the answer with its length prefix, once answered
	inserts []Insert
	onClose func() // guarded by conn.mu
}

// Frame is the request without its length: header and body. It is valid until
// the request is completed and all retains are released.
func (r *Request) Frame() []byte { return r.frame }

// Conn is the connection the request came over.
func (r *Request) Conn() *Conn { return r.conn }

// Arrival is when the frame was complete.
func (r *Request) Arrival() time.Time { return r.arrived }

// Retain keeps the frame's bytes valid beyond the request's completion, until a
// matching Release.
func (r *Request) Retain() {
	n := r.refs.Add(1)
	assert.That(n > 1, "a request was retained after its frame was released")
}

// Release gives back one Retain. The frame's bytes are reused after the last.
func (r *Request) Release() {
	n := r.refs.Add(-1)
	assert.That(n >= 0, "a request was released more often than retained")
	if n > 0 {
		return
	}
	s := r.conn.server
	frame := r.frame
	r.frame = nil
	s.buffers.put(frame)
	s.budget.release(&r.conn.claim, r.charged)
}

// Buffer returns a pooled buffer to append the answer to. Its first four bytes
// are there already: they are the frame's length, which Respond fills in.
func (r *Request) Buffer() []byte {
	return r.conn.server.buffers.get(answerBuffer)[:lengthPrefix]
}

// BufferFor is Buffer for an answer of about n bytes.
func (r *Request) BufferFor(n int) []byte {
	return r.conn.server.buffers.get(n + lengthPrefix)[:lengthPrefix]
}

// Respond answers with out, which was begun by Buffer or BufferFor and now
// belongs to the network, and with inserts, ordered by At. The inserts are
// copied; the ranges and bytes in them belong to the network until sent.
func (r *Request) Respond(out []byte, inserts ...Insert) {
	assert.That(len(out) >= lengthPrefix, "an answer of %d bytes has no room for its length: begin it with Buffer", len(out))
	size := int64(len(out) - lengthPrefix)
	at := lengthPrefix
	for i := range inserts {
		in := &inserts[i]
		assert.That(in.At >= at && in.At <= len(out), "an insert at %d of an answer of %d bytes, after one at %d", in.At, len(out), at)
		at = in.At
		size += in.size()
	}
	if size > math.MaxInt32 {
		// The frame's length cannot express it. Nothing that respects a fetch's
		// limits gets here; closing is all that is left.
		releaseInserts(inserts)
		r.complete(hanging)
		return
	}
	binary.BigEndian.PutUint32(out, uint32(size))
	r.out = out
	if len(inserts) > 0 {
		r.inserts = append(r.inserts, inserts...)
	}
	r.complete(answered)
}

// NoResponse completes a request that gets no answer (a produce with acks=0).
func (r *Request) NoResponse() { r.complete(silent) }

// CloseConnection completes the request by closing the connection, after the
// answers to the requests before it have been sent.
func (r *Request) CloseConnection() { r.complete(hanging) }

// OnClose sets the function that is called if the connection ends before the
// request is completed; it replaces an earlier one. It is called at most once,
// on the connection's goroutine, at once if the connection has ended. The
// request must still be completed. A completion on another goroutine may be
// under way at the same moment.
func (r *Request) OnClose(fn func()) {
	c := r.conn
	c.mu.Lock()
	ended := c.ended
	if !ended && r.state == waiting {
		r.onClose = fn
	}
	c.mu.Unlock()
	if ended {
		fn()
	}
}

func (r *Request) complete(how outcome) {
	r.Release() // first, so that memory is free before the client goes on
	r.conn.completed(r, how)
}

// discard gives back what an answer holds.
func (r *Request) discard() {
	if r.out != nil {
		r.conn.server.buffers.put(r.out)
		r.out = nil
	}
	releaseInserts(r.inserts)
	r.inserts = nil
}

func releaseInserts(inserts []Insert) {
	for i := range inserts {
		if inserts[i].Bytes == nil && inserts[i].Range.File != nil {
			inserts[i].Range.Release()
		}
	}
}
