package storage

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/epochs"
	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// recovery checks one partition after an unclean stop. Nobody else sees its log
// yet.
type recovery struct {
	l        *Log
	known    *manifest.Partition // nil if the manifest does not know it
	exists   bool                // there is a directory
	metaErr  error               // what is wrong with its partition.meta
	sameBoot bool                // the machine did not stop: written bytes are there
	trusted  bool                // the manifest lags behind the files, but is not lost
	journal  []journal.Entry     // what the directory's journal has of this partition
	scanned  int64
	cut      int64
	torn     bool // a segment ended early: what follows it has no place
	lost     bool // records that were synced are missing, which was reported
}

func (r *recovery) run() error {
	bases, err := r.tidy()
	if err != nil {
		return fmt.Errorf("recovering %s: %w", r.l, err)
	}
	l := r.l
	l.segs = nil
	if r.known != nil {
		l.logStart = r.known.LogStartOffset
		l.epochs, l.cleaned = epochs.Of(r.known.Epochs), r.known.CleanedOffset
		l.pace.snapshot = snapshotPoint{r.known.SnapshotOffset, r.known.HasSnapshot}
	}
	for i, base := range bases {
		if i+1 < len(bases) && r.known != nil && bases[i+1] <= l.logStart {
			if err := r.removeOld(base); err != nil {
				return fmt.Errorf("recovering %s: %w", l, err)
			}
			continue
		}
		if err := r.segment(base, i == len(bases)-1); err != nil {
			return fmt.Errorf("recovering %s: segment %d: %w", l, base, err)
		}
	}
	r.missing(bases)
	r.finish()
	return r.repairMeta()
}

// tidy removes what was under way when the node stopped, and returns the base
// offsets of the segments.
func (r *recovery) tidy() ([]int64, error) {
	if !r.exists {
		return nil, nil
	}
	fsys := r.l.m.fs
	entries, err := fsys.List(r.l.path)
	if err != nil {
		return nil, err
	}
	if entries, err = r.finishSwaps(entries); err != nil {
		return nil, fmt.Errorf("completing a compaction: %w", err)
	}
	var bases []int64
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name, deletedSuffix), strings.HasSuffix(e.Name, cleanedSuffix), strings.HasSuffix(e.Name, tmpSuffix):
			if err := fsys.Remove(path.Join(r.l.path, e.Name)); err != nil {
				return nil, err
			}
		default:
			if base, ok := segmentfile.ParseName(e.Name, logSuffix); ok {
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	return bases, nil
}

// removeOld removes a segment that retention had given up: the log starts behind
// it.
func (r *recovery) removeOld(base int64) error {
	err := r.l.m.fs.Remove(r.l.file(base, logSuffix))
	_ = r.l.m.fs.Remove(r.l.file(base, indexSuffix)) // may not exist
	return err
}

func (r *recovery) knownSegment(base int64) (manifest.Segment, bool) {
	if r.known == nil {
		return manifest.Segment{}, false
	}
	i := slices.IndexFunc(r.known.Segments, func(s manifest.Segment) bool { return s.BaseOffset == base })
	if i < 0 {
		return manifest.Segment{}, false
	}
	return r.known.Segments[i], true
}

// segment checks one segment file and adds it to the log.
func (r *recovery) segment(base int64, last bool) error {
	l := r.l
	s, isKnown := r.knownSegment(base)
	if !isKnown && r.displaced(base) {
		return r.setAside(base)
	}
	seg := newSegment(base)
	seg.handle = l.m.files.Handle(l.file(base, logSuffix))
	if isKnown {
		seg = l.knownSegment(s)
	}
	f, err := seg.handle.Acquire()
	if err != nil {
		return err
	}
	defer seg.handle.Release()
	size, err := f.Size()
	if err != nil {
		return err
	}
	switch {
	case size < seg.size:
		seg = r.shortened(seg, f, size)
	case seg.sealed && size > seg.size:
		if err := r.quarantine(seg, f, seg.size, size, "bytes behind the end of a finished segment", seg.next, -1); err != nil {
			return err
		}
	case size > seg.size:
		if err := r.extend(seg, f, size, last); err != nil {
			return err
		}
	}
	if err := r.replay(seg, f, last); err != nil {
		return fmt.Errorf("putting back what the journal has: %w", err)
	}
	if !isKnown && seg.size == 0 && !last {
		l.drop(seg)
		return l.m.fs.Remove(seg.handle.Name())
	}
	l.segs = append(l.segs, seg)
	return nil
}

