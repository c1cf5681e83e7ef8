package storage

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/vfs"
)

// indexCache holds the loaded indexes of segments whose own is not in memory, the
// least recently used of them go when there are too many bytes. A loaded index is
// never changed.
type indexCache struct {
	limit int64

	mu    sync.Mutex
	bytes int64
	order *list.List // of *cachedIndex, most recent first
	bySeg map[*segment]*list.Element
}

type cachedIndex struct {
	seg *segment
	x   *index.Index
}

// indexOverhead is what a cached index costs besides its entries.
const indexOverhead = 256

func newIndexCache(limit int64) *indexCache {
	return &indexCache{limit: limit, order: list.New(), bySeg: map[*segment]*list.Element{}}
}

func (c *indexCache) get(s *segment) *index.Index {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.bySeg[s]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return cached(e).x
}

func cached(e *list.Element) *cachedIndex {
	c, _ := e.Value.(*cachedIndex) // nothing else is put in
	return c
}

func (c *indexCache) put(s *segment, x *index.Index) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(s)
	c.bySeg[s] = c.order.PushFront(&cachedIndex{s, x})
	c.bytes += x.Bytes() + indexOverhead
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.removeLocked(cached(c.order.Back()).seg)
	}
}

func (c *indexCache) forget(s *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(s)
}

func (c *indexCache) removeLocked(s *segment) {
	if e := c.bySeg[s]; e != nil {
		c.bytes -= cached(e).x.Bytes() + indexOverhead
		c.order.Remove(e)
		delete(c.bySeg, s)
	}
}

// loadIndex returns the index of the part of a segment that is not in memory: from
// the cache, the sidecar, or rebuilt from the log.
func (m *Manager) loadIndex(l *Log, s *segment) (*index.Index, error) {
	if x := m.indexes.get(s); x != nil {
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
			m.indexes.put(s, x)
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
	m.indexes.put(s, x)
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
	sc := newScanner(f, 0, size, *buf)
	for sc.next() {
		x.Add(index.Entry{
			RelativeOffset: uint32(sc.header.BaseOffset() - s.base), Position: uint32(sc.position), MaxTimestampBefore: maxTs,
		}, interval)
		maxTs = max(maxTs, sc.header.MaxTimestamp())
	}
	if sc.err != nil {
		return nil, fmt.Errorf("rebuilding the index of %s at %d: %w", l, s.base, sc.err)
	}
	return x, nil
}
