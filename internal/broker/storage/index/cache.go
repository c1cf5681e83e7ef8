package index

import (
	"container/list"
	"sync"
)

// Cache holds loaded indexes by what they belong to; the least recently used of
// them go when they have too many bytes. An index in it is never changed. Its
// methods may be called concurrently.
type Cache[K comparable] struct {
	limit int64

	mu    sync.Mutex
	bytes int64
	order *list.List // of *cached[K], the most recent first
	byKey map[K]*list.Element
}

type cached[K comparable] struct {
	key K
	x   *Index
}

// overhead is what a cached index costs besides its entries, in bytes.
const overhead = 256

// NewCache returns a cache of at most limit bytes, or of one index if that has
// more.
func NewCache[K comparable](limit int64) *Cache[K] {
	return &Cache[K]{limit: limit, order: list.New(), byKey: map[K]*list.Element{}}
}

// Get returns the index of a key, nil if it is not here.
func (c *Cache[K]) Get(key K) *Index {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return c.at(e).x
}

func (*Cache[K]) at(e *list.Element) *cached[K] {
	v, _ := e.Value.(*cached[K]) // nothing else is put in
	return v
}

// Put adds the index of a key, replacing an older one.
func (c *Cache[K]) Put(key K, x *Index) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(key)
	c.byKey[key] = c.order.PushFront(&cached[K]{key, x})
	c.bytes += x.Bytes() + overhead
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.remove(c.at(c.order.Back()).key)
	}
}

// Forget drops the index of a key.
func (c *Cache[K]) Forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(key)
}

func (c *Cache[K]) remove(key K) {
	if e := c.byKey[key]; e != nil {
		c.bytes -= c.at(e).x.Bytes() + overhead
		c.order.Remove(e)
		delete(c.byKey, key)
	}
}