// displaced tells a segment that cannot follow the one before it: that one lost
// its end, it overlaps, or it should have gone with a truncation. A segment begins
// where the one before it ended, or at the recovery point: an earlier recovery let
// the log go on there, behind what was lost for good.
func (r *recovery) displaced(base int64) bool {
	if len(r.l.segs) == 0 {
		return false
	}
	next := r.l.last().next
	if r.known != nil && base > next && base == r.known.RecoveryPoint {
		return false
	}
	return base < next || base != next && (r.torn || r.known != nil)
}

// setAside renames a segment that has no place in the log any more.
func (r *recovery) setAside(base int64) error {
	from := r.l.file(base, logSuffix)
	to := r.l.file(base, quarantineSuffix+"0")
	if err := r.l.m.fs.Rename(from, to); err != nil {
		return err
	}
	r.report(from, -1, -1, to, "the segment does not follow the one before it, whose end was lost")
	return nil
}

const quarantineSuffix = ".quarantine-"

// shortened takes what is left of a segment that lost bytes that were synced.
func (r *recovery) shortened(seg *segment, f vfs.File, size int64) *segment {
	lostTo := seg.next
	left := newSegment(seg.base)
	left.handle, left.sealed = seg.handle, false
	good, _ := r.scan(left, f, size, true)
	r.report(seg.handle.Name(), left.next, lostTo, "", fmt.Sprintf("the file has %d bytes, %d of them good; %d were synced", size, good, seg.size))
	left.synced, left.idxFrom = left.size, 0
	return left
}

// extend takes over what was appended after the last checkpoint: whole batches up
// to the first that is torn.
func (r *recovery) extend(seg *segment, f vfs.File, size int64, last bool) error {
	from := seg.size
	r.scanned += size - from
	good, err := r.scan(seg, f, size, !r.sameBoot)
	if err == nil {
		return nil
	}
	r.torn = true
	if r.known != nil && last || r.trusted && r.replays(seg, good) {
		r.cut += size - good
		r.l.m.log.Info("torn tail cut", "partition", r.l.String(), "segment", seg.base, "from_position", good,
			"bytes", size-good, "reason", err)
		return f.Truncate(good)
	}
	return r.quarantine(seg, f, good, size, err.Error(), seg.next, -1)
}

// quarantine moves the bytes [from, to) of a segment to a file of their own.
func (r *recovery) quarantine(seg *segment, f vfs.File, from, to int64, reason string, lostFrom, lostTo int64) error {
	name := r.l.file(seg.base, fmt.Sprintf("%s%d", quarantineSuffix, from))
	kept, err := r.l.m.fs.Create(name)
	if err != nil {
		return err
	}
	err = segmentfile.CopyRange(kept, f, from, to)
	if err = errors.Join(err, kept.Sync(), kept.Close()); err != nil {
		return err
	}
	if err := r.l.m.fs.SyncDir(r.l.path); err != nil {
		return err
	}
	if err := f.Truncate(from); err != nil {
		return err
	}
	if lostTo < 0 {
		lostFrom = -1
	}
	r.report(seg.handle.Name(), lostFrom, lostTo, name, reason)
	return nil
}

// scan walks from the segment's present end to size, adding good batches. It
// returns where the good ones end and why. Without full only the chain of headers
// and the last batch are checked: the machine did not stop, so that what was
// written before the last write is as it was written.
func (r *recovery) scan(seg *segment, f vfs.File, size int64, full bool) (int64, error) {
	buf := make([]byte, segmentfile.Chunk)
	if full {
		buf = make([]byte, segmentfile.LargeChunk)
	}
	sc := segmentfile.NewScanner(f, seg.size, size, buf)
	interval := r.l.set.indexInterval
	for sc.Next() {
		b := sc.Header
		var err error
		if b.BaseOffset() < seg.next || b.LastOffsetDelta() < 0 || b.LastOffset() < b.BaseOffset() {
			err = fmt.Errorf("offsets %d to %d follow %d: %w", b.BaseOffset(), b.LastOffset(), seg.next-1, record.ErrCorrupt)
		}
		if err == nil && (full || sc.Position+sc.Size == size) {
			err = sc.CheckCRC()
			b = sc.Header // may have moved
		}
		if err != nil {
			return seg.size, fmt.Errorf("at position %d: %w", sc.Position, err)
		}
		seg.add(b, interval)
		r.l.noteEpoch(b.PartitionLeaderEpoch(), b.BaseOffset())
	}
	return seg.size, sc.Err
}

// missing reports segments that the manifest knows and that are not there.
func (r *recovery) missing(bases []int64) {
	if r.known == nil {
		return
	}
	for _, s := range r.known.Segments {
		if s.Size == 0 || s.NextOffset <= r.l.logStart || slices.Contains(bases, s.BaseOffset) {
			continue
		}
		r.report(r.l.file(s.BaseOffset, logSuffix), s.BaseOffset, s.NextOffset, "", "the segment's file is missing")
	}
}

func (r *recovery) report(file string, from, to int64, keptAs, reason string) {
	r.lost = r.lost || from >= 0
	r.l.m.damage.Report(damage.Damage{Topic: r.l.topic, Partition: r.l.partition, File: file,
		FromOffset: from, ToOffset: to, KeptAs: keptAs, Reason: reason})
}

// finish sets the log's offsets. Offsets that were synced once are not used again,
// even if their records are lost.
func (r *recovery) finish() {
	l := r.l
	floor := l.logStart
	if r.known != nil {
		floor = max(floor, r.known.RecoveryPoint)
	}
	if len(l.segs) == 0 {
		l.segs = append(l.segs, newSegment(floor))
	}
	if l.logStart < l.segs[0].base {
		l.logStart = l.segs[0].base
	}
	if end := l.last().next; end < floor {
		if !r.lost && end >= l.logStart {
			r.report(l.path, end, floor, "", "the log ends before what was synced")
		}
		l.segs = append(l.segs, newSegment(floor))
	}
	l.end = l.last().next
	l.cleaned = min(l.cleaned, l.end)
	l.setDurable(r.known)
	l.epochs.TruncateFrom(l.end + 1)
	if l.pace.snapshot.offset > l.end || r.known == nil {
		l.pace.snapshot = snapshotPoint{offset: -1} // look for an older one
	}
}

// setDurable takes what the manifest knows as synced for durable, and has the rest
// synced soon.
func (l *Log) setDurable(known *manifest.Partition) {
	l.durable = l.end
	for _, s := range l.segs {
		if s.synced < s.size {
			l.pace.unsynced += s.size - s.synced
		}
	}
	if l.pace.unsynced > 0 {
		l.durable = l.logStart
		if known != nil {
			l.durable = min(l.end, max(known.RecoveryPoint, l.logStart))
		}
	}
	if last := l.last(); last.synced == last.size {
		l.active = last.describe()
	} else if known != nil {
		for _, s := range known.Segments {
			if s.BaseOffset == last.base {
				l.active = s
			}
		}
	}
	l.namesMade++ // a name may not be durable yet
	if !l.onDisk {
		l.namesMade = 0
	}
	l.pace.sinceSnapshot = l.end - max(0, l.pace.snapshot.offset)
	l.pace.sealing = len(l.segs) > 1
	l.pace.checkpoint = true
	l.pace.listed = true
	l.m.mu.Lock()
	l.m.work = append(l.m.work, l)
	l.m.mu.Unlock()
}
