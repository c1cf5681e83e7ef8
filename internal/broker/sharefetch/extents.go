package sharefetch

import (
	"fmt"

	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// extent is a record batch and where in what was read it begins.
type extent struct {
	sharepartition.Extent
	at int64
}

// headersBytes is how much is read at once while looking at headers.
const headersBytes = 4 << 10

// extentsOf lists the record batches that were read, as far as maxRecords records behind
// inFlight, the last offset that somebody had. It reads their headers, and the markers of
// transactions if those matter. end is where in what was read the last of them ends.
func extentsOf(read *replica.ReadResult, markers bool, inFlight int64, maxRecords int32) (out []extent, end int64, err error) {
	var buf [headersBytes]byte
	window, windowAt := buf[:0], int64(0)
	for at := int64(0); at < read.Size(); {
		if at < windowAt || at+record.HeaderSize > windowAt+int64(len(window)) {
			window, windowAt = buf[:min(headersBytes, read.Size()-at)], at
			if err := read.ReadAt(window, at); err != nil {
				return nil, 0, err
			}
		}
		if len(window) < record.HeaderSize {
			return nil, 0, fmt.Errorf("a record batch at position %d has no header: %w", at, protocol.CorruptMessage)
		}
		b := record.Batch(window[at-windowAt:])
		size := int64(b.Size())
		if size < record.HeaderSize || at+size > read.Size() {
			return nil, 0, fmt.Errorf("a record batch at position %d is longer than what was read: %w", at, protocol.CorruptMessage)
		}
		e := extent{at: at, Extent: sharepartition.Extent{
			First: b.BaseOffset(), Last: b.LastOffset(), ProducerID: b.ProducerID(), Transactional: b.IsTransactional(),
		}}
		if markers && b.IsControl() && size <= headersBytes {
			whole := make([]byte, size)
			if err := read.ReadAt(whole, at); err != nil {
				return nil, 0, err
			}
			m, ok, err := record.Batch(whole).EndTxn()
			if err != nil {
				return nil, 0, err
			}
			e.Abort = ok && m.Type == record.ControlAbort
		}
		if len(out) > 0 && e.First > max(inFlight, out[0].First)+int64(maxRecords) {
			break
		}
		out = append(out, e)
		at += size
		end = at
	}
	return out, end, nil
}

func logOf(extents []extent) []sharepartition.Extent {
	out := make([]sharepartition.Extent, len(extents))
	for i := range extents {
		out[i] = extents[i].Extent
	}
	return out
}

// slice cuts what was read to the record batches that hold what was acquired; the last
// of extents ends at end.
func slice(r vfs.Range, extents []extent, end int64, acquired []sharepartition.Range) vfs.Range {
	first, last := acquired[0].First, acquired[len(acquired)-1].Last
	from, to := int64(0), end
	for i := range extents {
		if extents[i].First <= first {
			from = extents[i].at
		}
		if extents[i].First > last {
			to = extents[i].at
			break
		}
	}
	r.Offset, r.Length = r.Offset+from, to-from
	return r
}
