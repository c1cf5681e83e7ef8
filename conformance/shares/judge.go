package main

import "fmt"

// letter is a dead letter.
type letter struct {
	Partition int32
	Offset    int64
	Value     string
	Reason    string
}

// maxViolations is how many are told.
const maxViolations = 20

// place is where a record is.
type place struct {
	partition int32
	offset    int64
}

// history is what is known of one record.
type history struct {
	n         int
	sure      string // accept or reject, once that is confirmed
	sureNs    int64
	maybe     bool // it may have been accepted
	delivered []said
	letters   int
}

// judge holds what members said and what lies in the dead-letter topic against what share
// groups promise. withLetters is false if there is no dead-letter topic.
func judge(r *result, all []said, letters []letter, withLetters bool) {
	violation := func(format string, args ...any) {
		if len(r.Violations) < maxViolations {
			r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
		}
	}
	records := map[place]*history{}
	byNumber := map[int]*history{}
	for _, s := range all {
		for _, f := range s.Records {
			at := place{f.Partition, f.Offset}
			h := records[at]
			if h == nil {
				h = &history{n: f.N}
				records[at], byNumber[f.N] = h, h
			}
			h.take(r, s, f)
			if s.Event == "had" && f.Delivery > maxDeliveries {
				violation("record %d was delivered for the %d. time", f.N, f.Delivery)
			}
		}
	}
	for at, h := range records {
		for _, s := range h.delivered {
			if h.sure != "" && s.AtNs > h.sureNs {
				violation("record %d at %d/%d was confirmed (%s) and fetched again %d ms later", h.n, at.partition, at.offset, h.sure, (s.AtNs-h.sureNs)/1e6)
			}
		}
	}
	for _, l := range letters {
		h := records[place{l.Partition, l.Offset}]
		r.Letters++
		switch {
		case h == nil:
			violation("a dead letter of %d/%d, which nobody had", l.Partition, l.Offset)
			continue
		case l.Value != value(h.n):
			violation("the dead letter of record %d holds %q", h.n, l.Value)
		case h.sure == accept:
			violation("record %d was accepted and has a dead letter: %s", h.n, l.Reason)
		case fate(h.n) != reject && l.Reason == "Offset rejected by client.":
			violation("record %d was not rejected, its dead letter says so", h.n)
		}
		if h.letters++; h.letters > 1 {
			r.Twice++
		}
	}
	for n := range r.Records {
		h := byNumber[n]
		switch {
		case h == nil:
			violation("record %d was delivered to nobody", n)
		case !withLetters:
		case fate(n) != accept && h.letters == 0:
			violation("record %d (%s) has no dead letter", n, fate(n))
		case fate(n) == accept && h.sure == "" && !h.maybe && h.letters == 0:
			violation("record %d was neither accepted nor has it a dead letter", n)
		}
	}
}

// take notes what a member said about the record.
func (h *history) take(r *result, s said, f fact) {
	switch {
	case s.Event == "had":
		r.Deliveries++
		h.delivered = append(h.delivered, s)
	case s.Event == "acks":
		h.maybe = h.maybe || f.As == accept // the member may be killed before it hears of it
	case s.Event == "sure" && f.As != release:
		h.sure, h.sureNs = f.As, s.AtNs
		if f.As == accept {
			r.Accepted++
		} else {
			r.Rejected++
		}
	}
}
