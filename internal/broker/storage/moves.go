package storage

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/throttle"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// moves are the logs that are to go from one log directory to another (KIP-113). That a log
// is to go somewhere is kept there, as the directory of its copy, so that a stop only
// interrupts it.
type moves struct {
	throttle *throttle.Throttle
	threads  int
	life     context.Context //nolint:containedctx // it ends with the manager
	stop     context.CancelFunc

	mu      sync.Mutex
	byLog   map[*Log]*move
	queue   []*move
	working int
	// moved is told of a topic that has a partition elsewhere now. nil: nothing is
	// moved yet.
	moved func(topicID wire.UUID)
}

// move is a log that is to go somewhere.
type move struct {
	l  *Log
	to *directory
	// retarget ends what is under way; nil while nothing is.
	retarget context.CancelFunc
	// bytes and offset are how far the copy has come.
	bytes, offset int64
}

func newMoves(cfg Config) moves {
	life, stop := context.WithCancel(context.Background())
	return moves{
		throttle: throttle.New(cfg.MoveBytesPerSecond), threads: cfg.MoveThreads,
		life: life, stop: stop, byLog: map[*Log]*move{},
	}
}

func (d *directory) futurePath(l *Log) string {
	return path.Join(d.path, segmentfile.OtherDirName(l.topic, l.partition, l.TopicID(), segmentfile.FutureDirSuffix))
}

// MoveInfo describes a log that is on its way to another log directory.
type MoveInfo struct {
	Topic     string
	Partition int32
	// Dir is the directory it goes to.
	Dir string
	// Bytes are those copied.
	Bytes int64
	// Lag is how many offsets its copy is behind.
	Lag int64
}

// Moves describes the logs that are on their way.
func (m *Manager) Moves() []MoveInfo {
	m.moves.mu.Lock()
	defer m.moves.mu.Unlock()
	infos := make([]MoveInfo, 0, len(m.moves.byLog))
	for l, v := range m.moves.byLog {
		infos = append(infos, MoveInfo{l.topic, l.partition, v.to.path, v.bytes, max(0, l.LogEndOffset()-v.offset)})
	}
	return infos
}

// SetMoveRate changes MoveBytesPerSecond.
func (m *Manager) SetMoveRate(bytesPerSecond float64) { m.moves.throttle.Set(bytesPerSecond) }

// Move has a partition's log go on in another log directory: its files are copied in the
// background, while it is in use. A later call changes the direction; one to the directory
// where the log is ends the move. The errors are Kafka's: LOG_DIR_NOT_FOUND,
// KAFKA_STORAGE_ERROR while any directory is offline, INVALID_REPLICA_ASSIGNMENT for a
// cordoned one, and REPLICA_NOT_AVAILABLE if the partition is not here. It will be created in
// that directory then.
func (m *Manager) Move(topic string, partition int32, dir string) error {
	i := slices.IndexFunc(m.dirs, func(d *directory) bool { return d.path == dir })
	if i < 0 {
		return fmt.Errorf("%s is none of log.dirs: %w", dir, protocol.LogDirNotFound)
	}
	to, l := m.dirs[i], m.Log(topic, partition)
	switch err := to.health.Failure(); {
	case err != nil:
		return storageError("moving a partition to "+dir, err)
	case to.cordoned.Load():
		return fmt.Errorf("%s is cordoned: %w", dir, protocol.InvalidReplicaAssignment)
	case l == nil:
		m.prefer(partitionKey{topic, partition}, to)
		return fmt.Errorf("%s is not here: %w", segmentfile.DirName(topic, partition), protocol.ReplicaNotAvailable)
	}
	if l.dir() != to {
		for _, d := range m.dirs {
			if err := d.health.Failure(); err != nil { // it may have another copy under way, as Kafka says
				return storageError("moving a partition while "+d.path+" is offline", err)
			}
		}
		if err := m.fs.MkdirAll(to.futurePath(l)); err != nil {
			return storageError("beginning to move "+l.String(), err)
		}
	}
	if instead := m.ask(l, to); instead != nil {
		if err := m.fs.RemoveAll(instead.futurePath(l)); err != nil {
			return storageError("ending the move of "+l.String(), err)
		}
	}
	return nil
}

// maxPreferred bounds the partitions that are not here and are said where to be created.
const maxPreferred = 10_000

