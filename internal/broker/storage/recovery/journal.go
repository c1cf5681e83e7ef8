package recovery

import (
	"errors"
	"fmt"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// replay puts back what the journal has and the segment lost, and syncs the segment:
// afterwards the journal is not needed any more. A segment that is sealed was synced,
// and compaction may have changed it since.
func (p *Partition) replay(seg *Segment, f vfs.File, last bool) error {
	if seg.Sealed || !p.replays(seg, seg.Synced) || !p.dir.Trusted && !last {
		return nil
	}
	for i, e := range p.journal {
		end := e.Position + int64(len(e.Batches))
		if e.SegmentBase != seg.BaseOffset || end <= seg.Size {
			continue
		}
		if e.Position > seg.Size {
			if err := p.setJournalAside(seg, p.journal[i:]); err != nil {
				return err
			}
			break
		}
		if _, err := f.WriteAt(e.Batches[seg.Size-e.Position:], seg.Size); err != nil {
			return err
		}
		if good, err := p.scan(seg, f, end, true); err != nil {
			p.report(p.file(seg.BaseOffset, segmentfile.LogSuffix), -1, -1, "", "the journal does not continue the segment: "+err.Error())
			if err := f.Truncate(good); err != nil {
				return err
			}
			break
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	seg.Synced = seg.Size
	return nil
}

// replays tells whether the journal has anything of a segment behind a position.
func (p *Partition) replays(seg *Segment, position int64) bool {
	return slices.ContainsFunc(p.journal, func(e journal.Entry) bool {
		return e.SegmentBase == seg.BaseOffset && e.Position+int64(len(e.Batches)) > position
	})
}

// setJournalAside keeps in a file of their own the batches of a segment that the
// journal has and that do not continue it, because something before them was lost.
// Their offsets are not used again.
func (p *Partition) setJournalAside(seg *Segment, entries []journal.Entry) error {
	first := entries[0].Position
	name := p.file(seg.BaseOffset, fmt.Sprintf("%s%d", segmentfile.QuarantineSuffix, first))
	kept, err := p.dir.FS.Create(name)
	if err != nil {
		return err
	}
	lostTo := int64(-1)
	for _, e := range entries {
		if e.SegmentBase != seg.BaseOffset || e.Position < first {
			continue
		}
		if _, writeErr := kept.WriteAt(e.Batches, e.Position-first); writeErr != nil {
			return errors.Join(writeErr, kept.Close())
		}
		for rest := e.Batches; len(rest) > 0; {
			b, more, batchErr := record.Next(rest)
			if batchErr != nil {
				break // what is no batch tells no offsets
			}
			lostTo, rest = max(lostTo, b.NextOffset()), more
		}
	}
	if err := errors.Join(kept.Sync(), kept.Close(), p.dir.FS.SyncDir(p.path)); err != nil {
		return err
	}
	if p.Known != nil {
		p.Known.RecoveryPoint = max(p.Known.RecoveryPoint, lostTo)
	}
	reason := fmt.Sprintf("bytes %d to %d are missing, which were synced before those that the journal has", seg.Size, first)
	p.report(p.file(seg.BaseOffset, segmentfile.LogSuffix), seg.NextOffset, lostTo, name, reason)
	return nil
}
