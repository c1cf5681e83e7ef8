package storage

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// scanner walks over the headers of batches in a file without reading more of
// them than it must.
type scanner struct {
	file     vfs.File
	end      int64
	buf      []byte
	have     []byte // bytes at haveAt
	haveAt   int64
	header   record.Batch // the present batch's header
	position int64        // where it starts
	size     int64        // of the whole batch
	err      error
}

// scanChunk is how much a scan reads at once: about what one disk read costs
// anyway, and little enough to skip over large batches.
const scanChunk = 32 << 10

// newScanner starts at a batch boundary. Buf is its memory, scanChunk bytes.
func newScanner(f vfs.File, from, end int64, buf []byte) *scanner {
	return &scanner{file: f, end: end, buf: buf, position: from}
}

// next goes to the next batch, false at the end or at a batch that is not whole.
func (sc *scanner) next() bool {
	sc.position += sc.size
	sc.size = 0
	if sc.position >= sc.end || sc.err != nil {
		return false
	}
	if sc.end-sc.position < record.HeaderSize {
		sc.err = fmt.Errorf("%d bytes at position %d: %w", sc.end-sc.position, sc.position, record.ErrShort)
		return false
	}
	if err := sc.load(record.HeaderSize); err != nil {
		sc.err = err
		return false
	}
	b := sc.have[sc.position-sc.haveAt:]
	size, err := record.SizeOf(b)
	if err == nil && int64(size) > sc.end-sc.position {
		err = fmt.Errorf("a batch of %d bytes where %d are left: %w", size, sc.end-sc.position, record.ErrShort)
	}
	if err != nil {
		sc.err = fmt.Errorf("at position %d: %w", sc.position, err)
		return false
	}
	sc.header, sc.size = record.Batch(b[:record.HeaderSize]), int64(size)
	return true
}

// load makes the n bytes at the present position available.
func (sc *scanner) load(n int64) error {
	if sc.position >= sc.haveAt && sc.position+n <= sc.haveAt+int64(len(sc.have)) {
		return nil
	}
	want := min(int64(len(sc.buf)), sc.end-sc.position)
	got, err := sc.file.ReadAt(sc.buf[:want], sc.position)
	sc.have, sc.haveAt = sc.buf[:got], sc.position
	if int64(got) < n {
		return fmt.Errorf("reading a batch header at position %d: %w", sc.position, errors.Join(record.ErrShort, err))
	}
	return nil
}

// checkCRC verifies the present batch, reading all of it.
func (sc *scanner) checkCRC() error {
	if sc.size > int64(len(sc.buf)) {
		return sc.checkLarge()
	}
	if err := sc.load(sc.size); err != nil {
		return err
	}
	at := sc.position - sc.haveAt
	sc.header = record.Batch(sc.have[at : at+record.HeaderSize])
	return record.Batch(sc.have[at : at+sc.size]).CheckCRC()
}

// checkLarge verifies a batch that is larger than the buffer, piece by piece.
func (sc *scanner) checkLarge() error {
	var crc uint32
	want := sc.header.CRC()
	for at := sc.position + crcStart; at < sc.position+sc.size; {
		n, err := sc.file.ReadAt(sc.buf[:min(int64(len(sc.buf)), sc.position+sc.size-at)], at)
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
	sc.header = record.Batch(sc.have[:record.HeaderSize])
	if crc != want {
		return fmt.Errorf("%w: CRC of the batch at offset %d is %#08x, stored is %#08x", record.ErrCorrupt, sc.header.BaseOffset(), crc, want)
	}
	return nil
}

// crcStart is where the part of a batch begins that its CRC covers.
const crcStart = 21

// castagnoli is the polynomial's table; it is never written.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)
