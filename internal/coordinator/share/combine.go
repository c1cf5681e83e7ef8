package share

import (
	"cmp"
	"container/heap"
	"slices"
)

// Batch is a range of offsets in one state.
type Batch struct {
	FirstOffset, LastOffset int64
	// State is what became of the records: 0 available, 2 acknowledged, 4 archived.
	State int8
	// DeliveryCount is how often they were delivered.
	DeliveryCount int16
}

// outranks tells whether b is the later word about an offset.
func (b Batch) outranks(o Batch) bool { return b.rank(o) > 0 }

func (b Batch) rank(o Batch) int {
	return cmp.Or(cmp.Compare(b.DeliveryCount, o.DeliveryCount), cmp.Compare(b.State, o.State))
}

// combine merges batches that may overlap, in any order, into batches in order that do
// not, without what lies below startOffset. Of each offset the highest rank stays;
// neighbours that say the same become one.
func combine(batches []Batch, startOffset int64) []Batch {
	slices.SortFunc(batches, func(a, b Batch) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	var out []Batch
	var open ranked // batches that begin at or before `at`, the highest rank first
	at := startOffset
	for next := 0; next < len(batches) || len(open) > 0; {
		for len(open) > 0 && open[0].LastOffset < at {
			heap.Pop(&open)
		}
		if len(open) == 0 {
			if next == len(batches) {
				break
			}
			at = max(at, batches[next].FirstOffset)
		}
		for next < len(batches) && batches[next].FirstOffset <= at {
			if batches[next].LastOffset >= at {
				heap.Push(&open, batches[next])
			}
			next++
		}
		if len(open) == 0 {
			continue
		}
		until := open[0].LastOffset
		if next < len(batches) {
			until = min(until, batches[next].FirstOffset-1)
		}
		out = extend(out, Batch{at, until, open[0].State, open[0].DeliveryCount})
		at = until + 1
	}
	return out
}

// extend appends a batch, or makes the last one longer if it says the same.
func extend(out []Batch, b Batch) []Batch {
	if n := len(out); n > 0 && out[n-1].LastOffset+1 == b.FirstOffset && out[n-1].rank(b) == 0 {
		out[n-1].LastOffset = b.LastOffset
		return out
	}
	return append(out, b)
}

// ranked is a heap of batches.
type ranked []Batch

func (r ranked) Len() int           { return len(r) }
func (r ranked) Less(i, j int) bool { return r[i].outranks(r[j]) }
func (r ranked) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

// Push implements heap.Interface.
func (r *ranked) Push(x any) { *r = append(*r, x.(Batch)) }

// Pop implements heap.Interface.
func (r *ranked) Pop() any {
	last := len(*r) - 1
	b := (*r)[last]
	*r = (*r)[:last]
	return b
}
