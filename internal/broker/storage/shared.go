package storage

import (
	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/broker/storage/syncer"
)

// member is a log as the syncer of its directory sees it.
type member struct {
	l *Log
	d *directory
}

// String implements syncer.Log.
func (m member) String() string { return m.l.String() }

// Sync implements syncer.Log. A log that has moved away was synced before.
func (m member) Sync() error {
	p := m.l.planSync()
	if p.at.dir != m.d {
		return nil
	}
	return m.l.syncPlanned(p)
}

// takeBack has the journal of the log's directory forget the log, whose files are synced
// for that.
func (l *Log) takeBack() error {
	d := l.dir()
	return d.syncs.TakeBack(member{l, d})
}

// Place implements syncer.Log.
func (m member) Place() journal.Place {
	return journal.Place{TopicID: m.l.TopicID(), Partition: m.l.partition}
}

// Synced implements syncer.Log.
func (m member) Synced() {
	l := m.l
	if !l.checkpointDue(l.m.nowMs()) {
		return
	}
	if err := l.checkpoint(false); err != nil {
		l.m.log.Warn("checkpoint not written", "partition", l.String(), "error", err)
	}
}

// share is what a log puts into a shared sync.
type share struct {
	log        *Log
	seg        *segment
	at         journal.Place
	size       int64 // of the segment, afterwards all durable
	end        int64
	generation int
}

// Share implements syncer.Log: what of the log is not durable, at one moment. It cannot
// go through the journal if it is too much, if the last segment's name is not durable yet
// (and so perhaps not the segment before), or if the end that was cut off the file would
// come back and hide what the journal has, or if the log has moved to another directory.
func (m member) Share() (syncer.Share, bool) {
	l := m.l
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.last()
	n := s.atRisk()
	if n <= 0 || n > syncer.MaxShare || s.handle == nil || l.durability != DurabilityGroup || l.closed != nil ||
		l.namesMade != l.namesSynced || s.cut || l.topicID.IsZero() || l.dir() != m.d {
		return nil, false
	}
	return &share{
		log: l, seg: s, size: s.Size, end: l.end, generation: l.generation,
		at: journal.Place{TopicID: l.topicID, Partition: l.partition, SegmentBase: s.BaseOffset, Position: s.Size - n},
	}, true
}

// Place implements syncer.Share.
func (s *share) Place() journal.Place { return s.at }

// Size implements syncer.Share.
func (s *share) Size() int { return int(s.size - s.at.Position) }

// Read implements syncer.Share: it reads the batches back from the segment.
func (s *share) Read(batches []byte) error {
	f, err := s.seg.handle.Acquire()
	if err != nil {
		return err
	}
	defer s.seg.handle.Release()
	_, err = f.ReadAt(batches, s.at.Position)
	return err
}

// Durable implements syncer.Share: it tells the log's listener.
func (s *share) Durable() {
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
