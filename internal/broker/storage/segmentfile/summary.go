package segmentfile

import (
	"math"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// Summary is what is known of a segment without looking at its file: the figures that the
// manifest keeps, and where batches begin. It is not safe for concurrent use.
type Summary struct {
	manifest.Segment
	// Index has the boundaries at and behind the position IndexFrom; those before are
	// in the sidecar.
	Index     index.Index
	IndexFrom int64
}

// NoTimestamp is the largest timestamp of no batches.
const NoTimestamp = math.MinInt64

// NewSummary returns that of an empty segment.
func NewSummary(base int64) Summary {
	return Summary{Segment: manifest.Segment{
		BaseOffset: base, NextOffset: base, MaxTimestamp: NoTimestamp, FirstTimestamp: NoTimestamp, MaxTimestampOffset: base,
	}}
}

// Add counts a batch that lies at the end of the segment; interval is the distance of the
// boundaries in bytes.
func (s *Summary) Add(b record.Batch, interval int64) {
	s.Index.Add(index.Entry{
		RelativeOffset:     uint32(b.BaseOffset() - s.BaseOffset),
		Position:           uint32(s.Size),
		MaxTimestampBefore: s.MaxTimestamp,
	}, interval)
	ts := b.MaxTimestamp()
	if s.Size == 0 {
		s.FirstTimestamp = ts
	}
	if ts > s.MaxTimestamp {
		s.MaxTimestamp, s.MaxTimestampOffset = ts, b.BaseOffset()
	}
	s.Size += int64(b.Size())
	s.NextOffset = b.NextOffset()
}

// ForgetIndex forgets the boundaries: the sidecar has them.
func (s *Summary) ForgetIndex() {
	s.Index, s.IndexFrom = index.Index{}, s.Size
}

// Summarize reads the headers of the batches in the first size bytes of a segment. Buf is
// its memory, Chunk bytes or more.
func Summarize(f vfs.File, base, size, interval int64, buf []byte) (Summary, error) {
	s := NewSummary(base)
	sc := NewScanner(f, 0, size, buf)
	for sc.Next() {
		s.Add(sc.Header, interval)
	}
	return s, sc.Err
}

// SummarizeFile summarizes a whole file that is finished and synced; next is the offset
// behind it.
func SummarizeFile(fsys vfs.FS, name string, base, next, interval int64) (Summary, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return Summary{}, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	if err != nil {
		return Summary{}, err
	}
	s, err := Summarize(f, base, size, interval, make([]byte, Chunk))
	s.NextOffset, s.Sealed = next, true
	return s, err
}
