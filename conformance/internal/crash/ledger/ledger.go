// Package ledger writes down what the server promised and what it shows, and finds where the two differ.
//
// A promise is an acknowledged record with its offset, an acknowledged commit, an acknowledged deletion.
// An observation is a record that was read. Each offset keeps the first thing that was heard of it, from
// either side; whatever is heard later must agree, whether a crash lies between them or not.
package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// Violation is a broken promise with its evidence.
type Violation struct {
	Rule     string `json:"rule"`
	Where    string `json:"where"`
	Evidence string `json:"evidence"`
	Kill     int    `json:"kill"` // how many kills had happened
}

// maxPerRule bounds the violations kept of one rule; the rest are counted.
const maxPerRule = 10

// Producer describes one to the ledger.
type Producer struct {
	Name       string
	Idempotent bool
	Keyed      bool
}

// Ledger is the book. Its methods may be called from any goroutine.
type Ledger struct {
	producers []Producer

	mu         sync.Mutex
	kills      int
	partitions map[wire.Partition]*partition
	commits    map[string]map[wire.Partition]Commit
	sent       [][]place // per producer and sequence: where it is
	violations []Violation
	counts     map[string]int
	acked      int64
	observed   int64
	bytes      int64
}

// partition is what is known about one: a cell for each offset from base on.
type partition struct {
	cells []cell
	// acked is the highest acknowledged offset, -1 for none; seen the highest that was read.
	acked, seen int64
	// trimmed is the highest first offset that the server promised; trimAsked the highest it was asked for.
	trimmed, trimAsked int64
	ackedCount         int64
	gaps               bool // damage was injected below what the server knew as durable
}

// cell is what is known about an offset: 0 for nothing, else flags, producer and sequence + 1.
type cell uint64

const (
	cellAcked  cell = 1 << 63
	cellSeen   cell = 1 << 62
	cellFlags       = cellAcked | cellSeen
	seqBits         = 40
	maxSeq          = 1<<seqBits - 2
	maxOffsets      = 1 << 27 // of one partition: bounds memory
)

func newCell(producer int, sequence int64) cell {
	return cell(producer)<<seqBits | cell(sequence+1)
}

func (c cell) producer() int   { return int(c &^ cellFlags >> seqBits) }
func (c cell) sequence() int64 { return int64(c&(1<<seqBits-1)) - 1 }

// place is where a sequence number of a producer is: nil for nowhere yet.
type place struct {
	p      *partition
	offset int64
}

// Commit is the state of a group's offset of one partition.
type Commit struct {
	Acked int64 // the last that was acknowledged
	Tried int64 // the highest that was sent
}

// New returns an empty ledger.
func New(producers []Producer) *Ledger {
	return &Ledger{
		producers: producers, sent: make([][]place, len(producers)), counts: map[string]int{},
		partitions: map[wire.Partition]*partition{}, commits: map[string]map[wire.Partition]Commit{},
	}
}

// Killed counts a kill.
func (l *Ledger) Killed() {
	l.mu.Lock()
	l.kills++
	l.mu.Unlock()
}

// Violate writes down a violation.
func (l *Ledger) Violate(rule, where, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violate(rule, where, format, args...)
}

func (l *Ledger) violate(rule, where, format string, args ...any) {
	l.counts[rule]++
	if l.counts[rule] <= maxPerRule {
		l.violations = append(l.violations, Violation{rule, where, fmt.Sprintf(format, args...), l.kills})
	}
}

// Violations returns the violations kept and how many there were of each rule.
func (l *Ledger) Violations() ([]Violation, map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int{}
	for rule, n := range l.counts {
		counts[rule] = n
	}
	return slices.Clone(l.violations), counts
}

func (l *Ledger) partition(p wire.Partition) *partition {
	found := l.partitions[p]
	if found == nil {
		found = &partition{acked: -1, seen: -1}
		l.partitions[p] = found
	}
	return found
}

// describe names what a cell holds.
func (l *Ledger) describe(c cell) string {
	if c&^cellFlags == 0 {
		return "nothing"
	}
	how := "acknowledged"
	switch c & cellFlags {
	case cellSeen:
		how = "read"
	case cellFlags:
		how = "acknowledged and read"
	}
	return fmt.Sprintf("%s's record %d (%s)", l.producers[c.producer()].Name, c.sequence(), how)
}

// Acked writes down that a record was acknowledged. An offset of -1 means that the server did not tell.
func (l *Ledger) Acked(at wire.Partition, offset int64, producer int, sequence int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked++
	p := l.partition(at)
	p.ackedCount++
	if offset < 0 {
		return
	}
	p.acked = max(p.acked, offset)
	l.note(at, p, offset, newCell(producer, sequence)|cellAcked)
}

