package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/vfs"
)

// loadIndex returns the index of the part of a segment that is not in memory: from
// the cache, the sidecar, or rebuilt from the log.
func (m *Manager) loadIndex(l *Log, s *segment) (*index.Index, error) {
	if x := m.indexes.Get(s); x != nil {
		return x, nil
	}
	l.mu.Lock()
	base, from := s.base, s.idxFrom
	l.mu.Unlock()
	b, err := vfs.ReadFile(m.fs, l.file(base, indexSuffix))
	if err == nil {
		x, h, decodeErr := index.Decode(b)
		if decodeErr == nil && h.BaseOffset == base && h.Size >= from {
			x.Truncate(from) // what it says beyond may have been lost in a crash
			m.indexes.Put(s, x)
			return x, nil
		}
		if decodeErr != nil {
			m.log.Warn("index damaged, rebuilding it", "partition", l.String(), "segment", base, "error", decodeErr)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("index unreadable, rebuilding it", "partition", l.String(), "segment", s.base, "error", err)
	}
	x, err := m.rebuildIndex(l, s)
	if err != nil {
		return nil, err
	}
	m.indexes.Put(s, x)
	return x, nil
}

// rebuildIndex reads the headers of a segment's batches.
func (m *Manager) rebuildIndex(l *Log, s *segment) (*index.Index, error) {
	l.mu.Lock()
	size, interval := s.size, l.set.indexInterval
	l.mu.Unlock()
	x := &index.Index{}
	if s.handle == nil {
		return x, nil
	}
	f, err := s.handle.Acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.Release()
	maxTs := int64(noTimestamp)
	buf := m.takeBuffer()
	defer m.giveBuffer(buf)
	sc := segmentfile.NewScanner(f, 0, size, *buf)
	for sc.Next() {
		x.Add(index.Entry{
			RelativeOffset: uint32(sc.Header.BaseOffset() - s.base), Position: uint32(sc.Position), MaxTimestampBefore: maxTs,
		}, interval)
		maxTs = max(maxTs, sc.Header.MaxTimestamp())
	}
	if sc.Err != nil {
		return nil, fmt.Errorf("rebuilding the index of %s at %d: %w", l, s.base, sc.Err)
	}
	return x, nil
}
