package storage

import (
	"fmt"
	"iter"

	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// ScannedBatch is one batch of a segment file, or what is found instead of one.
type ScannedBatch struct {
	// Position is where it starts in the file.
	Position int64
	// Batch is the whole batch, valid until the next one; nil if the bytes are no
	// batch, which ends the scan.
	Batch record.Batch
	// Err says what is wrong, nil for a good batch.
	Err error
}

// ScanSegment iterates over the batches of a segment file, of Naru or of Apache
// Kafka, without a Manager: for naru log dump. A batch with a wrong CRC comes with
// an error and the scan goes on; bytes that are no batch end it. The error it
// returns is about opening the file; the file is closed when the iteration ends.
func ScanSegment(fsys vfs.FS, name string) (iter.Seq[ScannedBatch], error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the segment: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("opening the segment: %w", err)
	}
	return func(yield func(ScannedBatch) bool) {
		defer func() { _ = f.Close() }() // only read
		sc := newScanner(f, 0, size, make([]byte, fullScanChunk))
		for sc.next() {
			b, err := sc.whole()
			if err != nil {
				yield(ScannedBatch{Position: sc.position, Err: err})
				return
			}
			err = b.CheckCRC()
			if err == nil {
				err = b.CheckHeader()
			}
			if !yield(ScannedBatch{Position: sc.position, Batch: b, Err: err}) {
				return
			}
		}
		if sc.err != nil {
			yield(ScannedBatch{Position: sc.position, Err: sc.err})
		}
	}, nil
}
