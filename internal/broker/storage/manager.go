package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/datadir"
	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/trash"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/vfs"
)

// Manager owns the log directories of a node and every log in them. All methods
// may be called concurrently.
type Manager struct {
	cfg       Config
	fs        vfs.FS
	log       *slog.Logger
	files     *vfs.Cache
	indexes   *index.Cache[*segment]
	rounds    sync.Pool // of *round
	buffers   sync.Pool // of *[]byte, segmentfile.Chunk long
	clusterID string
	dirs      []*directory
	trash     *trash.Can
	damage    *damage.List
	moves     moves

	producerExpirationMs atomic.Int64

	running sync.WaitGroup
	woken   chan struct{}
	stop    chan struct{}

	mu          sync.Mutex
	logs        map[partitionKey]*Log
	preferred   map[partitionKey]*directory // where partitions are to be created
	work        []*Log                      // logs with something to sync or to checkpoint
	retentionMs int64                       // when retention ran last
	producersMs int64                       // when silent producers were looked for last
	closed      bool
}

type partitionKey struct {
	topic     string
	partition int32
}

// ErrClosed says that the manager was closed.
var ErrClosed = errors.New("the storage is closed")

// Open opens every log directory, recovers what an unclean stop left, and starts
// the background work. An error wraps *datadir.RefusedError if a directory is
// not this node's to use.
func Open(cfg Config) (*Manager, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	files := vfs.NewCache(cfg.FS, cfg.MaxOpenFiles) // a reader does not wait for a descriptor
	cfg.FS = vfs.NewPatient(cfg.FS, files.CloseIdle)
	files.SetMost(cfg.MaxFilesInUse)
	m := &Manager{
		cfg: cfg, fs: cfg.FS, log: cfg.Logger,
		files:   files,
		indexes: index.NewCache[*segment](cfg.MaxIndexCacheBytes),
		trash:   trash.New(cfg.FS, cfg.Logger),
		damage:  damage.NewList(cfg.Logger),
		logs:    map[partitionKey]*Log{}, preferred: map[partitionKey]*directory{},
		woken: make(chan struct{}, 1),
		stop:  make(chan struct{}),
		moves: newMoves(cfg),
	}
	m.SetProducerIDExpiration(cfg.ProducerIDExpiration)
	m.rounds.New = func() any { return &round{} }
	m.buffers.New = func() any { b := make([]byte, segmentfile.Chunk); return &b }
	m.retentionMs, m.producersMs = m.nowMs(), m.nowMs()
	if m.clusterID, err = m.chooseCluster(); err != nil {
		return nil, err
	}
	for _, dir := range cfg.Dirs {
		if err := m.openDir(dir); err != nil {
			return nil, errors.Join(err, m.unlock())
		}
	}
	if err := m.resumeMoves(); err != nil {
		return nil, errors.Join(err, m.unlock())
	}
	if !cfg.Manual {
		m.running.Go(m.background)
	}
	return m, nil
}

// SetProducerIDExpiration changes producer.id.expiration.ms for all logs, open ones
// included.
func (m *Manager) SetProducerIDExpiration(d time.Duration) {
	m.producerExpirationMs.Store(d.Milliseconds())
}

// ProducerIDExpiration is how long silent producers are remembered now.
func (m *Manager) ProducerIDExpiration() time.Duration {
	return time.Duration(m.producerExpirationMs.Load()) * time.Millisecond
}

// expireProducers forgets the producers of a log that have been silent too long.
func (m *Manager) expireProducers(state *producerstate.State) {
	state.SetLimits(producerstate.Limits{ExpirationMs: m.producerExpirationMs.Load()})
	state.Expire(m.nowMs())
}

// chooseCluster returns the cluster's id: the configured one, that of the
// directories, or a new one.
func (m *Manager) chooseCluster() (string, error) {
	if m.cfg.ClusterID != "" {
		return m.cfg.ClusterID, nil
	}
	for _, dir := range m.cfg.Dirs {
		id, found, err := datadir.Peek(m.fs, dir)
		if err != nil {
			return "", err
		}
		if found {
			return id.ClusterID, nil
		}
	}
	id, err := datadir.NewID()
	return id.String(), err
}

