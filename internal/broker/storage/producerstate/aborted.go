package producerstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// AbortedTxn is a transaction that was aborted: consumers with read_committed skip
// the producer's records from its first offset to its marker.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
	// LastOffset is that of the marker.
	LastOffset int64
	// LastStableOffset is what it was once this transaction had ended: no later
	// entry concerns offsets below it.
	LastStableOffset int64
}

// AbortedTxnSize is the size of one entry of a segment's transaction index. The
// index is a sequence of them in the order the transactions ended:
//
//	version int16 = 1 · producerId int64 · firstOffset int64 · lastOffset int64 ·
//	lastStableOffset int64 · crc uint32, CRC-32C of the 34 bytes before
//
// Each entry proves itself, so that the index is appended to without rewriting it
// and a torn tail is noticed.
const AbortedTxnSize = 38

const abortedTxnVersion = 1

// ErrAbortedTxn says that a transaction index ends in bytes that are no entry. It
// can be rebuilt from the log.
var ErrAbortedTxn = errors.New("unusable entry in the transaction index")

// Append appends the encoded entry to dst.
func (a AbortedTxn) Append(dst []byte) []byte {
	start := len(dst)
	be := binary.BigEndian
	dst = be.AppendUint16(dst, abortedTxnVersion)
	dst = be.AppendUint64(dst, uint64(a.ProducerID))
	dst = be.AppendUint64(dst, uint64(a.FirstOffset))
	dst = be.AppendUint64(dst, uint64(a.LastOffset))
	dst = be.AppendUint64(dst, uint64(a.LastStableOffset))
	return be.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// DecodeAborted appends the entries of an encoded index to dst. An error wraps
// ErrAbortedTxn and comes with the entries before the damage; they are the first
// len(entries)*AbortedTxnSize bytes.
func DecodeAborted(dst []AbortedTxn, b []byte) ([]AbortedTxn, error) {
	be := binary.BigEndian
	for at := 0; len(b) > 0; at += AbortedTxnSize {
		if len(b) < AbortedTxnSize {
			return dst, fmt.Errorf("%w: %d bytes at position %d", ErrAbortedTxn, len(b), at)
		}
		e := b[:AbortedTxnSize]
		b = b[AbortedTxnSize:]
		if v := be.Uint16(e); v != abortedTxnVersion {
			return dst, fmt.Errorf("%w: version %d at position %d", ErrAbortedTxn, v, at)
		}
		if crc32.Checksum(e[:34], castagnoli) != be.Uint32(e[34:]) {
			return dst, fmt.Errorf("%w: wrong CRC at position %d", ErrAbortedTxn, at)
		}
		dst = append(dst, AbortedTxn{
			ProducerID: i64(e[2:]), FirstOffset: i64(e[10:]), LastOffset: i64(e[18:]), LastStableOffset: i64(e[26:]),
		})
	}
	return dst, nil
}

// CollectAborted appends to dst those of a segment's entries that a fetch of the
// offsets from fetchOffset up to, not including, upperBound needs. Complete says
// that no later segment holds another: the caller goes from the segment of
// fetchOffset through the following ones until then.
func CollectAborted(dst, entries []AbortedTxn, fetchOffset, upperBound int64) (out []AbortedTxn, complete bool) {
	for _, a := range entries {
		if a.LastOffset >= fetchOffset && a.FirstOffset < upperBound {
			dst = append(dst, a)
		}
		if a.LastStableOffset >= upperBound {
			return dst, true
		}
	}
	return dst, false
}
