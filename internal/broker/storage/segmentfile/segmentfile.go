// Package segmentfile reads segment files: record batches one after the other, as
// Apache Kafka writes them.
//
// Purpose: one careful way to walk over the batches of a file, whoever does it:
// lookups hop from header to header, recovery verifies, naru log dump shows.
// Nothing here trusts the file: a length, an offset or a checksum that is wrong is
// an error with its position, never more memory than the bytes that are there.
//
// Neighbours: package storage above; package record knows the batch, vfs the file.
//
// A segment file is named by the offset of its first record in twenty digits and
// holds nothing but batches:
//
//	+---------+---------+---------+- - -
//	| batch   | batch   | batch   |        each 12 bytes + batchLength, see record
//	+---------+---------+---------+- - -
package segmentfile

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"

	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// Scanner walks over the headers of batches in a file without reading more of
// them than it must.
type Scanner struct {
	file   vfs.File
	end    int64
	buf    []byte
	have   []byte // bytes at haveAt
	haveAt int64

	// Header is the present batch's header, valid until the next one.
	Header record.Batch
	// Position is where the batch starts in the file.
	Position int64
	// Size is that of the whole batch in bytes.
	Size int64
	// Err is what ended the walk early, nil at the end.
	Err error
}

// Chunk is how much a scan reads at once: about what one disk read costs
// anyway, and little enough to skip over large batches.
const Chunk = 32 << 10

// NewScanner starts at a batch boundary. End is where the
// part to look at ends. Buf is its memory, Chunk bytes or more.
func NewScanner(f vfs.File, from, end int64, buf []byte) *Scanner {
	return &Scanner{file: f, end: end, buf: buf, Position: from}
}

// Next goes to the next batch, false at the end or at a batch that is not whole.
func (sc *Scanner) Next() bool {
	sc.Position += sc.Size
	sc.Size = 0
	if sc.Position >= sc.end || sc.Err != nil {
		return false
	}
	if sc.end-sc.Position < record.HeaderSize {
		sc.Err = fmt.Errorf("%d bytes at position %d: %w", sc.end-sc.Position, sc.Position, record.ErrShort)
		return false
	}
	if err := sc.load(record.HeaderSize); err != nil {
		sc.Err = err
		return false
	}
	b := sc.have[sc.Position-sc.haveAt:]
	size, err := record.SizeOf(b)
	if err == nil && int64(size) > sc.end-sc.Position {
		err = fmt.Errorf("a batch of %d bytes where %d are left: %w", size, sc.end-sc.Position, record.ErrShort)
	}
	if err != nil {
		sc.Err = fmt.Errorf("at position %d: %w", sc.Position, err)
		return false
	}
	sc.Header, sc.Size = record.Batch(b[:record.HeaderSize]), int64(size)
	return true
}

// load makes the n bytes at the present position available.
func (sc *Scanner) load(n int64) error {
	if sc.Position >= sc.haveAt && sc.Position+n <= sc.haveAt+int64(len(sc.have)) {
		return nil
	}
	want := min(int64(len(sc.buf)), sc.end-sc.Position)
	got, err := sc.file.ReadAt(sc.buf[:want], sc.Position)
	sc.have, sc.haveAt = sc.buf[:got], sc.Position
	if int64(got) < n {
		return fmt.Errorf("reading a batch header at position %d: %w", sc.Position, errors.Join(record.ErrShort, err))
	}
	return nil
}

// CheckCRC verifies the present batch, reading all of it.
func (sc *Scanner) CheckCRC() error {
	if sc.Size > int64(len(sc.buf)) {
		return sc.checkLarge()
	}
	if err := sc.load(sc.Size); err != nil {
		return err
	}
	at := sc.Position - sc.haveAt
	sc.Header = record.Batch(sc.have[at : at+record.HeaderSize])
	return record.Batch(sc.have[at : at+sc.Size]).CheckCRC()
}

// checkLarge verifies a batch that is larger than the buffer, piece by piece.
func (sc *Scanner) checkLarge() error {
	var crc uint32
	want := sc.Header.CRC()
	for at := sc.Position + crcStart; at < sc.Position+sc.Size; {
		n, err := sc.file.ReadAt(sc.buf[:min(int64(len(sc.buf)), sc.Position+sc.Size-at)], at)
		if n == 0 {
			return errors.Join(record.ErrShort, err)
		}
		crc = crc32.Update(crc, castagnoli, sc.buf[:n])
		at += int64(n)
	}
	sc.have = nil
	if err := sc.load(record.HeaderSize); err != nil {
		return err
	}
	sc.Header = record.Batch(sc.have[:record.HeaderSize])
	if crc != want {
		return fmt.Errorf("%w: CRC of the batch at offset %d is %#08x, stored is %#08x", record.ErrCorrupt, sc.Header.BaseOffset(), crc, want)
	}
	return nil
}

// crcStart is where the part of a batch begins that its CRC covers.
const crcStart = 21

// castagnoli is the polynomial's table; it is never written.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Whole reads all of the present batch into memory of its own.
func (sc *Scanner) Whole() (record.Batch, error) {
	b := make(record.Batch, sc.Size)
	if n, err := sc.file.ReadAt(b, sc.Position); int64(n) < sc.Size {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading a batch at position %d: %w", sc.Position, err)
	}
	return b, nil
}

// LargeChunk is the memory for a scan that reads everything.
const LargeChunk = 1 << 20

// Found is one batch of a segment file, or what is found instead of one.
type Found struct {
	// Position is where it starts in the file.
	Position int64
	// Batch is the whole batch, valid until the next one; nil if the bytes are no
	// batch, which ends the scan.
	Batch record.Batch
	// Err says what is wrong, nil for a good batch.
	Err error
}

// Scan iterates over the batches of a segment file, of Naru or of Apache
// Kafka, without a Manager: for naru log dump. A batch with a wrong CRC comes with
// an error and the scan goes on; bytes that are no batch end it. The error it
// returns is about opening the file; the file is closed when the iteration ends.
func Scan(fsys vfs.FS, name string) (iter.Seq[Found], error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the segment: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("opening the segment: %w", err)
	}
	return func(yield func(Found) bool) {
		defer func() { _ = f.Close() }() // only read
		sc := NewScanner(f, 0, size, make([]byte, LargeChunk))
		for sc.Next() {
			b, err := sc.Whole()
			if err != nil {
				yield(Found{Position: sc.Position, Err: err})
				return
			}
			err = b.CheckCRC()
			if err == nil {
				err = b.CheckHeader()
			}
			if !yield(Found{Position: sc.Position, Batch: b, Err: err}) {
				return
			}
		}
		if sc.Err != nil {
			yield(Found{Position: sc.Position, Err: sc.Err})
		}
	}, nil
}

// FirstSince returns the first record of a batch that has a timestamp of at least
// timestampMs and an offset of at least start, decompressing the batch if it must.
func FirstSince(b record.Batch, timestampMs, start int64) (offset, foundMs int64, ok bool, err error) {
	it, err := b.Iterate(&record.Scratch{})
	if err != nil {
		return 0, 0, false, err
	}
	for it.Next() {
		if it.Record.Timestamp >= timestampMs && it.Record.Offset >= start {
			return it.Record.Offset, it.Record.Timestamp, true, nil
		}
	}
	return 0, 0, false, it.Err()
}
