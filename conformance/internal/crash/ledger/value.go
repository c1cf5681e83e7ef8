package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// magic begins each value.
const magic = 0x4352_4153 // "CRAS"

// headerSize is the size of a value without its filling: magic, producer, sequence, total size.
const headerSize = 20

// AppendValue appends the value that a producer sends with a sequence number: its whole content follows
// from the three numbers, so that a reader knows each byte.
func AppendValue(b []byte, producer int, sequence int64, size int) []byte {
	size = max(size, headerSize)
	b = binary.BigEndian.AppendUint32(b, magic)
	b = binary.BigEndian.AppendUint32(b, uint32(producer))
	b = binary.BigEndian.AppendUint64(b, uint64(sequence))
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	x := uint64(producer)<<48 ^ uint64(sequence)
	for left := size - headerSize; left > 0; left -= 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		var word [8]byte
		binary.BigEndian.PutUint64(word[:], x&0x0f0f0f0f0f0f0f0f|0x4040404040404040) // letters: compressible
		b = append(b, word[:min(left, 8)]...)
		x++
	}
	return b
}

// AppendKey appends the key of a record of a producer that sends keys.
func AppendKey(b []byte, producer int, sequence int64) []byte {
	return fmt.Appendf(b, "%d/%d", producer, sequence%977)
}

// parseValue returns who sent a value, after comparing each byte with what it must be.
func parseValue(v []byte) (producer int, sequence int64, err error) {
	if len(v) < headerSize || binary.BigEndian.Uint32(v) != magic {
		return 0, 0, fmt.Errorf("value of %d bytes is none that was sent: % x", len(v), v[:min(len(v), 32)])
	}
	producer, sequence = int(binary.BigEndian.Uint32(v[4:])), int64(binary.BigEndian.Uint64(v[8:]))
	if int(binary.BigEndian.Uint32(v[16:])) != len(v) {
		return producer, sequence, errors.New("value has not the size it was sent with")
	}
	if !bytes.Equal(v, AppendValue(make([]byte, 0, len(v)), producer, sequence, len(v))) {
		return producer, sequence, errors.New("value's bytes differ from those that were sent")
	}
	return producer, sequence, nil
}
