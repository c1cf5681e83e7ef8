package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/datadir"
	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// maxJournaledBytes is how much of a log goes through the journal at once: more is
// cheaper synced in its own file than written twice.
const maxJournaledBytes = 64 << 10

// maxSharedBytes is how much one shared sync takes.
func (d *directory) maxSharedBytes() int { return d.m.cfg.JournalFileBytes / 8 }

// share is what a log puts into a shared sync.
type share struct {
	log        *Log
	seg        *segment
	at         journal.Place
	size       int64 // of the segment, afterwards all durable
	end        int64
	generation int
}

// planShare takes what of a log is not durable, at one moment; false if that cannot
// go through the journal: it is too much, the last segment's name is not durable yet
// (and so perhaps not the segment before), or the end that was cut off the file would
// come back and hide what the journal has.
func (l *Log) planShare() (share, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.last()
	n := s.atRisk()
	if n <= 0 || n > maxJournaledBytes || s.handle == nil || l.durability != DurabilityGroup || l.closed != nil ||
		l.namesMade != l.namesSynced || s.cut || l.topicID.IsZero() {
		return share{}, false
	}
	return share{
		log: l, seg: s, size: s.size, end: l.end, generation: l.generation,
		at: journal.Place{TopicID: l.topicID, Partition: l.partition, SegmentBase: s.base, Position: s.size - n},
	}, true
}

// gather reads the share's batches back from the segment into the journal's buffer.
func (s *share) gather(j *journal.Journal[*Log]) error {
	f, err := s.seg.handle.Acquire()
	if err != nil {
		return err
	}
	defer s.seg.handle.Release()
	return j.Add(s.log, s.at, int(s.size-s.at.Position), func(batches []byte) error {
		_, err := f.ReadAt(batches, s.at.Position)
		return err
	})
}

// syncShared makes what several logs have at risk durable with one sync of the
// journal. It returns those that it left out, which want a sync of their own.
func (d *directory) syncShared(logs []*Log) []*Log {
	if d.failure() != nil {
		return nil
	}
	d.journalToken <- struct{}{}
	shares, rest, err := d.gather(logs)
	if err == nil {
		err = d.journal.Append()
	}
	<-d.journalToken
	var doubt *journal.DoubtError
	if errors.As(err, &doubt) {
		d.fail(err)
		return nil
	}
	if err != nil {
		d.m.log.Warn("journal not written, the logs are synced one by one", "dir", d.path, "error", err)
		return logs
	}
	for i := range shares {
		shares[i].durable()
	}
	return rest
}

// gather fills the journal's buffer. The journal's token is held.
func (d *directory) gather(logs []*Log) (shares []share, rest []*Log, err error) {
	if d.journal.Room() < d.maxSharedBytes() {
		if ok, err := d.switchJournal(); !ok || err != nil {
			return nil, logs, err
		}
	}
	for _, l := range logs {
		s, ok := l.planShare()
		if ok = ok && d.journal.Gathered()+journal.EntrySize+int(s.size-s.at.Position) <= d.maxSharedBytes(); ok {
			if err := s.gather(d.journal); err == nil {
				shares = append(shares, s)
				continue
			} else if !errors.Is(err, vfs.ErrDropped) {
				d.m.log.Warn("batches not read for the journal", "partition", l.String(), "error", err)
			}
		}
		rest = append(rest, l)
	}
	return shares, rest, nil
}

// switchJournal begins the other file of the journal, if the segments have everything
// that it holds, and has the segments synced that this one holds batches of. The
// journal's token is held.
func (d *directory) switchJournal() (bool, error) {
	if waiting := d.journal.Unsettled(false); len(waiting) > 0 {
		d.scheduleAll(waiting)
		return false, nil
	}
	if err := d.journal.Switch(); err != nil {
		return false, err
	}
	d.scheduleAll(d.journal.Unsettled(false))
	return true, nil
}

func (d *directory) scheduleAll(logs []*Log) {
	for _, l := range logs {
		d.schedule(l, true)
	}
}

// takeBack makes what the journal has of a log count no more, before its segment seg
// is cut. What stays of the segment is synced first.
func (d *directory) takeBack(l *Log, seg *segment) error {
	if !d.journal.Has(l) {
		return nil
	}
	if seg != nil && seg.handle != nil {
		if err := l.syncSegment(seg); err != nil {
			return err
		}
	}
	d.journalToken <- struct{}{}
	defer func() { <-d.journalToken }()
	if err := d.journal.Add(l, journal.Place{TopicID: l.TopicID(), Partition: l.partition}, 0, nil); err != nil {
		return err
	}
	return d.journal.Append()
}

// removeJournal removes the journal once every log is synced.
func (d *directory) removeJournal() error {
	return errors.Join(d.journal.Close(), journal.Remove(d.m.fs, d.path))
}

// durable notes that a shared sync succeeded, and tells the log's listener.
func (s *share) durable() {
	l := s.log
	l.mu.Lock()
	advanced := false
	if l.generation == s.generation {
		s.seg.journaled = max(s.seg.journaled, s.size)
		if l.durable < s.end {
			l.durable, advanced = s.end, true
		}
	}
	listener, durable := l.listener, l.durable
	l.mu.Unlock()
	if advanced && listener != nil {
		listener.Durable(durable)
	}
}

// readJournal returns what the journal of an earlier run has, by partition.
func (d *directory) readJournal() (map[partitionID][]journal.Entry, error) {
	entries, err := journal.Read(d.m.fs, d.path)
	if errors.Is(err, journal.ErrVersion) {
		return nil, &datadir.RefusedError{
			Dir: d.path, Reason: datadir.Newer, What: "was written by a newer version of Naru: " + err.Error(),
			Help: "start it with that version",
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal of %s: %w", d.path, err)
	}
	found := map[partitionID][]journal.Entry{}
	for _, e := range entries {
		id := partitionID{e.TopicID, e.Partition}
		found[id] = append(found[id], e)
	}
	return found, nil
}

// partitionID names a partition for all times.
type partitionID struct {
	topic     wire.UUID
	partition int32
}

// replay puts back what the journal has and the segment lost, and syncs the segment:
// afterwards the journal is not needed any more. A segment that is sealed was synced,
// and compaction may have changed it since.
func (r *recovery) replay(seg *segment, f vfs.File, last bool) error {
	if seg.sealed || !r.replays(seg, 0) || !r.trusted && !last {
		return nil
	}
	for _, e := range r.journal {
		end := e.Position + int64(len(e.Batches))
		if e.SegmentBase != seg.base || end <= seg.size {
			continue
		}
		if e.Position > seg.size {
			r.report(seg.handle.Name(), -1, -1, "", fmt.Sprintf("bytes %d to %d are missing, which were synced before those that the journal has", seg.size, e.Position))
			break
		}
		if _, err := f.WriteAt(e.Batches[seg.size-e.Position:], seg.size); err != nil {
			return err
		}
		if good, err := r.scan(seg, f, end, true); err != nil {
			r.report(seg.handle.Name(), -1, -1, "", "the journal does not continue the segment: "+err.Error())
			if err := f.Truncate(good); err != nil {
				return err
			}
			break
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	seg.synced = seg.size
	return nil
}

// replays tells whether the journal has anything of a segment behind a position.
func (r *recovery) replays(seg *segment, position int64) bool {
	return slices.ContainsFunc(r.journal, func(e journal.Entry) bool {
		return e.SegmentBase == seg.base && e.Position+int64(len(e.Batches)) > position
	})
}
