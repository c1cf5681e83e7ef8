package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"
)

// msg is bytes being written, big-endian as on the wire.
type msg []byte

func (m msg) i8(v int8) msg   { return append(m, byte(v)) }
func (m msg) i16(v int16) msg { return binary.BigEndian.AppendUint16(m, uint16(v)) }
func (m msg) i32(v int32) msg { return binary.BigEndian.AppendUint32(m, uint32(v)) }
func (m msg) i64(v int64) msg { return binary.BigEndian.AppendUint64(m, uint64(v)) }
func (m msg) raw(b ...byte) msg {
	return append(m, b...)
}

// str is a string with a 16-bit length, or null.
func (m msg) str(s string) msg { return append(m.i16(int16(len(s))), s...) }
func (m msg) null() msg        { return m.i16(-1) }

// bytes has a 32-bit length.
func (m msg) bytes(b []byte) msg { return append(m.i32(int32(len(b))), b...) }

// uv and sv are the unsigned and the zigzag varint, cs a compact string, tags an
// empty tag section.
func (m msg) uv(v uint64) msg     { return binary.AppendUvarint(m, v) }
func (m msg) sv(v int64) msg      { return binary.AppendVarint(m, v) }
func (m msg) cs(s string) msg     { return append(m.uv(uint64(len(s)+1)), s...) }
func (m msg) tags() msg           { return m.uv(0) }
func (m msg) uuid(b byte) msg     { return append(m.zeros(15), b) }
func (m msg) zeros(n int) msg     { return append(m, make([]byte, n)...) }
func (m msg) framed() []byte      { return append(msg(nil).i32(int32(len(m))), m...) }
func lying(n int32, m msg) []byte { return append(msg(nil).i32(n), m...) }

// request begins a request with header version 1, flexible one with version 2.
func request(key, version int16) msg {
	return msg(nil).i16(key).i16(version).i32(77).str("hostile")
}

func flexible(key, version int16) msg { return request(key, version).tags() }

// reply reads an answer.
type reply struct {
	b   []byte
	bad bool
}

func (r *reply) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		return make([]byte, 8)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reply) i16() int16  { return int16(binary.BigEndian.Uint16(r.take(2))) }
func (r *reply) i32() int32  { return int32(binary.BigEndian.Uint32(r.take(4))) }
func (r *reply) i64() int64  { return int64(binary.BigEndian.Uint64(r.take(8))) }
func (r *reply) str() string { return string(r.take(max(0, int(r.i16())))) }
func (r *reply) uv() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// batch is a record batch v2 whose every field can be set; the zero fields of
// length and CRC are filled in truthfully unless told.
type batch struct {
	baseOffset      int64
	length          *int32
	magic           int8
	crcLie          bool
	attributes      int16
	lastOffsetDelta int32
	timestamp       int64
	producerID      int64
	producerEpoch   int16
	baseSequence    int32
	count           int32
	records         []byte
}

// honest is a batch of n records that every broker accepts.
func honest(n int) batch {
	b := batch{magic: 2, lastOffsetDelta: int32(n - 1), producerID: -1, producerEpoch: -1, baseSequence: -1, count: int32(n), timestamp: time.Now().UnixMilli()}
	for i := range n {
		b.records = append(b.records, rec(i, "value")...)
	}
	return b
}

// rec is one record.
func rec(offsetDelta int, value string) []byte {
	body := msg(nil).i8(0).sv(0).sv(int64(offsetDelta)).sv(-1).sv(int64(len(value)))
	body = append(body, value...).sv(0)
	return append(msg(nil).sv(int64(len(body))), body...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (b batch) encode() []byte {
	tail := msg(nil).i16(b.attributes).i32(b.lastOffsetDelta).i64(b.timestamp).i64(b.timestamp).
		i64(b.producerID).i16(b.producerEpoch).i32(b.baseSequence).i32(b.count)
	tail = append(tail, b.records...)
	crc := crc32.Checksum(tail, castagnoli)
	if b.crcLie {
		crc ^= 1
	}
	length := int32(9 + len(tail))
	if b.length != nil {
		length = *b.length
	}
	head := msg(nil).i64(b.baseOffset).i32(length).i32(-1).i8(b.magic).i32(int32(crc))
	return append(head, tail...)
}

// produce is a Produce v3 request to one partition.
func produce(acks int16, topic string, partition int32, records []byte) msg {
	return request(0, 3).null().i16(acks).i32(5000).i32(1).str(topic).i32(1).i32(partition).bytes(records)
}

// fetch is a Fetch v11 request of one partition.
func fetch(topic string, partition int32, offset int64, wait, minBytes, maxBytes int32) msg {
	return request(1, 11).i32(-1).i32(wait).i32(minBytes).i32(maxBytes).i8(0).i32(0).i32(-1).
		i32(1).str(topic).i32(1).i32(partition).i32(-1).i64(offset).i64(-1).i32(maxBytes).i32(0).str("")
}

// conn is a raw connection.
type conn struct {
	net.Conn
}

const answerTime = 5 * time.Second

var (
	errClosed = errors.New("closed")
	errSilent = errors.New("no answer")
)

// receive reads one frame; the error is errClosed or errSilent.
func (c conn) receive(wait time.Duration) ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(wait))
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return nil, errSilent
		}
		return nil, errClosed
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > 64<<20 {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(c, p); err != nil {
		return nil, errClosed
	}
	return p, nil
}

// call sends a request and returns the answer's body after the correlation id.
func (c conn) call(m msg) (*reply, error) {
	if _, err := c.Write(m.framed()); err != nil {
		return nil, errClosed
	}
	p, err := c.receive(answerTime)
	if err != nil {
		return nil, err
	}
	r := &reply{b: p}
	if id := r.i32(); id != 77 {
		return nil, fmt.Errorf("an answer with correlation id %d", id)
	}
	return r, nil
}
