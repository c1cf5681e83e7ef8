package sharefetch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/sharepartition"
	"github.com/naru-stream/naru/internal/broker/sharesession"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/vfs"
)

// Fetch is a member's wait for records. Its fields are set before Start and must not be
// touched until Done is called; the strings must outlive the request.
type Fetch struct {
	Group, Member string
	// Partitions is what to read, in order; they are the member's session's.
	Partitions []sharesession.Partition
	MaxWait    time.Duration
	// MinBytes is how much must be there before the wait is over, MaxBytes how much is
	// read at most.
	MinBytes, MaxBytes int64
	// MaxRecords, BatchSize and Exact are as in sharepartition.Acquire.
	MaxRecords, BatchSize int32
	Exact                 bool
	// Done takes what was acquired, one result for each partition; what has records is
	// the receiver's to release.
	Done func([]Result)

	m       *Manager
	timeout purgatory.Entry
	watch   replica.Watch
	waking  atomic.Bool

	// mu guards the flags. Whoever sets trying has items and results to itself.
	mu sync.Mutex
	// trying is set while somebody looks for an answer, and again that there was news
	// meanwhile.
	trying, again bool
	// over is set when the answer is what there is, and done when it was given.
	over, done bool
	items      []item
	results    []Result
}

// Result is what a fetch got of one partition.
type Result struct {
	Partition sharesession.Partition
	Err       error
	// Records are the record batches that hold what was acquired, in their file.
	Records  vfs.Range
	Acquired []sharepartition.Range
}

// item is one partition of a fetch.
type item struct {
	share *share
	// err is why there is none; it stays for as long as the fetch.
	err error
	// chosen is set while this fetch reads the share partition, at offset. inFlight is the
	// last offset that somebody had.
	chosen   bool
	offset   int64
	inFlight int64
	read     replica.ReadResult
}

// Start begins a fetch; Done is called once, perhaps before Start returns, unless
// Abandon came first.
func (m *Manager) Start(f *Fetch) {
	f.m = m
	f.watch.Notify = f.notify
	f.items = make([]item, len(f.Partitions))
	f.results = make([]Result, len(f.Partitions))
	for i, at := range f.Partitions {
		f.results[i].Partition = at
	}
	f.trying = true
	if f.attempt(f.MaxWait <= 0 || len(f.Partitions) == 0) {
		f.finish()
		return
	}
	m.Timer.Schedule(&f.timeout, f.MaxWait, f.expire)
	var replicas []*replica.Partition
	for i := range f.items {
		if s := f.items[i].share; s != nil {
			replicas = append(replicas, s.replica)
		}
	}
	f.watch.Add(replicas)
	f.try() // what came before the watch was armed would go unnoticed
}

// notify has the fetch try again soon, on another goroutine.
func (f *Fetch) notify() {
	if f.waking.CompareAndSwap(false, true) {
		go f.wake()
	}
}

func (f *Fetch) wake() {
	f.mu.Lock()
	f.waking.Store(false)
	if f.done || f.trying {
		f.again = true
		f.mu.Unlock()
		return
	}
	f.trying = true
	f.mu.Unlock()
	f.try()
}

// try looks for an answer until there is one or no more news. The caller has set trying.
func (f *Fetch) try() {
	for again := true; again; {
		f.mu.Lock()
		final := f.over
		f.again = false
		f.mu.Unlock()
		f.watch.Arm()
		if f.attempt(final) {
			f.finish()
			return
		}
		f.mu.Lock()
		again = f.again || f.over
		f.trying = again
		f.mu.Unlock()
	}
}

// expire has the fetch answered with what there is.
func (f *Fetch) expire() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.notify() // what reads the log may not keep the timer waiting
}

// Abandon ends a fetch whose client has gone. It reports whether it did: else Done was
// called, or soon is.
func (f *Fetch) Abandon() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.done || f.trying {
		return false
	}
	f.close()
	return true
}

// close ends the waiting. The caller holds mu.
func (f *Fetch) close() {
	f.done = true
	f.m.Timer.Cancel(&f.timeout)
	f.watch.Close()
	for i := range f.items {
		f.items[i].leave(f)
	}
}

// finish answers.
func (f *Fetch) finish() {
	f.mu.Lock()
	f.close()
	f.mu.Unlock()
	f.Done(f.results)
}

// leave is done with a share partition.
func (it *item) leave(f *Fetch) {
	if s := it.share; s != nil {
		s.mu.Lock()
		delete(s.waiting, f)
		s.mu.Unlock()
		s.leave()
	}
}

