package sharepartition

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// fact is what the model knows of one record.
type fact struct {
	state  State
	count  int16
	member string
	until  int64
	change uint64 // pending
	letter bool   // its dead letter was handed out
	lost   bool   // that its time is over could not be written
}

// model is a share partition that remembers every record apart, and the world around it.
type model struct {
	t            *testing.T
	seed         uint64
	rng          *rand.Rand
	p            *Partition
	s            Settings
	nowMs        int64
	log          []Extent
	facts        map[int64]*fact
	pending      []Change
	letters      []DeadLetter // handed out, not buried
	logStart     int64
	written      map[int64]StateBatch // what the share coordinator has, by offset
	writtenStart int64
}

func (m *model) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("seed %d: %s", m.seed, fmt.Sprintf(format, args...))
}

// TestNoRecordIsOwnedTwiceAndNoneIsLost lets members do anything at any time, while
// writes wait, fail and the broker crashes. After every step memory must be what the
// model says; in the end every record must be done with.
func TestNoRecordIsOwnedTwiceAndNoneIsLost(t *testing.T) {
	for seed := range uint64(120) {
		m := &model{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), facts: map[int64]*fact{}, written: map[int64]StateBatch{}}
		m.s = Settings{MaxDeliveries: 2 + int16(m.rng.IntN(5)), MaxLocks: 20 + m.rng.Int32N(60), LockMs: 1000, Renew: true, DeadLetters: seed%3 > 0}
		m.p, _ = Load(0, nil)
		for range 250 {
			m.step()
			m.check()
		}
		m.finish()
	}
}

func (m *model) step() {
	switch m.rng.IntN(13) {
	case 12:
		m.bury()
	case 0, 1:
		m.append()
	case 2, 3, 4:
		m.acquire(m.member(), m.rng.Int32N(30)+1)
	case 5, 6, 7:
		m.acknowledge()
	case 8:
		m.complete(m.rng.IntN(4) > 0)
	case 9:
		m.nowMs += m.rng.Int64N(700)
		m.expire()
	case 10:
		if m.rng.IntN(4) == 0 {
			m.release(m.member())
		}
	case 11:
		switch m.rng.IntN(8) {
		case 0:
			m.crash()
		case 1:
			m.deleteRecords()
		}
	}
}

func (m *model) member() string { return fmt.Sprint("m", m.rng.IntN(3)) }

// append adds a record batch, now and then behind a gap.
func (m *model) append() {
	first := m.end()
	if m.rng.IntN(8) == 0 {
		first += m.rng.Int64N(4)
	}
	m.log = append(m.log, Extent{First: first, Last: first + m.rng.Int64N(9)})
	for o := first; o <= m.log[len(m.log)-1].Last; o++ {
		m.facts[o] = &fact{}
	}
}

func (m *model) end() int64 {
	if len(m.log) == 0 {
		return 0
	}
	return m.log[len(m.log)-1].Last + 1
}

func (m *model) acquire(member string, maxRecords int32) bool {
	next := m.p.NextFetchOffset()
	if next < m.logStart {
		m.moveLogStart()
		next = m.p.NextFetchOffset()
	}
	from := slices.IndexFunc(m.log, func(e Extent) bool { return e.Last >= next })
	if from < 0 || !m.p.CanAcquire(m.s) {
		return false
	}
	to := min(len(m.log), from+1+m.rng.IntN(4))
	exact := m.rng.IntN(2) == 0
	a := &Acquire{
		Member: member, MaxRecords: maxRecords, Exact: exact, BatchSize: m.rng.Int32N(12), FetchOffset: next,
		Log: m.log[from:to], NowMs: m.nowMs,
	}
	got := int64(0)
	for _, r := range m.p.Acquire(a, m.s, nil) {
		got += r.Last - r.First + 1
		for o := r.First; o <= r.Last; o++ {
			f := m.facts[o]
			if f == nil {
				continue // a gap between record batches
			}
			if f.state != Available || f.change != 0 {
				m.fatalf("offset %d is given to %s in state %+v", o, member, *f)
			}
			if f.count+1 != r.Count {
				m.fatalf("offset %d: delivery %d after %d", o, r.Count, f.count)
			}
			f.state, f.count, f.member, f.until = Acquired, r.Count, member, m.nowMs+m.s.LockMs
		}
		if m.s.MaxDeliveries > 2 && r.Count == m.s.MaxDeliveries && r.First != r.Last {
			m.fatalf("%d-%d are delivered for the last time together", r.First, r.Last)
		}
	}
	if exact && got > int64(maxRecords) {
		m.fatalf("%d records are acquired, %d were asked for", got, maxRecords)
	}
	return got > 0
}

