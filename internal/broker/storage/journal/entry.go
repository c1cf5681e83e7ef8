package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Version is the format this package writes.
const Version = 1

const (
	magic      = "NJRN"
	headerSize = 20

	// EntrySize is how many bytes an entry takes beside its batches.
	EntrySize = 52
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrVersion says that a file was written by a newer program.
var ErrVersion = errors.New("newer version")

// Place is a partition's bytes: where in which segment's file.
type Place struct {
	TopicID     wire.UUID
	Partition   int32
	SegmentBase int64
	Position    int64
}

// Entry is what a file says about one partition.
type Entry struct {
	Place
	// Batches are whole record batches; without any, the earlier entries of the
	// partition count no more.
	Batches []byte
}

// appendHeader begins a file.
func appendHeader(dst []byte, generation uint64) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint32(dst, Version)
	dst = binary.BigEndian.AppendUint64(dst, generation)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// appendEntry adds an entry whose size bytes of batches read fills in.
func appendEntry(dst []byte, generation uint64, at Place, size int, read func(batches []byte) error) ([]byte, error) {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, generation)
	dst = append(dst, at.TopicID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(at.Partition))
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.SegmentBase))
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.Position))
	if size > 0 {
		body := len(dst)
		dst = append(dst, make([]byte, size)...)
		if err := read(dst[body:]); err != nil {
			return dst[:start], err
		}
	}
	binary.BigEndian.PutUint32(dst[start+4:], crc32.Checksum(dst[start+8:], castagnoli))
	return dst, nil
}

// decode reads a file. Entries alias b. A header that is torn is a file without
// entries; one of a newer version is an error.
func decode(b []byte) (generation uint64, entries []Entry, err error) {
	if len(b) < headerSize || string(b[:4]) != magic || binary.BigEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli) {
		return 0, nil, nil
	}
	if v := binary.BigEndian.Uint32(b[4:]); v != Version {
		return 0, nil, fmt.Errorf("version %d, this program knows %d: %w", v, Version, ErrVersion)
	}
	generation = binary.BigEndian.Uint64(b[8:])
	for b = b[headerSize:]; len(b) >= EntrySize; {
		size := int64(binary.BigEndian.Uint32(b))
		if size > int64(len(b)-EntrySize) || binary.BigEndian.Uint64(b[8:]) != generation {
			break
		}
		whole := b[:EntrySize+size]
		if binary.BigEndian.Uint32(b[4:]) != crc32.Checksum(whole[8:], castagnoli) {
			break
		}
		entries = append(entries, Entry{
			Place: Place{
				TopicID: wire.UUID(b[16:32]), Partition: int32(binary.BigEndian.Uint32(b[32:])),
				SegmentBase: int64(binary.BigEndian.Uint64(b[36:])), Position: int64(binary.BigEndian.Uint64(b[44:])),
			},
			Batches: whole[EntrySize:],
		})
		b = b[len(whole):]
	}
	return generation, entries, nil
}