func (m *Manager) openDir(dir string) error {
	if slices.ContainsFunc(m.dirs, func(d *directory) bool { return d.path == dir }) {
		return fmt.Errorf("log.dirs names %s twice", dir)
	}
	d, err := openDirectory(m, dir)
	if err != nil {
		return err
	}
	m.dirs = append(m.dirs, d)
	d.health.ReleaseReserve() // a recovery writes, also on a full disk
	if err := d.load(); err != nil {
		return fmt.Errorf("opening log directory %s: %w", dir, err)
	}
	d.health.Reserve()
	d.health.CheckSpace()
	return nil
}

func (m *Manager) unlock() error {
	var errs []error
	for _, d := range m.dirs {
		errs = append(errs, d.manifest.Close(), d.identity.Close())
	}
	return errors.Join(errs...)
}

func (m *Manager) nowMs() int64 { return m.cfg.Now().UnixMilli() }

// ClusterID returns the id of the cluster the directories belong to.
func (m *Manager) ClusterID() string { return m.clusterID }

// Dirs describes the log directories, in the order of the configuration.
func (m *Manager) Dirs() []DirInfo {
	infos := make([]DirInfo, len(m.dirs))
	for i, d := range m.dirs {
		infos[i] = d.info()
	}
	return infos
}

// Log returns a partition's log, nil if this node has none.
func (m *Manager) Log(topic string, partition int32) *Log {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.logs[partitionKey{topic, partition}]
}

// Logs returns every log, ordered by topic and partition.
func (m *Manager) Logs() []*Log {
	m.mu.Lock()
	all := make([]*Log, 0, len(m.logs))
	for _, l := range m.logs {
		all = append(all, l)
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b *Log) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.partition - b.partition)
	})
	return all
}

func (m *Manager) logsIn(d *directory) []*Log {
	return slices.DeleteFunc(m.Logs(), func(l *Log) bool { return l.dir() != d })
}

// Create adds a partition and returns its log; one that is there already with the
// same topic id is returned as it is, with the new settings. With another topic
// id the error is INCONSISTENT_TOPIC_ID. The partition goes to the directory that Move
// asked for, or to the one with the fewest.
func (m *Manager) Create(topic string, topicID wire.UUID, partition int32, cfg config.Topic) (*Log, error) {
	key := partitionKey{topic, partition}
	m.mu.Lock()
	if err := m.usable(); err != nil {
		m.mu.Unlock()
		return nil, err
	}
	if l := m.logs[key]; l != nil {
		m.mu.Unlock()
		if l.TopicID().IsZero() {
			if err := l.adopt(topicID); err != nil {
				return nil, storageError("creating "+l.String(), err)
			}
		}
		if l.TopicID() != topicID {
			return nil, fmt.Errorf("creating %s with topic id %s: it is here with %s: %w", l, topicID, l.TopicID(), protocol.InconsistentTopicId)
		}
		l.SetConfig(cfg)
		return l, nil
	}
	d := m.preferred[key]
	delete(m.preferred, key)
	if d == nil || d.health.Failure() != nil {
		d = m.emptiest()
	}
	if d == nil {
		m.mu.Unlock()
		return nil, fmt.Errorf("creating %s-%d: every log directory failed: %w", topic, partition, protocol.KafkaStorageError)
	}
	l := newLog(d, d.nextID(), topic, topicID, partition, &cfg)
	m.put(l)
	m.mu.Unlock()
	if err := d.create(l); err != nil {
		m.take(key)
		return nil, storageError("creating "+l.String(), err)
	}
	return l, nil
}

func (m *Manager) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// usable tells why nothing can be done. m.mu is held.
func (m *Manager) usable() error {
	if m.closed {
		return ErrClosed
	}
	return nil
}