// owned returns a run of records that a member has.
func (m *model) owned(member string) (first, last int64, ok bool) {
	var offsets []int64
	for o, f := range m.facts {
		if f.state == Acquired && f.member == member && o >= m.p.Start() {
			offsets = append(offsets, o)
		}
	}
	if len(offsets) == 0 {
		return 0, 0, false
	}
	slices.Sort(offsets)
	i := m.rng.IntN(len(offsets))
	first, last = offsets[i], offsets[i]
	for i++; i < len(offsets) && offsets[i] == last+1 && m.rng.IntN(10) > 0; i++ {
		last = offsets[i]
	}
	return first, last, true
}

func (m *model) acknowledge() {
	member := m.member()
	first, last, ok := m.owned(member)
	if !ok {
		return
	}
	a := AckBatch{First: first, Last: last, Types: []int8{int8(m.rng.IntN(5))}}
	if m.rng.IntN(2) == 0 {
		a.Types = nil
		for range last - first + 1 {
			a.Types = append(a.Types, int8(m.rng.IntN(5)))
		}
	}
	if _, err := m.p.Acknowledge("somebody else", []AckBatch{a}, m.s, m.nowMs); err == nil {
		m.fatalf("somebody acknowledges what %s has", member)
	}
	c, err := m.p.Acknowledge(member, []AckBatch{a}, m.s, m.nowMs)
	if err != nil {
		m.fatalf("%s acknowledges %d-%d: %v", member, first, last, err)
	}
	for o := first; o <= last; o++ {
		kind := a.Types[0]
		if len(a.Types) > 1 {
			kind = a.Types[o-first]
		}
		m.decide(m.facts[o], kind, c.id)
	}
	m.pending = append(m.pending, c)
}

func (m *model) decide(f *fact, kind int8, change uint64) {
	if kind == Renew {
		f.until = m.nowMs + m.s.LockMs
		return
	}
	f.state = map[int8]State{Gap: Archived, Accept: Acknowledged, Release: m.givenBack(f.count), Reject: m.unprocessable()}[kind]
	f.change = change
}

// unprocessable is the state of what goes to the dead-letter topic, if there is one.
func (m *model) unprocessable() State {
	if m.s.DeadLetters {
		return Archiving
	}
	return Archived
}

func (m *model) givenBack(count int16) State {
	if count >= m.s.MaxDeliveries {
		return m.unprocessable()
	}
	return Available
}

// bury takes the dead letters that there are, and one of them is written perhaps.
func (m *model) bury() {
	before := len(m.letters)
	m.letters = append(m.letters, m.p.DeadLetters()...)
	for _, l := range m.letters[before:] {
		for o := l.First; o <= l.Last; o++ {
			f := m.facts[o]
			if f == nil {
				continue
			}
			if f.state != Archiving || f.change != 0 || f.letter || f.count != l.Count || !f.lost && m.written[o].State < Archiving {
				m.fatalf("a dead letter of offset %d, which is %+v; written is %+v", o, *f, m.written[o])
			}
			f.letter = true
		}
	}
	if len(m.letters) == 0 || m.rng.IntN(3) == 0 {
		return
	}
	l := m.letters[0]
	m.letters = m.letters[1:]
	c := m.p.Bury(l)
	for o := l.First; o <= l.Last; o++ {
		if f := m.facts[o]; f != nil && f.state == Archiving {
			f.state = Archived
		}
	}
	m.pending = append(m.pending, c)
}

func (m *model) release(member string) {
	c := m.p.Release(member, m.s)
	for o, f := range m.facts {
		if o >= m.p.Start() && f.state == Acquired && f.member == member {
			m.decide(f, Release, c.id)
		}
	}
	m.pending = append(m.pending, c)
}

func (m *model) expire() {
	c, ok := m.p.Expire(m.s, m.nowMs), m.rng.IntN(4) > 0
	for o, f := range m.facts {
		if o >= m.p.Start() && f.state == Acquired && f.until <= m.nowMs {
			f.state, f.member, f.lost = m.givenBack(f.count), "", !ok
		}
	}
	if ok {
		m.write(c)
	}
	m.p.Complete(c, ok)
}

// write is what the share coordinator does.
func (m *model) write(c Change) {
	m.writtenStart = m.p.Start()
	for _, b := range c.Batches {
		for o := b.First; o <= b.Last; o++ {
			if w, ok := m.written[o]; !ok || b.Count > w.Count || b.Count == w.Count && b.State > w.State {
				m.written[o] = StateBatch{o, o, b.State, b.Count}
			}
		}
	}
}

// complete ends the oldest write.
func (m *model) complete(ok bool) {
	if len(m.pending) == 0 {
		return
	}
	c := m.pending[0]
	m.pending = m.pending[1:]
	if ok {
		m.write(c)
	}
	m.p.Complete(c, ok)
	for o, f := range m.facts {
		if f.change != c.id || f.change == 0 {
			continue
		}
		f.change = 0
		switch {
		case o < m.logStart:
			f.state = Archived
		case ok:
			f.member = ""
		default:
			f.state = Acquired
		}
	}
}

