package storage

import (
	"math"
	"path"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// The suffixes of a partition's files.
const (
	logSuffix      = ".log"
	indexSuffix    = ".nidx"
	snapshotSuffix = ".nsnap"
	abortedSuffix  = ".ntxn"
	deletedSuffix  = ".deleted"
	cleanedSuffix  = ".cleaned"
	tmpSuffix      = ".tmp"
)

// noTimestamp is the largest timestamp of no batches.
const noTimestamp = math.MinInt64

// segment is one file of a log. The fields below the line are guarded by the
// log's mu; only the goroutine that holds the log's writer token or its
// structural token changes them.
type segment struct {
	base   int64
	handle *vfs.Handle // nil until the file exists

	next               int64 // offset after the last batch
	size               int64 // bytes written
	synced             int64 // bytes known to be on disk
	journaled          int64 // bytes that the journal has on disk, if more
	cut                bool  // the file was cut since it was synced last
	maxTimestamp       int64
	maxTimestampOffset int64
	firstTimestamp     int64
	idx                index.Index                // boundaries at and behind idxFrom
	idxFrom            int64                      // those before are in the sidecar
	aborted            []producerstate.AbortedTxn // whose markers are here; nil if not loaded
	hasAborted         bool
	sealed             bool // synced, no longer written, sidecar made
	pinned             bool // the file is held open until it is synced
	dropped            bool // no longer part of the log
	checked            bool // the file was seen to be as long as it should be
}

func newSegment(base int64) *segment {
	return &segment{base: base, next: base, maxTimestamp: noTimestamp, firstTimestamp: noTimestamp, maxTimestampOffset: base}
}

func (l *Log) file(offset int64, suffix string) string {
	return path.Join(l.path, segmentfile.Name(offset, suffix))
}

// atRisk returns how many bytes a power cut may take. The log's mu is held.
func (s *segment) atRisk() int64 { return s.size - max(s.synced, s.journaled) }

// behind tells whether the file is not on the disk as it should be. The log's mu is held.
func (s *segment) behind() bool { return s.synced < s.size || s.cut }

// describe returns the segment as the manifest keeps it: only what is synced.
func (s *segment) describe() manifest.Segment {
	return manifest.Segment{
		BaseOffset: s.base, NextOffset: s.next, Size: s.size,
		MaxTimestamp: s.maxTimestamp, MaxTimestampOffset: s.maxTimestampOffset,
		FirstTimestamp: s.firstTimestamp, Sealed: s.sealed, Aborted: s.hasAborted,
	}
}

// add counts a batch that lies at the end of the segment.
func (s *segment) add(b record.Batch, interval int64) {
	s.idx.Add(index.Entry{
		RelativeOffset:     uint32(b.BaseOffset() - s.base),
		Position:           uint32(s.size),
		MaxTimestampBefore: s.maxTimestamp,
	}, interval)
	ts := b.MaxTimestamp()
	if s.size == 0 {
		s.firstTimestamp = ts
	}
	if ts > s.maxTimestamp {
		s.maxTimestamp, s.maxTimestampOffset = ts, b.BaseOffset()
	}
	s.size += int64(b.Size())
	s.next = b.NextOffset()
}
