package sharepartition

import (
	"cmp"
	"fmt"
	"slices"
)

// State is what a record is to the group. The numbers are those of the state topic.
type State int8

// The states.
const (
	Available    State = 0
	Acquired     State = 1
	Acknowledged State = 2
	Archiving    State = 3 // until its dead letter is written
	Archived     State = 4
)

// String implements fmt.Stringer.
func (s State) String() string {
	switch s {
	case Available:
		return "Available"
	case Acquired:
		return "Acquired"
	case Acknowledged:
		return "Acknowledged"
	case Archiving:
		return "Archiving"
	case Archived:
		return "Archived"
	}
	return fmt.Sprintf("State(%d)", int8(s))
}

// Terminal tells whether nothing more happens to the record.
func (s State) Terminal() bool { return s == Acknowledged || s == Archived }

// cell is the state of one record, or of a run of them.
type cell struct {
	state State
	// count is how often the records were delivered.
	count int16
	// member has acquired them; empty if nobody has.
	member string
	// deadlineMs ends the acquisition; kept while a change is pending, in case it fails.
	deadlineMs int64
	// pending is the change that made the state and is not written yet; 0: none is.
	pending uint64
	// before is whose the records are again if the pending change fails.
	before string
	// cause is why the records are archiving, and handed tells that their dead letter was
	// handed out.
	cause  Cause
	handed bool
}

// run is a range of records in the same state.
type run struct {
	first, last int64
	cell
}

func (r *run) len() int64 { return r.last - r.first + 1 }

// free tells whether the records can be acquired.
func (r *run) free() bool { return r.state == Available && r.pending == 0 }

// held tells whether a member has the records.
func (r *run) held() bool { return r.state == Acquired && r.pending == 0 }

// settle ends the acquisition: available again, or given up after too many deliveries.
func (c *cell) settle(s Settings) {
	c.member, c.deadlineMs = "", 0
	c.state, c.cause = s.outcome(Available, c.count)
}

// batch is records that were first acquired together.
type batch struct {
	first, last int64
	size        int64 // of all records that were acquired together, those that are gone too
	runs        []run
	one         [1]run // where runs lies as long as it is one
}

func newBatch(first, last int64, c cell) *batch {
	b := &batch{first: first, last: last, size: last - first + 1}
	b.one[0] = run{first, last, c}
	b.runs = b.one[:]
	return b
}

// whole tells whether all records of the batch are in the same state.
func (b *batch) whole() bool { return len(b.runs) == 1 }

// cut makes sure that a run begins at offset and returns its index; len(b.runs) if the
// batch ends before.
func (b *batch) cut(offset int64) int {
	i, begins := slices.BinarySearchFunc(b.runs, offset, func(r run, offset int64) int { return cmp.Compare(r.first, offset) })
	if begins || i == 0 || b.runs[i-1].last < offset {
		return i
	}
	tail := b.runs[i-1]
	tail.first = offset
	b.runs[i-1].last = offset - 1
	b.runs = slices.Insert(b.runs, i, tail)
	return i
}

// cutEach makes sure that a run begins wherever types, which are those of the offsets from
// first, change.
func (b *batch) cutEach(first int64, types []int8) {
	if b.last < first+1 {
		return
	}
	runs := make([]run, 0, len(b.runs)+1)
	for _, r := range b.runs {
		for o := max(r.first, first) + 1; o <= min(r.last, first+int64(len(types))-1); o++ {
			if types[o-first] != types[o-first-1] {
				head := r
				head.last, r.first = o-1, o
				runs = append(runs, head)
			}
		}
		runs = append(runs, r)
	}
	b.runs = runs
}

// merge makes one run of neighbours in the same state. No batch has none.
func (b *batch) merge() {
	if b == nil {
		return
	}
	n := 0
	for i := 1; i < len(b.runs); i++ {
		if last := &b.runs[n]; last.last+1 == b.runs[i].first && last.cell == b.runs[i].cell {
			last.last = b.runs[i].last
			continue
		}
		n++
		b.runs[n] = b.runs[i]
	}
	clear(b.runs[n+1:])
	b.runs = b.runs[:n+1]
}

// dropBelow forgets the records below offset, which is inside the batch.
func (b *batch) dropBelow(offset int64) {
	i := b.cut(offset)
	n := copy(b.runs, b.runs[i:])
	clear(b.runs[n:])
	b.runs = b.runs[:n]
	b.first = b.runs[0].first
}

// between calls f for the runs of the batch in [first, last], cut to that range.
func (b *batch) between(first, last int64, f func(r *run) error) error {
	from := b.cut(first)
	to := b.cut(last + 1)
	for i := from; i < to; i++ {
		if err := f(&b.runs[i]); err != nil {
			return err
		}
	}
	return nil
}
