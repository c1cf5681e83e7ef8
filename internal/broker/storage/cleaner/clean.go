package cleaner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// Log is a compacted log as the cleaner needs it; storage implements it. One
// goroutine at a time cleans a log, while others append to it. Whatever changes
// the log below its active segment (truncation, deletion of old segments, removal)
// either waits or makes the following calls fail with ErrChanged.
type Log interface {
	// String names the log in messages.
	String() string
	// Picture describes the log now. It is cheap and asks no disk.
	Picture() (Picture, error)
	// Transactions returns the aborted transactions that overlap the offsets below
	// endOffset and the producers the log remembers now.
	Transactions(endOffset int64) ([]producerstate.AbortedTxn, []producerstate.Producer, error)
	// Open opens a segment of the Picture for reading.
	Open(baseOffset int64) (Source, error)
	// Create makes the file that is to take the place of a run of segments, the
	// first of which starts at baseOffset. What an earlier attempt left is gone.
	Create(baseOffset int64) (Output, error)
	// Replace puts the output, which it syncs, in the place of the segments, so
	// that a crash leaves either. The new segment spans the offsets of the old ones
	// and no longer has aborted transactions. An output without batches leaves
	// nothing but the offsets.
	Replace(segments []Segment, out Output) error
	// Cleaned remembers that everything below the offset is clean.
	Cleaned(offset int64) error
}

// Source is an open segment.
type Source interface {
	io.ReaderAt
	io.Closer
}

// Output is a file under construction.
type Output interface {
	// Write appends whole batches. It does not keep the bytes.
	Write(batches []byte) error
	// Discard removes the file; it is called when Replace failed or is not needed.
	Discard() error
}

// ErrChanged says that a log was changed under the cleaner, which then gives up
// without harm.
var ErrChanged = errors.New("the log changed while it was cleaned")

// Limits bound one cleaning.
type Limits struct {
	// DedupeBufferBytes is the memory of the offset map.
	DedupeBufferBytes int64
	// BufferBytes is the size of the read and of the write buffer; a larger batch
	// enlarges them.
	BufferBytes int
	// Pace is called after that many bytes were read or written and may wait.
	Pace func(ctx context.Context, bytes int) error
}

// Stats says what a cleaning did.
type Stats struct {
	BytesRead, BytesWritten int64
	RecordsRead, Records    int64
	Segments, Groups        int
	// EndOffset is up to where the log is clean now.
	EndOffset int64
}

// Clean cleans a log as planned. It stops between batches when ctx ends. After an
// error the log is intact: some runs of segments may have been replaced, the others
// have not.
func Clean(ctx context.Context, log Log, plan Plan, policy Policy, nowMs int64, limits Limits) (Stats, error) {
	c := cleaning{ctx: ctx, log: log, limits: limits}
	stats, err := c.run(plan, policy, nowMs)
	if err != nil {
		return stats, fmt.Errorf("cleaning %s: %w", log, err)
	}
	return stats, nil
}

// cleaning is one run of Clean.
type cleaning struct {
	ctx     context.Context
	log     Log
	limits  Limits
	in, out []byte
	stats   Stats
	filter  *Filter
	scratch record.Scratch
	keys    []slot
}

func (c *cleaning) run(plan Plan, policy Policy, nowMs int64) (Stats, error) {
	aborted, producers, err := c.log.Transactions(plan.EndOffset)
	if err != nil {
		return c.stats, fmt.Errorf("collecting transactions: %w", err)
	}
	keys := NewOffsetMap(c.limits.DedupeBufferBytes)
	if err := c.fill(keys, plan, newTransactions(aborted)); err != nil {
		return c.stats, err
	}
	end := keys.LatestOffset + 1
	if end <= plan.FirstDirtyOffset {
		return c.stats, nil
	}
	c.filter = NewFilter(keys, Context{
		NowMs: nowMs, DeleteRetentionMs: policy.DeleteRetentionMs, Aborted: aborted, Producers: producers,
	})
	for _, group := range plan.Groups(policy.SegmentBytes, end) {
		if err := c.replace(group); err != nil {
			return c.stats, err
		}
		c.stats.Groups++
		c.stats.Segments += len(group)
	}
	c.stats.RecordsRead, c.stats.Records = c.filter.Read, c.filter.Kept
	c.stats.EndOffset = end
	return c.stats, c.log.Cleaned(end)
}

// errFull ends the filling of the map early.
var errFull = errors.New("the map is full")

// fill puts the keys of the dirty segments into the map until it is full.
func (c *cleaning) fill(keys *OffsetMap, plan Plan, txns *transactions) error {
	for _, s := range plan.Segments {
		if s.NextOffset <= plan.FirstDirtyOffset {
			continue
		}
		err := c.read(s, func(b record.Batch) error {
			if b.LastOffset() < plan.FirstDirtyOffset {
				return nil
			}
			return c.fillBatch(keys, b, plan.FirstDirtyOffset, txns)
		})
		if errors.Is(err, errFull) {
			return nil
		}
		if err != nil {
			return err
		}
		keys.LatestOffset = max(keys.LatestOffset, s.NextOffset-1)
	}
	return nil
}

