package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/lookup"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/vfs"
)

// Floor implements lookup.Index: it asks the index in memory or from the sidecar.
func (s *segment) Floor(q lookup.Query) (index.Entry, error) {
	s.log.mu.Lock()
	e := q.Ask(&s.Index)
	from := s.IndexFrom
	s.log.mu.Unlock()
	if e.Position > 0 || from == 0 {
		return e, nil
	}
	x, err := s.loadIndex()
	if err != nil {
		return e, err
	}
	return q.Ask(x), nil
}

// loadIndex returns the index of the part of a segment that is not in memory: from
// the cache, the sidecar, or rebuilt from the log.
func (s *segment) loadIndex() (*index.Index, error) {
	l, m := s.log, s.log.m
	if x := m.indexes.Get(s); x != nil {
		return x, nil
	}
	l.mu.Lock()
	base, from := s.BaseOffset, s.IndexFrom
	l.mu.Unlock()
	b, err := vfs.ReadFile(m.fs, l.file(base, segmentfile.IndexSuffix))
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
		m.log.Warn("index unreadable, rebuilding it", "partition", l.String(), "segment", s.BaseOffset, "error", err)
	}
	x, err := s.rebuildIndex()
	if err != nil {
		return nil, err
	}
	m.indexes.Put(s, x)
	return x, nil
}

// rebuildIndex reads the headers of a segment's batches.
func (s *segment) rebuildIndex() (*index.Index, error) {
	l, m := s.log, s.log.m
	l.mu.Lock()
	size, interval := s.Size, l.set.indexInterval
	l.mu.Unlock()
	if s.handle == nil {
		return &index.Index{}, nil
	}
	f, err := s.handle.Acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.Release()
	buf := m.takeBuffer()
	defer m.giveBuffer(buf)
	sum, err := segmentfile.Summarize(f, s.BaseOffset, size, interval, *buf)
	if err != nil {
		return nil, fmt.Errorf("rebuilding the index of %s at %d: %w", l, s.BaseOffset, err)
	}
	return &sum.Index, nil
}