// crash begins again with what was written: what was acquired is available.
func (m *model) crash() {
	m.pending, m.letters = nil, nil
	var known []StateBatch
	for o := m.writtenStart; o < m.end(); o++ {
		if b, ok := m.written[o]; ok {
			known = append(known, b)
		}
	}
	var err error
	if m.p, err = Load(m.writtenStart, known); err != nil {
		m.fatalf("loading: %v", err)
	}
	for o, f := range m.facts {
		w := m.written[o]
		if o < m.writtenStart {
			w.State = Archived // it was done with before the start moved over it
		}
		*f = fact{state: w.State, count: w.Count}
	}
}

func (m *model) deleteRecords() {
	if m.end() == 0 {
		return
	}
	m.logStart = max(m.logStart, m.p.Start()+m.rng.Int64N(m.end()-min(m.p.Start(), m.end()-1)))
	m.moveLogStart()
	for len(m.log) > 0 && m.log[0].Last < m.logStart {
		m.log = m.log[1:]
	}
}

func (m *model) moveLogStart() {
	m.p.LogStartMoved(m.logStart)
	for o, f := range m.facts {
		if o < m.logStart && !f.state.Terminal() {
			*f = fact{state: Archived, count: f.count}
		}
	}
}

// check holds memory against the model.
func (m *model) check() {
	m.t.Helper()
	seen, complete, before := map[int64]bool{}, int64(0), int64(-1)
	for _, b := range m.p.batches {
		if b.first != b.runs[0].first || b.last != b.runs[len(b.runs)-1].last || b.first < m.p.start || b.last > m.p.end {
			m.fatalf("batch %d-%d with runs %+v, start %d, end %d", b.first, b.last, b.runs, m.p.start, m.p.end)
		}
		for _, r := range b.runs {
			if r.first <= before || r.last < r.first {
				m.fatalf("run %d-%d after %d", r.first, r.last, before)
			}
			before = r.last
			for o := r.first; o <= r.last; o++ {
				seen[o] = true
				if r.state.Terminal() {
					complete++
				}
				f := m.facts[o]
				if f == nil {
					continue
				}
				if f.letter != r.handed && r.state == Archiving {
					m.fatalf("offset %d is %+v, it should be %+v", o, r.cell, *f)
				}
				// What compaction took away is archived without the model's knowing.
				if f.state != r.state || f.count != r.count || f.change != r.pending || r.state == Acquired && f.member != r.member {
					m.fatalf("offset %d is %+v, it should be %+v", o, r.cell, *f)
				}
			}
		}
	}
	for o, f := range m.facts {
		switch {
		case seen[o]:
		case o < m.p.start && !f.state.Terminal():
			m.fatalf("offset %d is below start %d in state %v", o, m.p.start, f.state)
		case o >= m.p.start && (f.state != Available || f.count != 0):
			m.fatalf("offset %d, not in flight, is %+v; start %d, end %d", o, *f, m.p.start, m.p.end)
		}
	}
	if got := m.p.DeliveryCompleteCount(); int64(got) != complete {
		m.fatalf("%d records are complete, %d are counted", complete, got)
	}
	if m.p.InFlight() > int64(m.s.MaxLocks)+30 {
		m.fatalf("%d records in flight, %d are allowed", m.p.InFlight(), m.s.MaxLocks)
	}
}

// finish accepts everything that can be had.
func (m *model) finish() {
	for range 3000 {
		for len(m.pending) > 0 {
			m.complete(true)
		}
		m.bury()
		m.acquire("m0", 50)
		m.check()
		for _, member := range []string{"m0", "m1", "m2"} {
			c := m.p.begin()
			var cut *batch
			for o, f := range m.facts {
				if f.state == Acquired && f.member == member && f.change == 0 && o >= m.p.Start() {
					if err := m.p.acknowledge(&c, &cut, member, &AckBatch{o, o, []int8{Accept}}, m.s, m.nowMs); err != nil {
						m.fatalf("%v", err)
					}
					m.decide(f, Accept, c.id)
				}
			}
			cut.merge()
			m.pending = append(m.pending, c)
		}
		m.nowMs += 500
		if m.p.Start() >= m.end() {
			break
		}
		for len(m.pending) > 0 {
			m.complete(true)
		}
		m.expire()
		m.check()
	}
	for o, f := range m.facts {
		if !f.state.Terminal() {
			m.fatalf("offset %d is never done with: %+v; start %d, end %d, next %d", o, *f, m.p.start, m.p.end, m.p.NextFetchOffset())
		}
	}
}
