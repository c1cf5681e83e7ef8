// Package pmap is a persistent ordered map: changing it yields a new map that
// shares all untouched nodes with the old one.
//
// It carries the large parts of a metadata image (topics, configurations,
// access rules). A cluster has tens of thousands of topics and an image is
// published for every committed batch, so copying a built-in map each time would
// cost milliseconds; here a change copies one path of at most a few nodes.
// Ordered iteration is what makes the rest simple: snapshots and elections
// visit keys in one order on every run, and paged listings resume at a key.
//
// The map is a B+ tree of fan-out 32. Keys and values live in the leaves; an
// inner node holds for each child the smallest key it ever routed there.
//
//	root ── inner [k0 k1 k2]
//	          ├── leaf [k0 … ] [v0 … ]
//	          ├── leaf [k1 … ] [v1 … ]
//	          └── leaf [k2 … ] [v2 … ]
//
// Neighbours: package metadata uses it and nothing else should.
//
// Invariants: a Map never changes once handed out, so any number of goroutines
// read it without locks; all leaves are equally deep; no node but the root of an
// empty map is empty; keys are strictly ascending. An Editor belongs to one
// goroutine and copies each node it touches at most once.
package pmap

import (
	"iter"
	"slices"
)

const fanOut = 32

type node[K, V any] struct {
	owner    *byte
	keys     []K
	values   []V
	children []*node[K, V]
}

// Map is a persistent ordered map. The zero Map has no order and cannot be
// used; New makes an empty one.
type Map[K, V any] struct {
	compare func(a, b K) int
	root    *node[K, V]
	size    int
}

// New returns an empty map whose keys are ordered by compare.
func New[K, V any](compare func(a, b K) int) Map[K, V] {
	return Map[K, V]{compare: compare}
}

// Len returns the number of keys.
func (m Map[K, V]) Len() int { return m.size }

// Get returns the value of key and whether the map has it.
func (m Map[K, V]) Get(key K) (value V, ok bool) {
	n := m.root
	if n == nil {
		return value, false
	}
	for n.children != nil {
		n = n.children[n.route(key, m.compare)]
	}
	at, found := slices.BinarySearchFunc(n.keys, key, m.compare)
	if !found {
		return value, false
	}
	return n.values[at], true
}

// All yields every key and value in ascending order of the keys.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.root != nil {
			m.root.walk(yield)
		}
	}
}

// From yields the keys that are not smaller than first, in ascending order.
func (m Map[K, V]) From(first K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.root != nil {
			m.root.walkFrom(first, m.compare, yield)
		}
	}
}

// Edit returns an Editor that starts with this map's content. The map itself
// stays as it is.
func (m Map[K, V]) Edit() *Editor[K, V] {
	return &Editor[K, V]{m: m, owner: new(byte)}
}

// Editor collects changes and makes a new Map of them.
type Editor[K, V any] struct {
	m     Map[K, V]
	owner *byte
}

// Get returns the value of key as changed so far.
func (e *Editor[K, V]) Get(key K) (V, bool) { return e.m.Get(key) }

// Len returns the number of keys after the changes so far.
func (e *Editor[K, V]) Len() int { return e.m.size }

// Map returns the changed map. The Editor may go on: later changes do not show
// in maps returned before.
func (e *Editor[K, V]) Map() Map[K, V] {
	e.owner = new(byte)
	return e.m
}

// Set puts value at key, whether or not the key was there.
func (e *Editor[K, V]) Set(key K, value V) {
	if e.m.root == nil {
		e.m.root = &node[K, V]{owner: e.owner, keys: []K{key}, values: []V{value}}
		e.m.size = 1
		return
	}
	root := e.own(e.m.root)
	e.m.root = root
	if right := e.set(root, key, value); right != nil {
		e.m.root = &node[K, V]{
			owner:    e.owner,
			keys:     []K{root.keys[0], right.keys[0]},
			children: []*node[K, V]{root, right},
		}
	}
}

// Delete removes key and says whether the map had it.
func (e *Editor[K, V]) Delete(key K) bool {
	if _, ok := e.m.Get(key); !ok {
		return false
	}
	root := e.own(e.m.root)
	e.remove(root, key)
	for len(root.children) == 1 {
		root = root.children[0]
	}
	if len(root.keys) == 0 {
		root = nil
	}
	e.m.root = root
	e.m.size--
	return true
}

