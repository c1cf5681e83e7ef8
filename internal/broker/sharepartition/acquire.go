package sharepartition

import "slices"

// Extent is a record batch of the log.
type Extent struct {
	First, Last int64
	// ProducerID, Transactional and Abort are those of the batch's header: who wrote it
	// and whether it ends an aborted transaction.
	ProducerID           int64
	Transactional, Abort bool
}

// AbortedTxn is an aborted transaction that records may belong to.
type AbortedTxn struct {
	ProducerID, FirstOffset int64
}

// Acquire is a member's wish for records.
type Acquire struct {
	Member string
	// MaxRecords is how many records are wanted. With Exact there are never more; without,
	// whole record batches are given.
	MaxRecords int32
	Exact      bool
	// BatchSize is how many records an acknowledgement should comprise at least.
	BatchSize int32
	// FetchOffset is where the log was read, and Log what was found there, not empty.
	FetchOffset int64
	Log         []Extent
	// Aborted are the aborted transactions in what was read, by offset, if only committed
	// records are wanted.
	Aborted []AbortedTxn
	NowMs   int64
}

// Range is records that a member has acquired.
type Range struct {
	First, Last int64
	Count       int16
}

// acquisition is an Acquire under way.
type acquisition struct {
	*Acquire
	p        *Partition
	settings Settings
	// first and last are the offsets that may be acquired, left is how many.
	first, last int64
	left        int64
	taken       int64
	out         []Range
}

// Acquire gives records to a member and appends what it got to out.
func (p *Partition) Acquire(a *Acquire, s Settings, out []Range) []Range {
	x := acquisition{Acquire: a, p: p, settings: s, first: a.Log[0].First, last: a.Log[len(a.Log)-1].Last, out: out}
	x.left = min(int64(a.MaxRecords), int64(s.MaxLocks)-p.InFlight())
	if a.MaxRecords <= 0 || x.last < p.start {
		return out
	}
	if x.left <= 0 {
		// As much as is allowed is in flight. What is available among it can be had.
		if a.FetchOffset > p.end {
			return out
		}
		x.left = min(int64(a.MaxRecords), p.end-a.FetchOffset+1)
		x.last = min(x.last, p.end)
	}
	p.archiveMissing(a.FetchOffset, x.first)
	before := len(out)
	if again := x.inFlight(); again && x.left > x.taken {
		x.fresh()
	}
	if x.taken > 0 {
		p.nextMs = min(p.nextMs, a.NowMs+s.LockMs)
	}
	if len(a.Aborted) > 0 {
		return p.withoutAborted(a, x.out, before)
	}
	return x.out
}

// archiveMissing archives what the log turned out not to have: it was compacted away.
func (p *Partition) archiveMissing(from, until int64) {
	if from >= until {
		return
	}
	_ = p.within(from, until-1, func(r *run) error { // f returns no error
		if r.free() {
			r.cell = cell{state: Archived, count: r.count}
		}
		return nil
	})
	p.search = true
	p.advance()
}

// portionFrom is the number of deliveries from which on records are delivered in smaller
// portions.
func (s Settings) portionFrom() int16 { return max(2, (s.MaxDeliveries+1)/2) }

// inFlight acquires what is available in flight. It reports whether to go on with what
// nobody has had yet.
func (x *acquisition) inFlight() bool {
	for i := x.p.find(x.first); i < len(x.p.batches); i++ {
		b := x.p.batches[i]
		if b.first > x.last || x.taken >= x.left {
			break
		}
		most := int16(-1) // deliveries of what is available
		for j := range b.runs {
			if r := &b.runs[j]; r.free() && r.first <= x.last && r.last >= x.first {
				most = max(most, r.count)
			}
		}
		if most < 0 {
			continue
		}
		small := most >= x.settings.portionFrom()
		if small && x.taken > 0 {
			return false // in an answer of its own
		}
		n := x.portion(b)
		b.merge()
		if small && n > 0 {
			return false
		}
	}
	return true
}

// portion acquires what may be acquired of one batch and returns how much that is.
func (x *acquisition) portion(b *batch) int64 {
	before, limit := x.taken, int64(-1)
	for i := b.cut(max(x.first, b.first)); i < len(b.runs) && b.runs[i].first <= x.last; i++ {
		r := &b.runs[i]
		if !r.free() {
			continue
		}
		got, alone := x.taken-before, x.settings.MaxDeliveries > 2 && r.count >= x.settings.MaxDeliveries-1
		if alone && got > 0 || r.count == 0 && x.taken >= x.left {
			break
		}
		if from := x.settings.portionFrom(); r.count >= from && limit < 0 {
			limit = max(1, b.size>>min(int(r.count-from)+1, 62))
		}
		until := min(r.last, x.last)
		switch {
		case alone:
			until = r.first
		case limit >= 0:
			until = min(until, r.first+limit-got-1)
		}
		if x.Exact {
			until = min(until, r.first+x.left-x.taken-1)
		} else if r.count == 0 {
			until = min(until, x.wholeBatch(r.first+x.left-x.taken-1))
		}
		if until < r.first {
			break
		}
		b.cut(until + 1)
		x.take(&b.runs[i])
		if alone {
			break
		}
	}
	return x.taken - before
}

