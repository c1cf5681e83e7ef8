package ledger

import (
	"fmt"

	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// Audit judges a partition after everything from offset first to end (exclusive) was read: each offset
// holds a record, each acknowledged record is one of them, and each producer's records are in order.
func (l *Ledger) Audit(at wire.Partition, first, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partition(at)
	if p.acked >= end {
		l.violate("acknowledged records", fmt.Sprintf("%s offset %d", at, p.acked), "acknowledged, but the log ends at %d", end)
	}
	last := map[int]int64{}
	for offset := first; offset < min(end, int64(len(p.cells))); offset++ {
		c := p.cells[offset]
		where := fmt.Sprintf("%s offset %d", at, offset)
		if c&cellSeen == 0 {
			switch {
			case c&cellAcked != 0:
				l.violate("acknowledged records", where, "%s is not there (log from %d to %d)", l.describe(c), first, end)
			case !p.gaps:
				l.violate("offsets contiguous", where, "no record (log from %d to %d)", first, end)
			}
			continue
		}
		i, seq := c.producer(), c.sequence()
		before, any := last[i]
		if l.producers[i].Idempotent && any && seq <= before {
			l.violate("order", where, "%s comes after record %d", l.describe(c), before)
		}
		// A producer that is not idempotent may repeat what it sent, but what is new is in order: a record
		// that was never there before must not be older than one that was.
		if !l.producers[i].Idempotent && any && seq < before && !l.repeated(p, i, seq, first, offset) {
			l.violate("order", where, "%s comes first after record %d", l.describe(c), before)
		}
		last[i] = max(before, seq)
		if !any {
			last[i] = seq
		}
	}
	if int64(len(p.cells)) < end {
		l.violate("offsets contiguous", at.String(), "the log ends at %d, records were read up to %d", end, len(p.cells))
	}
}

// repeated tells whether a producer's record is in the partition before an offset.
func (l *Ledger) repeated(p *partition, producer int, sequence, first, before int64) bool {
	for offset := before - 1; offset >= first; offset-- {
		if c := p.cells[offset]; c.producer() == producer && c.sequence() == sequence && c&^cellFlags != 0 {
			return true
		}
	}
	return first > 0 // it may have been deleted
}

// Missing returns the sequence numbers below sent that an idempotent producer got acknowledged and that
// are at no offset: only those whose acknowledgement carried no offset can be found here.
func (l *Ledger) Missing(producer int, sent int64) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var missing []int64
	for seq := range sent {
		if seq >= int64(len(l.sent[producer])) || l.sent[producer][seq].p == nil {
			missing = append(missing, seq)
		}
	}
	return missing
}
