package vfs

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// sector is the unit in which a torn write reaches a disk.
const sector = 512

// Crash says what happens to the changes that were not synced.
type Crash struct {
	// Keep is the probability with which an unsynced write or name survives. 0
	// leaves only what was synced; 1 leaves everything, as when the process is
	// killed and the machine lives.
	Keep float64
	// Tear is the probability with which a surviving write is torn: only some of
	// its sectors survive.
	Tear float64
	// Seed makes the outcome reproducible.
	Seed uint64
	// SameBoot keeps the boot id, as when only the process died. Together with
	// Keep 1 it is kill -9.
	SameBoot bool
}

// Killed is the crash of the process alone.
func Killed() Crash { return Crash{Keep: 1, SameBoot: true} }

// CrashClone returns a new file system with what a crash now would leave, without
// hook, capacity or locks. Names survive in the order they were made, directory
// by directory, as with a journalling file system; unsynced writes survive
// independently of each other. The original goes on unharmed.
func (m *Mem) CrashClone(c Crash) *Mem {
	rng := rand.New(rand.NewPCG(c.Seed, 0x6e617275))
	m.mu.Lock()
	defer m.mu.Unlock()
	clone := NewMem()
	clone.bootID = m.bootID
	if !c.SameBoot {
		clone.bootID += "+"
	}
	k := &crasher{crash: c, rng: rng, seen: map[*memNode]*memNode{}}
	clone.root = k.node(m.root)
	clone.used = k.used
	return clone
}

// crasher copies nodes as the crash leaves them. A node that two names reach (a
// rename that survived in one directory only) stays one node.
type crasher struct {
	crash Crash
	rng   *rand.Rand
	seen  map[*memNode]*memNode
	used  int64
}

func (k *crasher) node(n *memNode) *memNode {
	if c := k.seen[n]; c != nil {
		return c
	}
	if n.children == nil {
		c := &memNode{data: k.content(n)}
		c.durable = slices.Clone(c.data)
		k.seen[n] = c
		k.used += int64(len(c.data))
		return c
	}
	c := newMemDir()
	k.seen[n] = c
	names := maps.Clone(n.durableChildren)
	for _, op := range n.pendingNames {
		if !k.keeps() {
			break
		}
		applyNames(names, op)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		child := k.node(names[name])
		c.children[name], c.durableChildren[name] = child, child
	}
	return c
}

func (k *crasher) keeps() bool { return k.crash.Keep >= 1 || k.rng.Float64() < k.crash.Keep }

func (k *crasher) content(n *memNode) []byte {
	data := slices.Clone(n.durable)
	for _, w := range n.pending {
		if !k.keeps() {
			continue
		}
		if k.crash.Tear > 0 && !w.truncate && k.rng.Float64() < k.crash.Tear {
			data = k.tear(data, w)
			continue
		}
		data = w.apply(data)
	}
	return data
}

// tear applies some sectors of a write. The file's length counts as written, so
// that lost sectors are zeros.
func (k *crasher) tear(data []byte, w memWrite) []byte {
	end := w.off + int64(len(w.data))
	last := w.off
	for off := w.off; off < end; {
		next := min(end, (off/sector+1)*sector)
		if k.rng.IntN(2) == 0 {
			data = memWrite{off: off, data: w.data[off-w.off : next-w.off]}.apply(data)
			last = next
		}
		off = next
	}
	if k.rng.IntN(2) == 0 && last < end {
		data = memWrite{off: last, data: make([]byte, end-last)}.apply(data)
	}
	return data
}

// Corrupt changes the content of a file as rotten media would: both what is read
// now and what a crash leaves. It panics if there is no such file.
func (m *Mem) Corrupt(name string, change func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	before := int64(len(n.data))
	n.data = change(slices.Clone(n.data))
	n.durable, n.pending = slices.Clone(n.data), nil
	m.used += int64(len(n.data)) - before
}

// Files returns the names of all files, sorted, for tests that sweep over them.
func (m *Mem) Files() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	var walk func(prefix string, n *memNode)
	walk = func(prefix string, n *memNode) {
		for name, child := range n.children {
			if child.children != nil {
				walk(prefix+name+"/", child)
			} else {
				names = append(names, prefix+name)
			}
		}
	}
	walk("", m.root)
	slices.Sort(names)
	return names
}

// FillDisk sets the capacity to what is used plus free bytes.
func (m *Mem) FillDisk(free int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if free == math.MaxInt64 {
		m.capacity = free
		return
	}
	m.capacity = m.used + free
}
