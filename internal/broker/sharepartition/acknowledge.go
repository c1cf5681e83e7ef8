package sharepartition

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Types of acknowledgement.
const (
	Gap     int8 = 0 // there is no record
	Accept  int8 = 1
	Release int8 = 2
	Reject  int8 = 3
	Renew   int8 = 4 // the lock begins anew
)

// AckBatch says what became of records: one type for all, or one for each.
type AckBatch struct {
	First, Last int64
	Types       []int8
}

// Change is a change of the memory that is to be written.
type Change struct {
	// Batches is what to write.
	Batches []StateBatch
	id      uint64
}

// refusal is an error with the text that a client is told.
type refusal struct {
	code protocol.ErrorCode
	text string
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

// Unwrap gives Kafka's code.
func (r *refusal) Unwrap() error { return r.code }

func invalidState(text string) error { return &refusal{protocol.InvalidRecordState, text} }

// Acknowledge takes in what a member says about records it has acquired. Either all of
// it is taken or none.
func (p *Partition) Acknowledge(member string, acks []AckBatch, s Settings, nowMs int64) (Change, error) {
	c := p.begin()
	if byFirst := func(a, b AckBatch) int { return cmp.Compare(a.First, b.First) }; !slices.IsSortedFunc(acks, byFirst) {
		acks = slices.SortedStableFunc(slices.Values(acks), byFirst) // cutting a batch from its end is dear
	}
	var cut *batch // is merged when all is said about it, since much may be said about one batch
	for i := range acks {
		if err := p.acknowledge(&c, &cut, member, &acks[i], s, nowMs); err != nil {
			p.Complete(c, false)
			cut.merge()
			return Change{}, err
		}
	}
	cut.merge()
	return c, nil
}

func (p *Partition) begin() Change {
	p.changes++
	return Change{id: p.changes}
}

func (p *Partition) acknowledge(c *Change, cut **batch, member string, a *AckBatch, s Settings, nowMs int64) error {
	if a.Last < a.First || len(a.Types) == 0 || len(a.Types) > 1 && int64(len(a.Types)) != a.Last-a.First+1 {
		return fmt.Errorf("acknowledging %d-%d with %d types: %w", a.First, a.Last, len(a.Types), protocol.InvalidRequest)
	}
	if a.Last < p.start {
		return nil // archived, whatever the member says
	}
	if err := p.checkKnown(a); err != nil {
		return err
	}
	for i := p.find(a.First); i < len(p.batches) && p.batches[i].first <= a.Last; i++ {
		b := p.batches[i]
		if b != *cut {
			(*cut).merge()
			*cut = b
		}
		whole := b.whole()
		err := b.between(a.First, a.Last, func(r *run) error { return r.checkOwner(member, whole) })
		if err == nil {
			err = p.decide(c, b, a, s, nowMs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkKnown refuses an acknowledgement of what is not in flight.
func (p *Partition) checkKnown(a *AckBatch) error {
	first := a.First
	if first < p.start && len(p.batches) > 0 {
		first = p.batches[0].first // the start has moved since
	}
	switch i := p.find(first); {
	case len(p.batches) == 0 || first < p.batches[0].first:
		return invalidState("Batch record not found. The request batch offsets are not found in the cache.")
	case i == len(p.batches):
		return &refusal{protocol.InvalidRequest, "Batch record not found. The first offset in request is past acquired records."}
	case a.Last > p.batches[len(p.batches)-1].last:
		return &refusal{protocol.InvalidRequest, "Batch record not found. The last offset in request is past acquired records."}
	}
	return nil
}

// checkOwner refuses a member that has not acquired the records.
func (r *run) checkOwner(member string, whole bool) error {
	switch {
	case whole && r.member == "" && r.pending == 0:
		return invalidState("The batch cannot be acknowledged. The batch is not in the acquired state.")
	case r.pending != 0:
		return invalidState("The record state is invalid. The acknowledgement of delivery could not be completed.")
	case r.state != Acquired:
		return invalidState("The offset cannot be acknowledged. The offset is not acquired.")
	case r.member != member && whole:
		return invalidState("Member is not the owner of batch record")
	case r.member != member:
		return invalidState("Member is not the owner of offset")
	}
	return nil
}

// decide carries out what is said about one batch.
func (p *Partition) decide(c *Change, b *batch, a *AckBatch, s Settings, nowMs int64) error {
	first, last := max(a.First, b.first), min(a.Last, b.last)
	if len(a.Types) > 1 {
		b.cutEach(a.First, a.Types)
	}
	for first <= last {
		kind, until := a.Types[0], last
		if len(a.Types) > 1 {
			kind, until = a.Types[first-a.First], first
			for until < last && a.Types[until+1-a.First] == kind {
				until++
			}
		}
		if kind == Renew && !s.Renew {
			return invalidState("Renewing acquisition locks is not enabled for the group.")
		}
		err := b.between(first, until, func(r *run) error {
			switch kind {
			case Renew:
				r.deadlineMs = nowMs + s.LockMs
				p.nextMs = min(p.nextMs, r.deadlineMs)
			case Accept:
				c.move(r, Acknowledged, s)
			case Release:
				c.move(r, Available, s)
			case Gap:
				c.move(r, Archived, s)
			case Reject:
				c.move(r, Archiving, s)
			default:
				return fmt.Errorf("acknowledge type %d: %w", kind, protocol.InvalidRequest)
			}
			return nil
		})
		if err != nil {
			return err
		}
		first = until + 1
	}
	return nil
}

// move makes a run what it shall be once that is written.
func (c *Change) move(r *run, to State, s Settings) {
	r.before, r.pending = r.member, c.id
	r.state, r.cause = s.outcome(to, r.count)
	r.member = ""
	c.add(r)
}

// add has a run written.
func (c *Change) add(r *run) {
	if n := len(c.Batches); n > 0 {
		if b := &c.Batches[n-1]; b.Last+1 == r.first && b.State == r.state && b.Count == r.count {
			b.Last = r.last
			return
		}
	}
	c.Batches = append(c.Batches, StateBatch{r.first, r.last, r.state, r.count})
}

// bounds returns the first and the last offset of a change; none lies between if it is
// empty.
func (c *Change) bounds() (first, last int64) {
	first, last = math.MaxInt64, -1
	for _, b := range c.Batches {
		first, last = min(first, b.First), max(last, b.Last)
	}
	return first, last
}

// Release gives back what a member has acquired: its session has ended.
func (p *Partition) Release(member string, s Settings) Change {
	c := p.begin()
	for _, b := range p.batches {
		for i := range b.runs {
			if r := &b.runs[i]; r.held() && r.member == member {
				c.move(r, Available, s)
			}
		}
	}
	return c
}

// Expire ends the acquisitions whose time has come. The change has taken effect already,
// but for dead letters, which wait until it is written.
func (p *Partition) Expire(s Settings, nowMs int64) Change {
	c := p.begin()
	p.nextMs = noDeadline
	for _, b := range p.batches {
		for i := range b.runs {
			switch r := &b.runs[i]; {
			case !r.held():
			case r.deadlineMs > nowMs:
				p.nextMs = min(p.nextMs, r.deadlineMs)
			default:
				r.settle(s)
				if r.state == Archiving {
					r.pending = c.id
				}
				c.add(r)
				p.search = true
			}
		}
		b.merge()
	}
	return c
}

// Complete tells whether a change was written, and takes it back if not: what Expire
// should end stays as Expire left it, and what a member should have is left to Expire if
// its time has passed. It reports whether records may be had that could not be had before.
func (p *Partition) Complete(c Change, written bool) (news bool) {
	first, last := c.bounds()
	for i := p.find(first); i < len(p.batches) && p.batches[i].first <= last; i++ {
		b := p.batches[i]
		for j := range b.runs {
			r := &b.runs[j]
			if r.pending != c.id {
				continue // a run that the change has not made is not cut by it
			}
			member := r.before
			r.pending, r.before = 0, ""
			switch {
			case written:
				r.deadlineMs = 0
			case r.deadlineMs != 0:
				r.state, r.member, r.cause = Acquired, member, Unknown
				p.nextMs = min(p.nextMs, r.deadlineMs)
			}
			switch r.state {
			case Available:
				p.search, news = true, true
			case Archiving:
				p.dead = true
			}
		}
		b.merge()
	}
	return p.advance() || news
}
