package syncer

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/broker/storage/syncqueue"
	"github.com/naru-stream/naru/internal/vfs"
)

// MaxShare is how much of a log goes through the journal at once, in bytes: more is cheaper
// synced in its own file than written twice.
const MaxShare = 64 << 10

// Log is a log as it is synced.
type Log interface {
	comparable
	fmt.Stringer
	// Place names the log in the journal.
	Place() journal.Place
	// Sync makes everything appended until now durable in the log's own files. It is
	// never called twice at a time for one log.
	Sync() error
	// Synced is told that it did, and may go on with what follows.
	Synced()
	// Share returns what of the log may be made durable through the journal; false if
	// the log wants a sync of its own.
	Share() (Share, bool)
}

// Share is the newest part of a log, of at most MaxShare bytes.
type Share interface {
	// Place is where in the log it lies.
	Place() journal.Place
	// Size is how many bytes it has.
	Size() int
	// Read reads it.
	Read(batches []byte) error
	// Durable is told that the journal has it.
	Durable()
}

// Config is what a Syncer needs of its directory.
type Config struct {
	// FS is the file system, Dir the directory.
	FS  vfs.FS
	Dir string
	// JournalFileBytes is how large each of the journal's files gets. A shared sync takes
	// an eighth of it.
	JournalFileBytes int
	// Workers bounds the syncs at once.
	Workers int
	// Go runs a worker; nil if there are none and the owner calls Work.
	Go func(func())
	// Failure tells why the directory failed, nil if it works. Fail makes it fail.
	Failure func() error
	Fail    func(error)
	// NoteJournal has it known, durably, that there is a journal.
	NoteJournal func() error
	// ReleaseReserve makes room on a full disk, false if there is none to make.
	ReleaseReserve func() bool
	// Logger takes the reports.
	Logger *slog.Logger
}

// Syncer syncs the logs of a directory. Its methods may be called concurrently.
type Syncer[L Log] struct {
	cfg Config

	// token is held by who uses the journal.
	token   chan struct{}
	journal *journal.Journal[L]

	mu      sync.Mutex
	queue   syncqueue.Queue[L]
	workers int
}

// New returns a Syncer.
func New[L Log](cfg Config) *Syncer[L] {
	return &Syncer[L]{cfg: cfg, token: make(chan struct{}, 1), journal: journal.New[L](cfg.FS, cfg.Dir, cfg.JournalFileBytes)}
}

// Ask asks for a sync of a log: of its own files, or one that it may share with other
// logs through the journal. While one sync of a log runs, further appends gather and the
// next sync covers them all.
func (s *Syncer[L]) Ask(l L, own bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.Ask(l, own) {
		s.hire(1)
	}
}

func (s *Syncer[L]) askAll(logs []L) {
	for _, l := range logs {
		s.Ask(l, true)
	}
}

// hire has n workers more look for work. s.mu is held.
func (s *Syncer[L]) hire(n int) {
	for ; n > 0 && s.cfg.Go != nil && s.workers < s.cfg.Workers; n-- {
		s.workers++
		s.cfg.Go(s.Work)
	}
}

// Work syncs logs until none waits.
func (s *Syncer[L]) Work() {
	for s.workOne() {
	}
}

