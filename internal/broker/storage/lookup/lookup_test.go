package lookup

import (
	"math/rand/v2"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// segment is a file of batches with an index.
type segment struct {
	index   index.Index
	file    vfs.File
	batches []record.Batch
	at      []int64 // their positions, and the end
}

// Floor implements Index.
func (s *segment) Floor(q Query) (index.Entry, error) { return q.Ask(&s.index), nil }

// newSegment makes a segment from offset 100 on, with gaps as compaction leaves them.
func newSegment(t *testing.T, rng *rand.Rand) *segment {
	t.Helper()
	s := &segment{}
	var content []byte
	next := int64(100 + rng.IntN(3))
	for range 12 {
		spec := record.DefaultSpec()
		spec.BaseOffset, spec.PartitionLeaderEpoch = next, 4
		var bl record.Builder
		bl.Reset(spec)
		for range 1 + rng.IntN(4) {
			if err := bl.Append(1000+rng.Int64N(50), nil, make([]byte, rng.IntN(200))); err != nil {
				t.Fatal(err)
			}
		}
		b, err := bl.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		s.at = append(s.at, int64(len(content)))
		content = append(content, b...)
		s.batches = append(s.batches, b)
		next = record.Batch(b).NextOffset() + int64(rng.IntN(3))
	}
	s.at = append(s.at, int64(len(content)))
	fs := vfs.NewMem()
	f, err := fs.Create("/s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	sum, err := segmentfile.Summarize(f, 100, int64(len(content)), 200, make([]byte, segmentfile.Chunk))
	if err != nil {
		t.Fatal(err)
	}
	s.index, s.file = sum.Index, f
	return s
}

func (s *segment) plan() *Plan {
	return &Plan{Base: 100, Size: s.at[len(s.batches)], Start: -1, End: -1, Cut: -1}
}

// want is what a read must find, from looking at every batch.
func (s *segment) want(offset, maxBytes, limit int64, minOneBatch bool) (position, length int64) {
	for i, b := range s.batches {
		if b.NextOffset() <= offset || b.NextOffset() > limit {
			continue
		}
		if length == 0 {
			position = s.at[i]
		}
		if end := s.at[i+1] - position; end <= maxBytes || length == 0 && minOneBatch {
			length = end
		} else {
			break
		}
	}
	return position, length
}

func TestReadsFindWhatLookingAtEveryBatchFinds(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	buf := make([]byte, segmentfile.Chunk)
	for range 300 {
		s := newSegment(t, rng)
		last := s.batches[len(s.batches)-1].NextOffset()
		limits := []int64{last}
		for _, b := range s.batches {
			limits = append(limits, b.NextOffset())
		}
		for range 50 {
			p, offset, maxBytes, minOne := s.plan(), 100+rng.Int64N(last-100), rng.Int64N(2000), rng.IntN(2) == 0
			p.Limit = limits[rng.IntN(len(limits))]
			if offset >= p.Limit {
				continue
			}
			if p.Limit == last {
				p.End = p.Size
			}
			e, err := p.Read(s.file, s, buf, offset, maxBytes, minOne)
			position, length := s.want(offset, maxBytes, p.Limit, minOne)
			// An index may end a read before it is full, but never with less than a batch.
			early := e.Length > 0 && e.Length < length
			if err != nil || e.Length != length && !early || length > 0 && e.Position != position {
				t.Fatalf("seed %d: reading at %d up to %d, %d bytes, at least one batch %t: %+v, %v; want %d bytes at %d", seed, offset, p.Limit, maxBytes, minOne, e, err, length, position)
			}
		}
	}
}

func TestCutsAndTimestampsFindWhatLookingAtEveryBatchFinds(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	buf := make([]byte, segmentfile.Chunk)
	for range 300 {
		s := newSegment(t, rng)
		offset := 101 + rng.Int64N(s.batches[len(s.batches)-1].NextOffset()-101)
		position, _, err := s.plan().CutBefore(s.file, s, buf, offset)
		want := 0
		for s.batches[want].NextOffset() <= offset {
			want++
		}
		if err != nil || position != s.at[want] {
			t.Fatalf("seed %d: the cut before %d is at %d, want %d: %v", seed, offset, position, s.at[want], err)
		}
		ms := 995 + rng.Int64N(60)
		got, ok, err := s.plan().Since(s.file, s, buf, ms, offset)
		expected := Record{}
		for _, b := range s.batches {
			if o, ts, found, _ := segmentfile.FirstSince(b, ms, offset); found {
				expected = Record{o, ts, 4}
				break
			}
		}
		if err != nil || got != expected || ok != (expected != Record{}) {
			t.Fatalf("seed %d: the first since %d from %d on is %+v, want %+v: %v", seed, ms, offset, got, expected, err)
		}
	}
}