// take gives a run to the member.
func (x *acquisition) take(r *run) {
	r.cell = cell{state: Acquired, count: r.count + 1, member: x.Member, deadlineMs: x.NowMs + x.settings.LockMs}
	x.taken += r.len()
	if n := len(x.out); n > 0 && x.out[n-1].Last+1 == r.first && x.out[n-1].Count == r.count && !x.p.begins(r.first) {
		x.out[n-1].Last = r.last
		return
	}
	x.out = append(x.out, Range{r.first, r.last, r.count})
}

// begins tells whether a batch begins at the offset.
func (p *Partition) begins(offset int64) bool {
	i := p.find(offset)
	return i < len(p.batches) && p.batches[i].first == offset
}

// wholeBatch returns the last offset of the record batch that holds offset, or offset if
// there is none.
func (x *acquisition) wholeBatch(offset int64) int64 {
	for i := len(x.Log) - 1; i >= 0; i-- {
		if e := &x.Log[i]; e.First <= offset {
			return max(offset, e.Last)
		}
	}
	return offset
}

// fresh acquires what nobody has had yet.
func (x *acquisition) fresh() {
	p, left := x.p, x.left-x.taken
	first := max(x.first, p.start)
	if len(p.batches) == 0 {
		first = max(first, p.end)
	} else if first <= p.end {
		first = p.end + 1
	}
	if first > x.last {
		return
	}
	last := x.last
	if left < last-first+1 {
		last = min(x.wholeBatch(first+left-1), x.last)
	}
	if len(p.batches) == 0 {
		p.start = first
	}
	p.end = last
	if x.Exact && left < last-first+1 {
		// The record batch is in flight as a whole, though not all of it is wanted.
		b := newBatch(first, last, cell{state: Available})
		p.batches = append(p.batches, b)
		b.cut(first + left)
		x.take(&b.runs[0])
		p.search = true
		return
	}
	for at := first; at <= last; {
		until := x.chunk(at, last)
		b := newBatch(at, until, cell{state: Available})
		p.batches = append(p.batches, b)
		x.take(&b.runs[0])
		at = until + 1
	}
}

// chunk returns where a batch ends that begins at `at`: before a record batch, so that it
// has BatchSize records or a few more.
func (x *acquisition) chunk(at, last int64) int64 {
	if x.Exact {
		return last
	}
	i, _ := slices.BinarySearchFunc(x.Log, at+int64(max(x.BatchSize, 1)), func(e Extent, offset int64) int {
		if e.First < offset {
			return -1
		}
		return 1
	})
	if i == len(x.Log) || x.Log[i].First > last {
		return last
	}
	return x.Log[i].First - 1
}

// withoutAborted archives the records of aborted transactions among what was acquired,
// out[from:], and returns the rest.
func (p *Partition) withoutAborted(a *Acquire, out []Range, from int) []Range {
	acquired := slices.Clone(out[from:])
	out = out[:from]
	dropped := abortedExtents(a.Log, a.Aborted)
	for _, r := range acquired {
		at := r.First
		for _, e := range dropped {
			if e.Last < at || e.First > r.Last {
				continue
			}
			if e.First > at {
				out = append(out, Range{at, e.First - 1, r.Count})
			}
			_ = p.within(max(at, e.First), min(e.Last, r.Last), func(x *run) error { // f returns no error
				x.cell = cell{state: Archived, count: x.count}
				return nil
			})
			at = e.Last + 1
		}
		if at <= r.Last {
			out = append(out, Range{at, r.Last, r.Count})
		}
	}
	p.advance()
	return out
}

// abortedExtents returns the record batches that belong to aborted transactions.
func abortedExtents(log []Extent, aborted []AbortedTxn) (out []Extent) {
	open := map[int64]bool{}
	for _, e := range log {
		for len(aborted) > 0 && aborted[0].FirstOffset <= e.Last {
			open[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		switch {
		case e.Abort:
			delete(open, e.ProducerID)
		case e.Transactional && open[e.ProducerID]:
			out = append(out, e)
		}
	}
	return out
}