// workOne does the next turn, false if there is none: then the worker is gone.
func (s *Syncer[L]) workOne() bool {
	s.mu.Lock()
	turn := s.queue.Next()
	if len(turn.Logs) == 0 {
		s.workers = max(0, s.workers-1) // who is no worker is not counted
		s.mu.Unlock()
		return false
	}
	s.mu.Unlock()

	var rest []L
	if len(turn.Logs) == 1 {
		s.syncOwn(turn.Logs[0])
	} else {
		rest = s.SyncShared(turn.Logs)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.hire(s.queue.Done(turn, rest))
	return true
}

func (s *Syncer[L]) syncOwn(l L) {
	if s.cfg.Failure() != nil {
		return
	}
	if err := l.Sync(); err != nil {
		s.cfg.Fail(fmt.Errorf("syncing %s: %w", l, err))
		return
	}
	s.journal.Settle(l)
	l.Synced()
}

// SyncShared makes what several logs have at risk durable with one sync of the journal.
// It returns those that it left out, which want a sync of their own.
func (s *Syncer[L]) SyncShared(logs []L) (rest []L) {
	for len(logs) > 0 && s.cfg.Failure() == nil {
		s.token <- struct{}{}
		shares, own, more, err := s.gather(logs)
		if err == nil {
			err = s.journal.Append()
		}
		<-s.token
		var doubt *journal.DoubtError
		if errors.As(err, &doubt) {
			s.cfg.Fail(err)
			return nil
		}
		if err != nil {
			s.cfg.Logger.Warn("journal not written, the logs are synced one by one", "dir", s.cfg.Dir, "error", err)
			return append(rest, logs...)
		}
		for _, share := range shares {
			share.Durable()
		}
		rest, logs = append(rest, own...), more
	}
	return rest
}

// gather fills the journal's buffer. It also returns the logs that want a sync of their
// own and those for which there was no room. The token is held.
func (s *Syncer[L]) gather(logs []L) (shares []Share, own, more []L, err error) {
	room := s.cfg.JournalFileBytes / 8
	for i, l := range logs {
		share, ok := l.Share()
		if ok && len(shares) == 0 && s.journal.Room() < room {
			if begun, err := s.switchFiles(); !begun || err != nil {
				return nil, append(own, logs[i:]...), nil, err
			}
		}
		if ok && s.journal.Gathered()+journal.EntrySize+share.Size() > room && len(shares) > 0 {
			return shares, own, logs[i:], nil
		}
		if ok {
			if err := s.journal.Add(l, share.Place(), share.Size(), share.Read); err == nil {
				shares = append(shares, share)
				continue
			} else if !errors.Is(err, vfs.ErrDropped) {
				s.cfg.Logger.Warn("batches not read for the journal", "partition", l.String(), "error", err)
			}
		}
		own = append(own, l)
	}
	return shares, own, nil, nil
}

// switchFiles begins the other file of the journal, if the logs' own files have
// everything that it holds, and asks for syncs of the logs that this one has something
// of. The token is held.
func (s *Syncer[L]) switchFiles() (bool, error) {
	if waiting := s.journal.Unsettled(false); len(waiting) > 0 {
		s.askAll(waiting)
		return false, nil
	}
	if err := s.cfg.NoteJournal(); err != nil {
		return false, err
	}
	if err := s.journal.Switch(); err != nil {
		return false, err
	}
	s.askAll(s.journal.Unsettled(false))
	return true, nil
}

// TakeBack makes what the journal has of a log count no more, before its files change in
// another way than by appending. What is there until now is synced first. Nothing is
// appended meanwhile, so that no entry follows.
func (s *Syncer[L]) TakeBack(l L) error {
	s.token <- struct{}{} // a shared sync under way may hold this log
	defer func() { <-s.token }()
	if !s.journal.Has(l) {
		return nil
	}
	if err := s.cfg.Failure(); err != nil {
		return err
	}
	if err := l.Sync(); err != nil {
		s.cfg.Fail(fmt.Errorf("syncing %s: %w", l, err))
		return err
	}
	s.journal.Settle(l)
	err := errors.Join(s.journal.Add(l, l.Place(), 0, nil), s.journal.Append())
	if vfs.IsNoSpace(err) && s.cfg.ReleaseReserve() {
		err = errors.Join(s.journal.Add(l, l.Place(), 0, nil), s.journal.Append())
	}
	if err != nil && !vfs.IsNoSpace(err) {
		s.cfg.Fail(err)
	}
	return err
}

// RemoveJournal removes the journal once every log is synced.
func (s *Syncer[L]) RemoveJournal() error {
	return errors.Join(s.journal.Close(), journal.Remove(s.cfg.FS, s.cfg.Dir))
}
