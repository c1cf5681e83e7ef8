package producerstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A snapshot, all integers big-endian:
//
//	 0 magic     4 bytes  "NRPS"
//	 4 version   uint16   1
//	 6 crc       uint32   CRC-32C of everything from byte 10 on
//	10 endOffset int64    the snapshot covers the log up to here
//	18 producers uint32   how many follow, the one not seen for longest first
//	   each:     id int64 · epoch int16 · coordinatorEpoch int32 ·
//	             lastTimestamp int64 · lastSeen int64 · txnFirstOffset int64 ·
//	             batches uint8, each, oldest first:
//	               lastOffset int64 · timestamp int64 · lastSeq int32 · offsetDelta int32
//	   ended     uint32   transactions whose marker is not replicated yet
//	   each:     producerId int64 · firstOffset int64 · lastOffset int64
const (
	snapshotMagic      = "NRPS"
	snapshotVersion    = 1
	snapshotHeaderSize = 22
	snapshotCRCFrom    = 10
	producerSize       = 39
	batchSize          = 24
	txnSize            = 24
)

// ErrSnapshot says that a snapshot cannot be used: torn, damaged, or written by a
// newer version. The state can be rebuilt from the log.
var ErrSnapshot = errors.New("unusable producer snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // never written

// AppendSnapshot appends the encoded State to dst. Nothing may be prepared and
// not committed.
func (s *State) AppendSnapshot(dst []byte) []byte {
	start := len(dst)
	be := binary.BigEndian
	dst = append(dst, snapshotMagic...)
	dst = be.AppendUint16(dst, snapshotVersion)
	dst = be.AppendUint32(dst, 0)
	dst = be.AppendUint64(dst, uint64(s.endOffset))
	dst = be.AppendUint32(dst, uint32(len(s.producers)))
	for n := s.list.next; n != &s.list; n = n.next {
		dst = be.AppendUint64(dst, uint64(n.id))
		dst = be.AppendUint16(dst, uint16(n.epoch))
		dst = be.AppendUint32(dst, uint32(n.coordinatorEpoch))
		dst = be.AppendUint64(dst, uint64(n.lastTimestamp))
		dst = be.AppendUint64(dst, uint64(n.lastSeenMs))
		dst = be.AppendUint64(dst, uint64(n.txnFirstOffset))
		dst = append(dst, n.used)
		for i := range int(n.used) {
			b := n.at(i)
			dst = be.AppendUint64(dst, uint64(b.lastOffset))
			dst = be.AppendUint64(dst, uint64(b.timestamp))
			dst = be.AppendUint32(dst, uint32(b.lastSeq))
			dst = be.AppendUint32(dst, uint32(b.offsetDelta))
		}
	}
	dst = be.AppendUint32(dst, uint32(len(s.unreplicated)))
	for _, t := range s.unreplicated {
		dst = be.AppendUint64(dst, uint64(t.producerID))
		dst = be.AppendUint64(dst, uint64(t.first))
		dst = be.AppendUint64(dst, uint64(t.last))
	}
	crc := crc32.Checksum(dst[start+snapshotCRCFrom:], castagnoli)
	be.PutUint32(dst[start+6:], crc)
	return dst
}

// Load replaces the State by the snapshot. After an error, which wraps
// ErrSnapshot, the State is empty.
func (s *State) Load(snapshot []byte) error {
	s.clear()
	if err := s.load(snapshot); err != nil {
		s.clear()
		return err
	}
	return nil
}

// Reset empties the State, as a log that is truncated fully and starts anew at
// the offset needs it.
func (s *State) Reset(endOffset int64) {
	s.clear()
	s.endOffset = endOffset
}

func (s *State) load(b []byte) error {
	be := binary.BigEndian
	if len(b) < snapshotHeaderSize || string(b[:4]) != snapshotMagic {
		return fmt.Errorf("%w: %d bytes that do not start as a snapshot does", ErrSnapshot, len(b))
	}
	if v := be.Uint16(b[4:]); v != snapshotVersion {
		return fmt.Errorf("%w: version %d, this program reads %d", ErrSnapshot, v, snapshotVersion)
	}
	if got, want := crc32.Checksum(b[snapshotCRCFrom:], castagnoli), be.Uint32(b[6:]); got != want {
		return fmt.Errorf("%w: CRC is %#08x, stored is %#08x", ErrSnapshot, got, want)
	}
	s.endOffset = i64(b[10:])
	count := be.Uint32(b[18:])
	b = b[snapshotHeaderSize:]
	for range count {
		p, rest, err := decodeProducer(b)
		if err != nil {
			return err
		}
		b = rest
		s.see(p.id, p.lastSeenMs).producer = p
		if p.txnFirstOffset != NoOffset {
			s.open.add(txn{first: p.txnFirstOffset, last: NoOffset, producerID: p.id})
		}
	}
	if len(b) < 4 || uint64(be.Uint32(b))*txnSize != uint64(len(b)-4) {
		return fmt.Errorf("%w: %d bytes of ended transactions", ErrSnapshot, len(b))
	}
	for b = b[4:]; len(b) > 0; b = b[txnSize:] {
		s.unreplicated.add(txn{producerID: i64(b), first: i64(b[8:]), last: i64(b[16:])})
	}
	return nil
}

func decodeProducer(b []byte) (p producer, rest []byte, err error) {
	be := binary.BigEndian
	if len(b) < producerSize {
		return producer{}, nil, fmt.Errorf("%w: it ends inside a producer", ErrSnapshot)
	}
	p = newProducer(i64(b))
	p.epoch = int16(be.Uint16(b[8:]))
	p.coordinatorEpoch = int32(be.Uint32(b[10:]))
	p.lastTimestamp = i64(b[14:])
	p.lastSeenMs = i64(b[22:])
	p.txnFirstOffset = i64(b[30:])
	used := int(b[38])
	b = b[producerSize:]
	if used > Window || len(b) < used*batchSize {
		return producer{}, nil, fmt.Errorf("%w: producer %d with %d batches", ErrSnapshot, p.id, used)
	}
	for range used {
		p.add(batch{
			lastOffset:  i64(b),
			timestamp:   i64(b[8:]),
			lastSeq:     int32(be.Uint32(b[16:])),
			offsetDelta: int32(be.Uint32(b[20:])),
		})
		b = b[batchSize:]
	}
	return p, b, nil
}

func i64(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }
