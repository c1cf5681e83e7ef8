package recovery

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/epochs"
	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/sidecar"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Partition is one to recover. Nobody else touches its files meanwhile.
type Partition struct {
	// Topic is the topic's name.
	Topic string
	// TopicID is the topic's id, zero if it is not known.
	TopicID wire.UUID
	// Number is the partition's number.
	Number int32
	// Known is what the manifest says, nil if it does not know the partition.
	Known *manifest.Partition
	// Exists tells that there is a directory.
	Exists bool

	dir      *Directory
	path     string
	metaErr  error           // what is wrong with its partition.meta
	journal  []journal.Entry // what the directory's journal has of it
	interval int64           // of the index
	torn     bool            // a segment ended early: what follows it has no place
	lost     bool            // records that were synced are missing, which was reported
	log      *Log
}

// Log is what there is of a partition.
type Log struct {
	// Point has its offsets. The recovery point is up to where it is durable. Without
	// a snapshot that fits the snapshot's offset is -1.
	manifest.Point
	// Epochs are its leader epochs.
	Epochs epochs.Cache
	// Segments are ascending, never empty.
	Segments []Segment
	// Active describes the last segment as far as it is synced.
	Active manifest.Segment
	// Scanned is how many bytes were checked, Cut how many were cut off.
	Scanned, Cut int64
}

// Closed returns what there is of a partition that was closed in order: no file is
// touched.
func Closed(p *manifest.Partition) *Log {
	l := &Log{Point: p.Point, Epochs: epochs.Of(p.Epochs)}
	l.RecoveryPoint = l.LogEndOffset
	if len(p.Segments) == 0 {
		l.Segments = []Segment{*newSegment(l.LogEndOffset)}
		return l
	}
	for _, s := range p.Segments {
		l.Segments = append(l.Segments, *known(s))
	}
	l.Active = l.last().Segment
	return l
}

func (l *Log) last() *Segment { return &l.Segments[len(l.Segments)-1] }

// String returns <topic>-<partition>.
func (p *Partition) String() string { return segmentfile.DirName(p.Topic, p.Number) }

func (p *Partition) file(offset int64, suffix string) string {
	return path.Join(p.path, segmentfile.Name(offset, suffix))
}

// Recover checks the partition and puts its files in order. Interval is the distance of
// the boundaries in an index, in bytes.
func (p *Partition) Recover(interval int64) (*Log, error) {
	p.interval = interval
	p.log = &Log{Point: manifest.Point{SnapshotOffset: -1}}
	bases, err := p.tidy()
	if err != nil {
		return nil, fmt.Errorf("recovering %s: %w", p, err)
	}
	if p.Known != nil {
		p.log.Point, p.log.Epochs = p.Known.Point, epochs.Of(p.Known.Epochs)
	}
	for i, base := range bases {
		if i+1 < len(bases) && p.Known != nil && bases[i+1] <= p.log.LogStartOffset {
			if err := p.removeOld(base); err != nil {
				return nil, fmt.Errorf("recovering %s: %w", p, err)
			}
			continue
		}
		if err := p.segment(base, i == len(bases)-1); err != nil {
			return nil, fmt.Errorf("recovering %s: segment %d: %w", p, base, err)
		}
	}
	p.missing(bases)
	p.finish()
	return p.log, p.repairMeta()
}

// tidy removes what was under way when the node stopped, and returns the base
// offsets of the segments.
func (p *Partition) tidy() ([]int64, error) {
	if !p.Exists {
		return nil, nil
	}
	fsys := p.dir.FS
	entries, err := fsys.List(p.path)
	if err != nil {
		return nil, err
	}
	if entries, err = p.finishSwaps(entries); err != nil {
		return nil, fmt.Errorf("completing a compaction: %w", err)
	}
	var bases []int64
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name, segmentfile.DeletedSuffix), strings.HasSuffix(e.Name, segmentfile.CleanedSuffix), strings.HasSuffix(e.Name, segmentfile.TmpSuffix):
			if err := fsys.Remove(path.Join(p.path, e.Name)); err != nil {
				return nil, err
			}
		default:
			if base, ok := segmentfile.ParseName(e.Name, segmentfile.LogSuffix); ok {
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	return bases, nil
}

// removeOld removes a segment that retention had given up: the log starts behind
// it.
func (p *Partition) removeOld(base int64) error {
	err := p.dir.FS.Remove(p.file(base, segmentfile.LogSuffix))
	_ = p.dir.FS.Remove(p.file(base, segmentfile.IndexSuffix)) // may not exist
	return err
}

func (p *Partition) knownSegment(base int64) (manifest.Segment, bool) {
	if p.Known == nil {
		return manifest.Segment{}, false
	}
	i := slices.IndexFunc(p.Known.Segments, func(s manifest.Segment) bool { return s.BaseOffset == base })
	if i < 0 {
		return manifest.Segment{}, false
	}
	return p.Known.Segments[i], true
}

// missing reports segments that the manifest knows and that are not there.
func (p *Partition) missing(bases []int64) {
	if p.Known == nil {
		return
	}
	for _, s := range p.Known.Segments {
		if s.Size == 0 || s.NextOffset <= p.log.LogStartOffset || slices.Contains(bases, s.BaseOffset) {
			continue
		}
		p.report(p.file(s.BaseOffset, segmentfile.LogSuffix), s.BaseOffset, s.NextOffset, "", "the segment's file is missing")
	}
}

func (p *Partition) report(file string, from, to int64, keptAs, reason string) {
	p.lost = p.lost || from >= 0
	p.dir.Damage.Report(damage.Damage{Topic: p.Topic, Partition: p.Number, File: file,
		FromOffset: from, ToOffset: to, KeptAs: keptAs, Reason: reason})
}

// finish sets the log's offsets. Offsets that were synced once are not used again,
// even if their records are lost.
func (p *Partition) finish() {
	l := p.log
	floor := l.LogStartOffset
	if p.Known != nil {
		floor = max(floor, p.Known.RecoveryPoint)
	}
	if len(l.Segments) == 0 {
		l.Segments = append(l.Segments, *newSegment(floor))
	}
	l.LogStartOffset = max(l.LogStartOffset, l.Segments[0].BaseOffset)
	if end := l.last().NextOffset; end < floor {
		if !p.lost && end >= l.LogStartOffset {
			p.report(p.path, end, floor, "", "the log ends before what was synced")
		}
		l.Segments = append(l.Segments, *newSegment(floor))
	}
	l.LogEndOffset = l.last().NextOffset
	l.CleanedOffset = min(l.CleanedOffset, l.LogEndOffset)
	p.setDurable()
	l.Epochs.TruncateFrom(l.LogEndOffset + 1)
	if l.SnapshotOffset > l.LogEndOffset {
		l.SnapshotOffset, l.HasSnapshot = -1, false // look for an older one
	}
}

// setDurable takes what the manifest knows as synced for durable.
func (p *Partition) setDurable() {
	l := p.log
	l.RecoveryPoint = l.LogEndOffset
	if slices.ContainsFunc(l.Segments, func(s Segment) bool { return s.Synced < s.Size }) {
		l.RecoveryPoint = l.LogStartOffset
		if p.Known != nil {
			l.RecoveryPoint = min(l.LogEndOffset, max(p.Known.RecoveryPoint, l.LogStartOffset))
		}
	}
	if last := l.last(); last.Synced == last.Size {
		l.Active = last.Segment
	} else if known, ok := p.knownSegment(last.BaseOffset); ok {
		l.Active = known
	}
}

// repairMeta writes partition.meta anew if a crash left none. Without manifest the
// topic's id is unknown then: the log waits for whoever creates it again.
func (p *Partition) repairMeta() error {
	if !p.Exists || p.metaErr == nil {
		return nil
	}
	file := path.Join(p.path, sidecar.PartitionFile)
	if p.Known == nil && p.log.last().NextOffset > 0 {
		p.report(file, -1, -1, "", "the topic id is unknown: "+p.metaErr.Error())
	}
	return sidecar.WritePartition(p.dir.FS, file, p.Topic, p.TopicID, p.Number)
}
