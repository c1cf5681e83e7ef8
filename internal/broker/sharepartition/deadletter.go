package sharepartition

// Cause is why nobody gets a record any more.
type Cause int8

// The causes.
const (
	Unknown  Cause = iota // it was so when the share partition was loaded
	Rejected              // a member said so
	TooOften              // it was delivered as often as is allowed
)

// String returns the cause as the dead letter tells it; empty for Unknown.
func (c Cause) String() string {
	return [...]string{"", "Offset rejected by client.", "Offset delivery count exceeded the threshold."}[c]
}

// outcome returns what becomes of records, delivered count times, that are to be
// Available, Acknowledged, Archived, or, as nobody could process them, Archiving.
func (s Settings) outcome(to State, count int16) (State, Cause) {
	cause := Unknown
	switch {
	case to == Archiving:
		cause = Rejected
	case to == Available && count >= s.MaxDeliveries:
		to, cause = Archiving, TooOften
	}
	if to == Archiving && !s.DeadLetters {
		return Archived, Unknown
	}
	return to, cause
}

// DeadLetter is records that nobody gets any more and that are to be written to the
// group's dead-letter topic (KIP-1191).
type DeadLetter struct {
	First, Last int64
	Count       int16
	Cause       Cause
}

// DeadLetters returns the dead letters that can be written now, each once.
func (p *Partition) DeadLetters() (out []DeadLetter) {
	if !p.dead {
		return nil
	}
	p.dead = false
	for _, b := range p.batches {
		for i := range b.runs {
			r := &b.runs[i]
			if r.state != Archiving || r.pending != 0 || r.handed {
				continue
			}
			r.handed = true
			if n := len(out); n > 0 && out[n-1].Last+1 == r.first && out[n-1].Count == r.count && out[n-1].Cause == r.cause {
				out[n-1].Last = r.last
				continue
			}
			out = append(out, DeadLetter{r.first, r.last, r.count, r.cause})
		}
	}
	return out
}

// Bury archives the records of a dead letter that is written, or never will be. The
// change has taken effect already.
func (p *Partition) Bury(l DeadLetter) Change {
	c := p.begin()
	_ = p.within(l.First, l.Last, func(r *run) error { // f returns no error
		if r.state == Archiving {
			r.cell = cell{state: Archived, count: r.count}
			c.add(r)
		}
		return nil
	})
	p.advance()
	return c
}