// Observed writes down that a record was read.
func (l *Ledger) Observed(at wire.Partition, offset int64, key, value []byte) {
	producer, sequence, err := parseValue(value)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.observed++
	l.bytes += int64(len(value))
	if err == nil && (producer >= len(l.producers) || sequence > maxSeq) {
		err = fmt.Errorf("value names producer %d, sequence %d", producer, sequence)
	}
	if err == nil && l.producers[producer].Keyed && !bytes.Equal(key, AppendKey(nil, producer, sequence)) {
		err = fmt.Errorf("key %q is not that of record %d of %s", key, sequence, l.producers[producer].Name)
	}
	if err != nil {
		l.violate("bytes", fmt.Sprintf("%s offset %d", at, offset), "%v", err)
		return
	}
	p := l.partition(at)
	p.seen = max(p.seen, offset)
	l.note(at, p, offset, newCell(producer, sequence)|cellSeen)
}

func (l *Ledger) note(at wire.Partition, p *partition, offset int64, c cell) {
	where := fmt.Sprintf("%s offset %d", at, offset)
	if offset >= maxOffsets {
		l.violate("offsets", where, "beyond anything this run can have produced")
		return
	}
	if grow := offset + 1 - int64(len(p.cells)); grow > 0 {
		p.cells = append(p.cells, make([]cell, grow)...)
	}
	known := p.cells[offset]
	if known != 0 && known&^cellFlags != c&^cellFlags {
		l.violate("records stay", where, "first %s, then %s", l.describe(known), l.describe(c))
		return
	}
	p.cells[offset] = known | c
	if known == 0 {
		l.locate(where, p, offset, c)
	}
}

// locate finds a record of an idempotent producer at two places.
func (l *Ledger) locate(where string, p *partition, offset int64, c cell) {
	i, seq := c.producer(), c.sequence()
	if !l.producers[i].Idempotent {
		return
	}
	if grow := seq + 1 - int64(len(l.sent[i])); grow > 0 {
		l.sent[i] = append(l.sent[i], make([]place, grow)...)
	}
	if first := l.sent[i][seq]; first.p != nil {
		l.violate("exactly once", where, "%s is also at %s offset %d", l.describe(c), l.nameOf(first.p), first.offset)
		return
	}
	l.sent[i][seq] = place{p, offset}
}

func (l *Ledger) nameOf(p *partition) wire.Partition {
	for name, found := range l.partitions {
		if found == p {
			return name
		}
	}
	return wire.Partition{}
}

// Promise is what must be true of a partition at one moment.
type Promise struct {
	Acked   int64 // the highest offset that was acknowledged, -1 for none
	Seen    int64 // the highest offset that was read, -1 for none
	Trimmed int64 // the first offset that was promised
	Asked   int64 // the highest first offset that was asked for
}

// Promises returns what was promised until now.
func (l *Ledger) Promises() map[wire.Partition]Promise {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[wire.Partition]Promise, len(l.partitions))
	for name, p := range l.partitions {
		all[name] = Promise{p.acked, p.seen, p.trimmed, p.trimAsked}
	}
	return all
}

// TrimTried writes down that records before an offset are about to be deleted.
func (l *Ledger) TrimTried(at wire.Partition, before int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partition(at)
	p.trimAsked = max(p.trimAsked, before)
}

// Trimmed writes down the first offset that the server answered.
func (l *Ledger) Trimmed(at wire.Partition, first int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partition(at)
	p.trimmed = max(p.trimmed, first)
}

// CommitTried writes down that offsets are about to be committed.
func (l *Ledger) CommitTried(group string, offsets map[wire.Partition]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, offset := range offsets {
		c := l.group(group)[p]
		c.Tried = max(c.Tried, offset)
		l.commits[group][p] = c
	}
}

// Committed writes down an acknowledged commit.
func (l *Ledger) Committed(group string, p wire.Partition, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.group(group)[p]
	c.Acked = max(c.Acked, offset)
	l.commits[group][p] = c
}

func (l *Ledger) group(name string) map[wire.Partition]Commit {
	if l.commits[name] == nil {
		l.commits[name] = map[wire.Partition]Commit{}
	}
	return l.commits[name]
}

// Commits returns the commits of each group until now.
func (l *Ledger) Commits() map[string]map[wire.Partition]Commit {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]map[wire.Partition]Commit{}
	for group, offsets := range l.commits {
		all[group] = map[wire.Partition]Commit{}
		for p, c := range offsets {
			all[group][p] = c
		}
	}
	return all
}

// AllowGaps says that a partition lost offsets to injected damage that the server reported.
func (l *Ledger) AllowGaps(at wire.Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partition(at).gaps = true
}

// Totals counts what was written down.
func (l *Ledger) Totals() (acked, observed, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked, l.observed, l.bytes
}