// own returns n itself if this edit made it, and a copy otherwise.
func (e *Editor[K, V]) own(n *node[K, V]) *node[K, V] {
	if n.owner == e.owner {
		return n
	}
	return &node[K, V]{
		owner:    e.owner,
		keys:     slices.Clone(n.keys),
		values:   slices.Clone(n.values),
		children: slices.Clone(n.children),
	}
}

// set inserts into the owned node n and returns the right half if n was split.
func (e *Editor[K, V]) set(n *node[K, V], key K, value V) (right *node[K, V]) {
	if n.children == nil {
		at, found := slices.BinarySearchFunc(n.keys, key, e.m.compare)
		if found {
			n.keys[at], n.values[at] = key, value
			return nil
		}
		n.keys = slices.Insert(n.keys, at, key)
		n.values = slices.Insert(n.values, at, value)
		e.m.size++
		return e.split(n)
	}
	at := n.route(key, e.m.compare)
	child := e.own(n.children[at])
	n.children[at] = child
	split := e.set(child, key, value)
	n.keys[at] = child.keys[0]
	if split == nil {
		return nil
	}
	n.keys = slices.Insert(n.keys, at+1, split.keys[0])
	n.children = slices.Insert(n.children, at+1, split)
	return e.split(n)
}

// split halves an owned node that has grown past the fan-out and returns the
// new right half.
func (e *Editor[K, V]) split(n *node[K, V]) *node[K, V] {
	if len(n.keys) <= fanOut {
		return nil
	}
	half := len(n.keys) / 2
	right := &node[K, V]{owner: e.owner, keys: slices.Clone(n.keys[half:])}
	if n.children == nil {
		right.values = slices.Clone(n.values[half:])
		clear(n.values[half:])
		n.values = n.values[:half]
	} else {
		right.children = slices.Clone(n.children[half:])
		clear(n.children[half:])
		n.children = n.children[:half]
	}
	clear(n.keys[half:])
	n.keys = n.keys[:half]
	return right
}

// remove deletes key, which exists, below the owned node n.
func (e *Editor[K, V]) remove(n *node[K, V], key K) {
	if n.children == nil {
		at, _ := slices.BinarySearchFunc(n.keys, key, e.m.compare)
		n.keys = slices.Delete(n.keys, at, at+1)
		n.values = slices.Delete(n.values, at, at+1)
		return
	}
	at := n.route(key, e.m.compare)
	child := e.own(n.children[at])
	n.children[at] = child
	e.remove(child, key)
	switch {
	case len(child.keys) == 0:
		n.keys = slices.Delete(n.keys, at, at+1)
		n.children = slices.Delete(n.children, at, at+1)
	case at+1 < len(n.children) && len(child.keys)+len(n.children[at+1].keys) <= fanOut/2:
		e.merge(n, at)
	case at > 0 && len(child.keys)+len(n.children[at-1].keys) <= fanOut/2:
		e.merge(n, at-1)
	}
}

// merge joins the children at and at+1 of the owned node n.
func (e *Editor[K, V]) merge(n *node[K, V], at int) {
	left, right := e.own(n.children[at]), n.children[at+1]
	left.keys = append(left.keys, right.keys...)
	left.values = append(left.values, right.values...)
	left.children = append(left.children, right.children...)
	n.children[at] = left
	n.keys = slices.Delete(n.keys, at+1, at+2)
	n.children = slices.Delete(n.children, at+1, at+2)
}

// route returns the child that key belongs to.
func (n *node[K, V]) route(key K, compare func(a, b K) int) int {
	at, found := slices.BinarySearchFunc(n.keys, key, compare)
	if found || at == 0 {
		return at
	}
	return at - 1
}

func (n *node[K, V]) walk(yield func(K, V) bool) bool {
	for _, child := range n.children {
		if !child.walk(yield) {
			return false
		}
	}
	if n.children != nil {
		return true
	}
	for i, key := range n.keys {
		if !yield(key, n.values[i]) {
			return false
		}
	}
	return true
}

func (n *node[K, V]) walkFrom(first K, compare func(a, b K) int, yield func(K, V) bool) bool {
	if n.children == nil {
		at, _ := slices.BinarySearchFunc(n.keys, first, compare)
		for ; at < len(n.keys); at++ {
			if !yield(n.keys[at], n.values[at]) {
				return false
			}
		}
		return true
	}
	at := n.route(first, compare)
	if !n.children[at].walkFrom(first, compare, yield) {
		return false
	}
	for _, child := range n.children[at+1:] {
		if !child.walk(yield) {
			return false
		}
	}
	return true
}
