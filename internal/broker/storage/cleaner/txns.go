package cleaner

import (
	"cmp"
	"slices"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// transactions follows the transactions of a log while its batches are read in
// order.
type transactions struct {
	aborted []producerstate.AbortedTxn // by first offset, those not reached yet
	// latest holds each producer's last aborted transaction that was reached, as the
	// offset of its marker.
	latest map[int64]int64
	// seen holds the producers of which a transactional batch was read since their
	// last marker.
	seen map[int64]struct{}
}

func newTransactions(aborted []producerstate.AbortedTxn) *transactions {
	sorted := slices.Clone(aborted)
	slices.SortFunc(sorted, func(a, b producerstate.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return &transactions{aborted: sorted, latest: map[int64]int64{}, seen: map[int64]struct{}{}}
}

func (t *transactions) reach(offset int64) {
	for len(t.aborted) > 0 && t.aborted[0].FirstOffset <= offset {
		t.latest[t.aborted[0].ProducerID] = t.aborted[0].LastOffset
		t.aborted = t.aborted[1:]
	}
}

// data reads a data batch and tells whether it belongs to an aborted transaction.
// A batch that was emptied counts as well: replayed, it opens the transaction that
// only its marker ends.
func (t *transactions) data(b record.Batch) (aborted bool) {
	if !b.IsTransactional() {
		return false
	}
	t.reach(b.LastOffset())
	t.seen[b.ProducerID()] = struct{}{}
	marker, ok := t.latest[b.ProducerID()]
	return ok && b.BaseOffset() < marker
}

// marker reads the marker that ends the producer's transaction and tells whether
// nothing is left of that transaction.
func (t *transactions) marker(b record.Batch) (alone bool) {
	_, seen := t.seen[b.ProducerID()]
	delete(t.seen, b.ProducerID())
	return !seen
}