// emptiest returns the working directory with the fewest partitions. A cordoned one is
// taken only if all are: the controller decided before it knew. m.mu is held.
func (m *Manager) emptiest() *directory {
	var best *directory
	for _, d := range m.dirs {
		switch {
		case d.health.Failure() != nil:
		case best == nil, best.cordoned.Load() && !d.cordoned.Load(),
			best.cordoned.Load() == d.cordoned.Load() && d.partitions < best.partitions:
			best = d
		}
	}
	return best
}

// SetCordoned says which directories take no new partitions.
func (m *Manager) SetCordoned(dirs []string) {
	for _, d := range m.dirs {
		d.cordoned.Store(slices.Contains(dirs, d.path))
	}
}

// put adds a log. m.mu is held.
func (m *Manager) put(l *Log) {
	m.logs[partitionKey{l.topic, l.partition}] = l
	l.dir().partitions++
}

// take removes a log and returns it, nil if there is none.
func (m *Manager) take(key partitionKey) *Log {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.logs[key]
	if l != nil {
		delete(m.logs, key)
		l.dir().partitions--
	}
	return l
}

// Delete removes a partition. Readers keep what they hold; the files go after
// file.delete.delay.ms. A partition that is not here is no error.
func (m *Manager) Delete(topic string, partition int32) error {
	l := m.take(partitionKey{topic, partition})
	if l == nil {
		return nil
	}
	m.moves.giveUp(l)
	l.holdStructural()
	defer l.releaseStructural()
	l.exclusive(func() { l.close(fmt.Errorf("%s was deleted: %w", l, protocol.UnknownTopicOrPartition)) })
	gone, err := l.dir().remove(l)
	l.dropAll()
	if err != nil {
		return storageError("deleting "+l.String(), err)
	}
	if gone != "" {
		m.throwAway(trash.Item{Name: gone, Dir: true, DueMs: m.nowMs() + l.settings().fileDeleteDelayMs})
	}
	return nil
}

// close refuses every further append.
func (l *Log) close(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = why
}

// closedBy tells why nothing more is appended, nil if something may be.
func (l *Log) closedBy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// deleted tells that the log's files are gone or about to go; another log may have
// their names soon.
func (l *Log) deleted() bool {
	err := l.closedBy()
	return err != nil && !errors.Is(err, ErrClosed)
}

func (l *Log) settings() *settings {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set
}

// dropAll gives up the files of a deleted log.
func (l *Log) dropAll() {
	l.mu.Lock()
	segs := slices.Clone(l.segs)
	l.mu.Unlock()
	for _, s := range segs {
		l.drop(s)
	}
}

// drop gives up a segment's file: it stays readable for those who hold it.
func (l *Log) drop(s *segment) {
	l.mu.Lock()
	pinned := s.pinned
	s.dropped, s.pinned = true, false
	l.mu.Unlock()
	l.m.indexes.Forget(s)
	if s.handle == nil {
		return
	}
	s.handle.Drop()
	if pinned {
		s.handle.Release()
	}
}

func (m *Manager) takeBuffer() *[]byte {
	b, _ := m.buffers.Get().(*[]byte)
	return b
}

func (m *Manager) giveBuffer(b *[]byte) { m.buffers.Put(b) }

// Close stops the background work and leaves the directories clean: everything is
// synced, indexes and producers are saved, and the next Open reads one manifest.
// Appends under way are finished, later ones refused.
func (m *Manager) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	close(m.stop)
	m.moves.stop()
	var errs []error
	for _, l := range m.Logs() {
		l.exclusive(func() { l.close(fmt.Errorf("appending to %s: %w: %w", l, protocol.NotLeaderOrFollower, ErrClosed)) })
	}
	m.running.Wait()
	m.trash.Remove(math.MaxInt64) // a clean start looks for nothing
	for _, d := range m.dirs {
		errs = append(errs, d.close())
	}
	errs = append(errs, m.unlock())
	return errors.Join(errs...)
}

// until returns how long it is to a moment, for a timer.
func until(nowMs, dueMs int64) time.Duration {
	return time.Duration(max(0, dueMs-nowMs)) * time.Millisecond
}
