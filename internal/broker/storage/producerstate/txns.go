package producerstate

import (
	"cmp"
	"slices"
)

// txn is a transaction in this partition. Last is the offset of its marker, or
// NoOffset while it is open.
type txn struct {
	first, last int64
	producerID  int64
}

// txnSet holds transactions ordered by first offset. Transactions open in that
// order, so adding is appending nearly always.
type txnSet []txn

func (s txnSet) search(first int64) (int, bool) {
	return slices.BinarySearchFunc(s, first, func(t txn, first int64) int { return cmp.Compare(t.first, first) })
}

func (s *txnSet) add(t txn) {
	at, _ := s.search(t.first)
	*s = slices.Insert(*s, at, t)
}

func (s *txnSet) remove(first int64) {
	if at, ok := s.search(first); ok {
		*s = slices.Delete(*s, at, at+1)
	}
}

// first returns where the earliest transaction starts.
func (s txnSet) first() (int64, bool) {
	if len(s) == 0 {
		return NoOffset, false
	}
	return s[0].first, true
}