// fillBatch puts the keys of the batch's records from the offset on. All are hashed
// before the first is looked up: lookups in a row wait for memory together, in a large
// map, and not one after the other.
func (c *cleaning) fillBatch(keys *OffsetMap, b record.Batch, from int64, txns *transactions) error {
	if !b.IsControl() && !txns.data(b) && b.Count() > 0 {
		it, err := b.Iterate(&c.scratch)
		if err != nil {
			return err
		}
		c.keys = c.keys[:0]
		for it.Next() {
			if r := &it.Record; r.Key != nil && r.Offset >= from {
				h := hash(r.Key)
				h.offset = r.Offset + 1
				c.keys = append(c.keys, h)
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
		for _, h := range c.keys {
			if !keys.put(h) {
				return errFull
			}
		}
	}
	keys.LatestOffset = max(keys.LatestOffset, b.LastOffset())
	return nil
}

// replace writes what stays of a run of segments and puts it in their place.
func (c *cleaning) replace(group []Segment) (err error) {
	out, err := c.log.Create(group[0].BaseOffset)
	if err != nil {
		return fmt.Errorf("creating the segment at %d: %w", group[0].BaseOffset, err)
	}
	replaced := false
	defer func() {
		if !replaced {
			err = errors.Join(err, out.Discard())
		}
	}()
	c.out = c.out[:0]
	changed := c.filter.Changed
	for _, s := range group {
		err := c.read(s, func(b record.Batch) error {
			var err error
			if c.out, err = c.filter.Append(c.out, b); err != nil || len(c.out) < c.limits.BufferBytes {
				return err
			}
			return c.write(out)
		})
		if err != nil {
			return err
		}
	}
	if err := c.write(out); err != nil {
		return err
	}
	if len(group) == 1 && c.filter.Changed == changed {
		return nil // clean already, as most segments are
	}
	if err := c.log.Replace(group, out); err != nil {
		return fmt.Errorf("replacing the segments from %d: %w", group[0].BaseOffset, err)
	}
	replaced = true
	return nil
}

func (c *cleaning) write(out Output) error {
	if len(c.out) == 0 {
		return nil
	}
	if err := out.Write(c.out); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	n := len(c.out)
	c.stats.BytesWritten += int64(n)
	c.out = c.out[:0]
	return c.limits.Pace(c.ctx, n)
}

// read calls visit for every batch of a segment, in order, with the CRC checked.
func (c *cleaning) read(s Segment, visit func(record.Batch) error) (err error) {
	src, err := c.log.Open(s.BaseOffset)
	if err != nil {
		return fmt.Errorf("opening the segment at %d: %w", s.BaseOffset, err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	want := c.limits.BufferBytes
	for at := int64(0); at < s.SizeBytes; {
		n := int(min(int64(want), s.SizeBytes-at))
		c.in = slices.Grow(c.in[:0], n)[:n]
		if got, err := src.ReadAt(c.in, at); got < n {
			return fmt.Errorf("reading the segment at %d: %d of %d bytes at position %d: %w", s.BaseOffset, got, n, at, err)
		}
		c.stats.BytesRead += int64(n)
		if err := c.limits.Pace(c.ctx, n); err != nil {
			return err
		}
		used, err := visitAll(c.in, visit)
		if err != nil {
			return fmt.Errorf("segment at %d, position %d: %w", s.BaseOffset, at+int64(used), err)
		}
		want = c.limits.BufferBytes
		if used == 0 {
			if want, err = nextSize(c.in, s.SizeBytes-at); err != nil {
				return fmt.Errorf("segment at %d, position %d: %w", s.BaseOffset, at, err)
			}
		}
		at += int64(used)
	}
	return nil
}

// visitAll visits the complete batches of b and returns how many bytes they are.
func visitAll(b []byte, visit func(record.Batch) error) (used int, err error) {
	for rest := b; ; {
		batch, more, err := record.Next(rest)
		if errors.Is(err, record.ErrShort) {
			return used, nil
		}
		if err != nil {
			return used, err
		}
		if err := errors.Join(batch.CheckCRC(), batch.CheckHeader()); err != nil {
			return used, err
		}
		if err := visit(batch); err != nil {
			return used, err
		}
		used += len(batch)
		rest = more
	}
}

// nextSize returns the size of the batch that did not fit into b, of which left
// bytes of the segment remain.
func nextSize(b []byte, left int64) (int, error) {
	size, err := record.SizeOf(b)
	if errors.Is(err, record.ErrShort) && int64(len(b)) < left {
		return record.PrefixSize, nil // a buffer smaller than a header
	}
	if err != nil {
		return 0, err
	}
	if int64(size) > left {
		return 0, fmt.Errorf("%w: batch of %d bytes where %d are left", record.ErrShort, size, left)
	}
	return size, nil
}