func (m *Manager) prefer(key partitionKey, d *directory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.preferred[key]; ok || len(m.preferred) < maxPreferred {
		m.preferred[key] = d
	}
}

// ask has a log go to a directory. It returns the one where it was to go before, if
// nothing has been done about that yet.
func (m *Manager) ask(l *Log, to *directory) (instead *directory) {
	s := &m.moves
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.byLog[l]
	switch {
	case v == nil && l.dir() == to, v != nil && v.to == to:
	case v == nil:
		v = &move{l: l, to: to}
		s.byLog[l] = v
		s.queue = append(s.queue, v)
		m.hireMover()
	case v.retarget != nil:
		v.to, v.bytes, v.offset = to, 0, 0
		v.retarget()
	default:
		instead, v.to = v.to, to
	}
	return instead
}

// giveUp ends the move of a log that is deleted.
func (s *moves) giveUp(l *Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.byLog[l]; v != nil && v.retarget != nil {
		v.retarget()
	}
}

func (s *moves) has(l *Log) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byLog[l] != nil
}

// StartMoves begins to move what was asked for, also before the last stop. moved is told
// of topics that have partitions elsewhere since; it must not wait.
func (m *Manager) StartMoves(moved func(topicID wire.UUID)) {
	s := &m.moves
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = moved
	for range s.queue {
		m.hireMover()
	}
}

// hireMover starts a goroutine for the queue if there may be one more. moves.mu is held.
func (m *Manager) hireMover() {
	s := &m.moves
	if s.moved == nil || m.cfg.Manual || s.working >= s.threads {
		return
	}
	s.working++
	m.running.Go(func() {
		for v := s.next(); v != nil; v = s.next() {
			m.carryOut(v)
		}
	})
}

// next takes the first move of the queue. There is none when the caller has to stop.
func (s *moves) next() *move {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.life.Err() != nil {
		s.working--
		return nil
	}
	v := s.queue[0]
	s.queue = s.queue[1:]
	return v
}

func (m *Manager) carryOut(v *move) {
	for m.attempt(v) {
	}
}

// attempt tries to bring a log where it is to go, and tells whether that has changed
// meanwhile.
func (m *Manager) attempt(v *move) (again bool) {
	s := &m.moves
	ctx, cancel := context.WithCancel(s.life)
	defer cancel()
	s.mu.Lock()
	to, from := v.to, v.l.dir()
	if to == from {
		delete(s.byLog, v.l)
		s.mu.Unlock()
		return false
	}
	v.retarget = cancel
	s.mu.Unlock()
	m.log.Info("moving a partition", "partition", v.l.String(), "from", from.path, "to", to.path)
	err := m.relocate(ctx, v.l, to, func(bytes, offset int64) {
		s.mu.Lock()
		v.bytes, v.offset = bytes, offset
		s.mu.Unlock()
	})
	s.mu.Lock()
	v.retarget = nil
	again = v.to != to
	if !again {
		delete(s.byLog, v.l)
	}
	moved := s.moved
	s.mu.Unlock()
	switch {
	case err == nil:
		m.log.Info("partition moved", "partition", v.l.String(), "from", from.path, "to", to.path)
		if moved != nil {
			moved(v.l.TopicID())
		}
	case ctx.Err() == nil:
		m.log.Warn("partition not moved", "partition", v.l.String(), "from", from.path, "to", to.path, "error", err)
	}
	return again
}

// resumeMoves finds what was on its way when the node stopped. It begins anew.
func (m *Manager) resumeMoves() error {
	copies := map[string]*directory{} // by path
	for _, d := range m.dirs {
		entries, err := m.fs.List(d.path)
		if err != nil {
			return fmt.Errorf("looking for interrupted moves: %w", err)
		}
		for _, e := range entries {
			if e.Dir && strings.HasSuffix(e.Name, segmentfile.FutureDirSuffix) {
				copies[path.Join(d.path, e.Name)] = d
			}
		}
	}
	if len(copies) == 0 {
		return nil
	}
	for _, l := range m.Logs() {
		for _, d := range m.dirs {
			if name := d.futurePath(l); copies[name] == d && l.dir() != d && !m.moves.has(l) {
				_ = m.ask(l, d) // the first to ask for it
				delete(copies, name)
			}
		}
	}
	for name := range copies { // of partitions that are here no more
		if err := m.fs.RemoveAll(name); err != nil {
			return fmt.Errorf("removing what is left of an earlier move: %w", err)
		}
	}
	return nil
}