// attempt acquires what there is and reports whether that is an answer; with final it
// always is. The caller has set trying.
func (f *Fetch) attempt(final bool) bool {
	chosen, failed, enough := 0, 0, final
	for i := range f.items {
		f.results[i].Err = f.choose(i)
		if f.items[i].chosen {
			chosen++
		}
		if f.results[i].Err != nil {
			failed++
		}
	}
	enough = enough || failed == len(f.items)
	found, atLeastOne := int64(0), true
	for i := range f.items {
		it := &f.items[i]
		if !it.chosen {
			continue
		}
		f.results[i].Err = f.read(it, f.MaxBytes/int64(chosen), atLeastOne)
		enough = enough || f.results[i].Err != nil
		atLeastOne = atLeastOne && it.read.Size() == 0
		found += it.read.Size()
	}
	enough = enough || found >= f.MinBytes
	left := f.MaxRecords
	for i := range f.items {
		if it := &f.items[i]; it.chosen {
			left -= f.take(it, &f.results[i], enough, left)
		}
	}
	return enough
}

// choose decides whether the i-th partition is read: nobody else does, and there may be
// something to acquire.
func (f *Fetch) choose(i int) error {
	it := &f.items[i]
	it.chosen = false
	if it.err != nil {
		return it.err
	}
	if over, err := it.share.over(); over {
		it.leave(f)
		it.share = nil
		if it.err = err; err == nil {
			it.share, it.err = f.m.share(f.Group, f.Partitions[i])
		}
		if it.err != nil {
			return it.err
		}
	}
	s, settings := it.share, f.m.Settings(f.Group).Settings
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[f] = s.reading
	switch {
	case s.status == gone:
		f.notify() // it was given up just now
	case s.status == active && !s.reading && s.core.CanAcquire(settings):
		s.reading, it.chosen = true, true
		it.offset, it.inFlight = s.core.NextFetchOffset(), s.core.End()
	}
	return nil
}

// over tells whether a share partition is not the present one any more, and why it could
// not be held if that is so.
func (s *share) over() (bool, error) {
	if s == nil {
		return true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status == gone || s.moved(), s.err
}

// read looks what the log has.
func (f *Fetch) read(it *item, maxBytes int64, atLeastOne bool) error {
	s := it.share
	committed := f.m.Settings(f.Group).Committed
	request := replica.ReadRequest{
		Offset: it.offset, MaxBytes: int32(maxBytes), AtLeastOne: atLeastOne, Committed: committed,
		CurrentLeaderEpoch: s.leaderEpoch, LastFetchedEpoch: -1,
	}
	err := s.replica.Read(request, &it.read)
	if protocol.CodeOf(err) != protocol.OffsetOutOfRange {
		return err
	}
	start := s.replica.Log().LogStartOffset()
	if it.offset >= start {
		return nil // the log has lost its end: it will be there again
	}
	s.mu.Lock()
	s.core.LogStartMoved(start)
	it.offset = s.core.NextFetchOffset()
	s.mu.Unlock()
	request.Offset = it.offset
	return s.replica.Read(request, &it.read)
}

// take acquires, if anything is to be, what was read of a share partition, lets others
// read it, and returns how many records it got.
func (f *Fetch) take(it *item, result *Result, acquire bool, maxRecords int32) (n int32) {
	s, settings := it.share, f.m.Settings(f.Group)
	var extents []extent
	var end int64
	if acquire && result.Err == nil && it.read.Size() > 0 && maxRecords > 0 {
		extents, end, result.Err = extentsOf(&it.read, settings.Committed, it.inFlight, maxRecords)
	}
	s.mu.Lock()
	s.reading = false
	if len(extents) > 0 && s.status == active {
		a := sharepartition.Acquire{
			Member: f.Member, MaxRecords: maxRecords, Exact: f.Exact, BatchSize: f.BatchSize,
			FetchOffset: it.offset, Log: logOf(extents), NowMs: f.m.NowMs(),
		}
		for _, t := range it.read.Aborted {
			a.Aborted = append(a.Aborted, sharepartition.AbortedTxn{ProducerID: t.ProducerID, FirstOffset: t.FirstOffset})
		}
		result.Acquired = s.core.Acquire(&a, settings.Settings, nil)
		s.schedule()
	}
	s.mu.Unlock()
	if len(result.Acquired) > 0 && !f.m.Sessions.Has(sharesession.Key{Group: f.Group, Member: f.Member}) {
		// The session has ended before the records were acquired.
		s.release(f.Member)
		result.Acquired = nil
	}
	if len(result.Acquired) > 0 {
		result.Records = slice(it.read.Take(), extents, end, result.Acquired)
		for _, r := range result.Acquired {
			n += int32(r.Last - r.First + 1)
		}
	} else {
		it.read.Release()
	}
	s.wakeSome(false)
	return n
}
