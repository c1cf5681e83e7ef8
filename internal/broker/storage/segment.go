package storage

import (
	"path"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/vfs"
)

// segment is one file of a log. The fields below the line are guarded by the
// log's mu; only the goroutine that holds the log's writer token or its
// structural token changes them.
type segment struct {
	log    *Log
	handle *vfs.Handle // nil until the file exists

	segmentfile.Summary                            // BaseOffset never changes: it needs no lock
	synced              int64                      // bytes known to be on disk
	journaled           int64                      // bytes that the journal has on disk, if more
	cut                 bool                       // the file was cut since it was synced last
	abortedTxns         []producerstate.AbortedTxn // whose markers are here; nil if not loaded
	pinned              bool                       // the file is held open until it is synced
	dropped             bool                       // no longer part of the log
	checked             bool                       // the file was seen to be as long as it should be
}

func (l *Log) newSegment(base int64) *segment {
	return &segment{log: l, Summary: segmentfile.NewSummary(base)}
}

func (l *Log) file(offset int64, suffix string) string {
	return path.Join(l.path(), segmentfile.Name(offset, suffix))
}

// atRisk returns how many bytes a power cut may take. The log's mu is held.
func (s *segment) atRisk() int64 { return s.Size - max(s.synced, s.journaled) }

// behind tells whether the file is not on the disk as it should be. The log's mu is held.
func (s *segment) behind() bool { return s.synced < s.Size || s.cut }
