package purgatory

import "math/bits"

const (
	slotBits = 6
	slots    = 1 << slotBits
	// levels of the wheel: slots of 1 ms, 64 ms, 4.1 s, 4.4 min, 4.7 h, 12.4 days;
	// together 2.2 years. A wait beyond that sits in the last slot and is put
	// back when it comes round.
	levels = 6
	// maxSpanMs is the farthest a deadline can be placed from the wheel's time.
	maxSpanMs = 1<<(slotBits*levels) - 1
)

// wheel is the pure part: entries in intrusive lists, time only as a parameter.
//
// An entry whose deadline is d lies on the lowest level whose span, counted from
// the wheel's time, reaches d, in the slot of d's digit of that level. When the
// wheel's time enters a slot of a higher level, that slot's entries are put in
// again and land lower, at the latest when the time of level zero equals d.
type wheel struct {
	nowMs    int64
	count    int
	occupied [levels]uint64
	heads    [levels][slots]Entry
}

func (w *wheel) init(nowMs int64) {
	w.nowMs = nowMs
	for l := range w.heads {
		for s := range w.heads[l] {
			h := &w.heads[l][s]
			h.prev, h.next = h, h
		}
	}
}

// add places an entry. A deadline that has passed is due at the next millisecond
// the wheel advances to.
func (w *wheel) add(e *Entry) {
	w.count++
	w.place(e)
}

func (w *wheel) place(e *Entry) {
	d := min(max(e.deadlineMs, w.nowMs+1), w.nowMs+maxSpanMs)
	// The level is that of the highest digit in which d differs from now.
	level := (bits.Len64(uint64(d^w.nowMs)) - 1) / slotBits
	if level >= levels {
		// d lies in the next turn of the highest level: hold it in the slot
		// that comes round last.
		level = levels - 1
	}
	slot := int(d>>(slotBits*level)) & (slots - 1)
	e.level, e.slot = int8(level), int8(slot)
	h := &w.heads[level][slot]
	e.prev, e.next = h.prev, h
	h.prev.next, h.prev = e, e
	w.occupied[level] |= 1 << slot
}

// remove takes a placed entry out.
func (w *wheel) remove(e *Entry) {
	w.count--
	w.unlink(e)
}

func (w *wheel) unlink(e *Entry) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
	if h := &w.heads[e.level][e.slot]; h.next == h {
		w.occupied[e.level] &^= 1 << e.slot
	}
}

// nextMs is the earliest time at which advance has something to do: the deadline
// of the first entry, or the moment a higher slot must be spread. ok is false for
// an empty wheel.
func (w *wheel) nextMs() (at int64, ok bool) {
	for level := range levels {
		mask := w.occupied[level]
		if mask == 0 {
			continue
		}
		shift := slotBits * level
		digit := w.nowMs >> shift
		// Slots at or below the current digit belong to the next turn; they
		// occur only on the highest level.
		ahead := bits.RotateLeft64(mask, -int(digit&(slots-1))-1)
		steps := int64(bits.TrailingZeros64(ahead)) + 1
		t := (digit + steps) << shift
		if !ok || t < at {
			at, ok = t, true
		}
	}
	return at, ok
}

// advance moves the time to nowMs and hands every entry that is due to expired,
// in the order of their deadlines.
func (w *wheel) advance(nowMs int64, expired func(*Entry)) {
	for {
		t, ok := w.nextMs()
		if !ok || t > nowMs {
			break
		}
		w.nowMs = t
		for level := levels - 1; level >= 0; level-- {
			if t&(1<<(slotBits*level)-1) != 0 {
				continue // t does not enter a slot of this level
			}
			w.empty(level, int(t>>(slotBits*level))&(slots-1), expired)
		}
	}
	w.nowMs = max(w.nowMs, nowMs)
}

func (w *wheel) empty(level, slot int, expired func(*Entry)) {
	h := &w.heads[level][slot]
	if h.next == h {
		return
	}
	first, last := h.next, h.prev
	h.prev, h.next = h, h
	w.occupied[level] &^= 1 << slot
	last.next = nil
	for e := first; e != nil; {
		next := e.next
		e.prev, e.next = nil, nil
		if e.deadlineMs <= w.nowMs {
			w.count--
			expired(e)
		} else {
			w.place(e)
		}
		e = next
	}
}
