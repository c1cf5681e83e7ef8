package recovery

import (
	"errors"
	"fmt"

	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// Segment is a segment of a log.
type Segment struct {
	segmentfile.Summary
	// Synced is how many of its bytes are known to be on the disk.
	Synced int64
	// HasFile is false for the place holder of a log that has lost its end or never had
	// a record.
	HasFile bool
}

func newSegment(base int64) *Segment { return &Segment{Summary: segmentfile.NewSummary(base)} }

// known returns a segment as the manifest describes it: everything in it is synced.
func known(s manifest.Segment) *Segment {
	k := &Segment{Synced: s.Size, HasFile: true}
	k.Segment, k.IndexFrom = s, s.Size
	k.Aborted = s.Aborted && s.Sealed
	return k
}

// segment checks one segment file and adds it to the log.
func (p *Partition) segment(base int64, last bool) (err error) {
	s, isKnown := p.knownSegment(base)
	if !isKnown && p.displaced(base) {
		return p.setAside(base)
	}
	seg := newSegment(base)
	if isKnown {
		seg = known(s)
	}
	seg.HasFile = true
	f, err := p.dir.FS.Open(p.file(base, segmentfile.LogSuffix))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return err
	}
	switch {
	case size < seg.Size:
		seg = p.shortened(seg, f, size)
	case seg.Sealed && size > seg.Size:
		if err := p.quarantine(seg, f, seg.Size, size, "bytes behind the end of a finished segment", seg.NextOffset, -1); err != nil {
			return err
		}
	case size > seg.Size:
		if err := p.extend(seg, f, size, last); err != nil {
			return err
		}
	}
	if err := p.replay(seg, f, last); err != nil {
		return fmt.Errorf("putting back what the journal has: %w", err)
	}
	if !isKnown && seg.Size == 0 && !last {
		return p.dir.FS.Remove(p.file(base, segmentfile.LogSuffix))
	}
	p.log.Segments = append(p.log.Segments, *seg)
	return nil
}

// displaced tells a segment that cannot follow the one before it: that one lost
// its end, it overlaps, or it should have gone with a truncation. A segment begins
// where the one before it ended, or at the recovery point: an earlier recovery let
// the log go on there, behind what was lost for good.
func (p *Partition) displaced(base int64) bool {
	if len(p.log.Segments) == 0 {
		return false
	}
	next := p.log.last().NextOffset
	if p.Known != nil && base > next && base == p.Known.RecoveryPoint {
		return false
	}
	return base < next || base != next && (p.torn || p.Known != nil)
}

// setAside renames a segment that has no place in the log any more.
func (p *Partition) setAside(base int64) error {
	from := p.file(base, segmentfile.LogSuffix)
	to := p.file(base, segmentfile.QuarantineSuffix+"0")
	if err := p.dir.FS.Rename(from, to); err != nil {
		return err
	}
	p.report(from, -1, -1, to, "the segment does not follow the one before it, whose end was lost")
	return nil
}

// shortened takes what is left of a segment that lost bytes that were synced.
func (p *Partition) shortened(seg *Segment, f vfs.File, size int64) *Segment {
	lostTo := seg.NextOffset
	left := newSegment(seg.BaseOffset)
	left.HasFile = true
	good, _ := p.scan(left, f, size, true)
	p.report(p.file(seg.BaseOffset, segmentfile.LogSuffix), left.NextOffset, lostTo, "", fmt.Sprintf("the file has %d bytes, %d of them good; %d were synced", size, good, seg.Size))
	left.Synced = left.Size
	return left
}

// extend takes over what was appended after the last checkpoint: whole batches up
// to the first that is torn.
func (p *Partition) extend(seg *Segment, f vfs.File, size int64, last bool) error {
	from := seg.Size
	p.log.Scanned += size - from
	good, err := p.scan(seg, f, size, !p.dir.sameBoot())
	if err == nil {
		return nil
	}
	p.torn = true
	if p.Known != nil && last || p.dir.Trusted && p.replays(seg, good) {
		p.log.Cut += size - good
		p.dir.Logger.Info("torn tail cut", "partition", p.String(), "segment", seg.BaseOffset, "from_position", good,
			"bytes", size-good, "reason", err)
		return f.Truncate(good)
	}
	return p.quarantine(seg, f, good, size, err.Error(), seg.NextOffset, -1)
}

// quarantine moves the bytes [from, to) of a segment to a file of their own.
func (p *Partition) quarantine(seg *Segment, f vfs.File, from, to int64, reason string, lostFrom, lostTo int64) error {
	name := p.file(seg.BaseOffset, fmt.Sprintf("%s%d", segmentfile.QuarantineSuffix, from))
	kept, err := p.dir.FS.Create(name)
	if err != nil {
		return err
	}
	err = segmentfile.CopyRange(kept, f, from, to)
	if err = errors.Join(err, kept.Sync(), kept.Close()); err != nil {
		return err
	}
	if err := p.dir.FS.SyncDir(p.path); err != nil {
		return err
	}
	if err := f.Truncate(from); err != nil {
		return err
	}
	if lostTo < 0 {
		lostFrom = -1
	}
	p.report(p.file(seg.BaseOffset, segmentfile.LogSuffix), lostFrom, lostTo, name, reason)
	return nil
}

// scan walks from the segment's present end to size, adding good batches. It
// returns where the good ones end and why. Without full only the chain of headers
// and the last batch are checked: the machine did not stop, so that what was
// written before the last write is as it was written.
func (p *Partition) scan(seg *Segment, f vfs.File, size int64, full bool) (int64, error) {
	buf := make([]byte, segmentfile.Chunk)
	if full {
		buf = make([]byte, segmentfile.LargeChunk)
	}
	sc := segmentfile.NewScanner(f, seg.Size, size, buf)
	for sc.Next() {
		b := sc.Header
		var err error
		if b.BaseOffset() < seg.NextOffset || b.LastOffsetDelta() < 0 || b.LastOffset() < b.BaseOffset() {
			err = fmt.Errorf("offsets %d to %d follow %d: %w", b.BaseOffset(), b.LastOffset(), seg.NextOffset-1, record.ErrCorrupt)
		}
		if err == nil && (full || sc.Position+sc.Size == size) {
			err = sc.CheckCRC()
			b = sc.Header // may have moved
		}
		if err != nil {
			return seg.Size, fmt.Errorf("at position %d: %w", sc.Position, err)
		}
		seg.Add(b, p.interval)
		p.log.Epochs.Note(b.PartitionLeaderEpoch(), b.BaseOffset())
	}
	return seg.Size, sc.Err
}
