package index

// Boundary is the start of a batch.
type Boundary struct {
	// Offset is the batch's base offset.
	Offset int64
	// Position is where it starts in the file.
	Position int64
}

// tailLen is how many of the last appends are remembered, so that readers
// at the end of the log need neither index nor disk.
const tailLen = 16

// Tail remembers the last boundaries of the active segment.
type Tail struct {
	ring [tailLen]Boundary
	next int // index of the oldest
	len  int
}

// Add notes a batch behind all earlier ones.
func (t *Tail) Add(b Boundary) {
	t.ring[t.next] = b
	t.next = (t.next + 1) % tailLen
	t.len = min(t.len+1, tailLen)
}

// Find returns the position of a batch that starts at exactly this offset.
func (t *Tail) Find(offset int64) (int64, bool) {
	for i := range t.len {
		if b := t.ring[(t.next-1-i+2*tailLen)%tailLen]; b.Offset == offset {
			return b.Position, true
		}
	}
	return 0, false
}

// Floor returns the last boundary at or before a position, false if all are
// behind it.
func (t *Tail) Floor(position int64) (Boundary, bool) {
	for i := range t.len {
		if b := t.ring[(t.next-1-i+2*tailLen)%tailLen]; b.Position <= position {
			return b, true
		}
	}
	return Boundary{}, false
}
