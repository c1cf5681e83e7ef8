package storage

import (
	"errors"
	"fmt"
	"sync"

	"github.com/naru-stream/naru/internal/broker/storage/index"
	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

// Origin tells who appends, and so what is checked.
type Origin = producerstate.Origin

const (
	// OriginClient is a producer: offsets and the leader epoch are assigned and
	// the producer's sequence is checked.
	OriginClient = producerstate.Client
	// OriginCoordinator is a coordinator or controller of this node: as a client,
	// but it may write control batches and has no sequences.
	OriginCoordinator = producerstate.Coordinator
	// OriginReplication is a follower that copies its leader: offsets and epochs
	// are kept as they are and nothing is checked but the order.
	OriginReplication = producerstate.Replication
)

// Append is one append. The caller fills the first group of fields, calls
// Log.Append and leaves everything alone until Done is called. It may be used
// again afterwards.
type Append struct {
	// Batches are one or more complete batches that Validate accepted. They belong
	// to the log until Done: offset, leader epoch and, for LogAppendTime, the
	// timestamp are written into them.
	Batches []byte
	// LeaderEpoch is that of the leader that appends; unused for replication.
	LeaderEpoch int32
	// Origin tells who appends.
	Origin Origin
	// TransactionVersion is that of the markers among the batches, of a transaction
	// coordinator; 0 otherwise.
	TransactionVersion int16
	// Vital says that the append is what a node cannot do without, and what gives a
	// full disk its space back: it is written in the space that is kept for that.
	Vital bool
	// Guarded says that the batches belong to a transaction that was verified after
	// TransactionGuard was taken from Log.TransactionGuard: they are refused if the
	// producer's transaction has ended since.
	Guarded          bool
	TransactionGuard int64
	// Done is called exactly once, without locks held, perhaps before Log.Append
	// returns. It must not wait for the log.
	Done func(*Append)

	// BaseOffset is the offset of the first record.
	BaseOffset int64
	// LastOffset is the offset of the last record.
	LastOffset int64
	// LogAppendTimeMs is the time stamped on the records, -1 with CreateTime.
	LogAppendTimeMs int64
	// LogStartOffset is the log's first offset at that moment.
	LogStartOffset int64
	// Duplicate says that the batch was there already: the offsets are those of
	// the first time and nothing was written.
	Duplicate bool
	// Err says why nothing was appended; protocol.CodeOf tells Kafka's code.
	Err error

	next      *Append
	exclusive func()
}

// appendQueue holds the appends until the writer takes them.
type appendQueue struct {
	mu         sync.Mutex
	head, tail *Append
	writing    bool
}

func (q *appendQueue) push(a *Append) (becomeWriter bool) {
	a.next = nil
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tail == nil {
		q.head = a
	} else {
		q.tail.next = a
	}
	q.tail = a
	if q.writing {
		return false
	}
	q.writing = true
	return true
}

// take returns everything queued; if there is nothing the writer's token is given
// back.
func (q *appendQueue) take() *Append {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.head
	q.head, q.tail = nil, nil
	if a == nil {
		q.writing = false
	}
	return a
}

const (
	// maxWriterRounds is how many rounds one caller writes for the others before
	// it hands the writer's token to a goroutine of its own.
	maxWriterRounds = 32
	// maxRoundBytes and maxRoundBuffers bound what one write takes.
	maxRoundBytes   = 8 << 20
	maxRoundBuffers = 1024
)

// Append queues an append; see Append.Done. The first caller writes for all that
// queue meanwhile.
func (l *Log) Append(a *Append) {
	if l.queue.push(a) {
		l.write(l.m.cfg.Manual)
	}
}

// exclusive runs fn with the writer's token: no append is under way meanwhile.
func (l *Log) exclusive(fn func()) {
	ran := make(chan struct{})
	l.Append(&Append{exclusive: fn, Done: func(*Append) { close(ran) }})
	<-ran
}

// round is what one write gathers.
type round struct {
	bufs  [][]byte
	items []*Append
	bytes int64
	next  int64 // the offset after what is gathered
	nowMs int64
}

// write is the writer: it owns the log's end until the queue is empty.
func (l *Log) write(forever bool) {
	r, _ := l.m.rounds.Get().(*round)
	for n := 0; ; n++ {
		if n == maxWriterRounds && !forever {
			go l.write(true)
			break
		}
		a := l.queue.take()
		if a == nil {
			break
		}
		l.writeAll(r, a)
	}
	l.m.rounds.Put(r)
}

func (l *Log) writeAll(r *round, a *Append) {
	r.nowMs = l.m.nowMs()
	r.next = l.end // only the writer changes it
	for a != nil {
		next := a.next
		a.next = nil
		switch {
		case a.exclusive != nil:
			l.flush(r)
			a.exclusive()
			a.Done(a)
			r.next = l.end
		case l.stage(r, a):
			if r.bytes >= maxRoundBytes || len(r.bufs) >= maxRoundBuffers {
				l.flush(r)
			}
		default:
			a.Done(a)
		}
		a = next
	}
	l.flush(r)
}

// stage checks an append, gives it its offsets and gathers it for the next write.
// It returns false if the append is finished already.
func (l *Log) stage(r *round, a *Append) bool {
	a.Err, a.Duplicate, a.LogAppendTimeMs = nil, false, -1
	l.mu.Lock()
	set, closed := l.set, l.closed
	a.LogStartOffset = l.logStart
	l.mu.Unlock()
	if closed == nil {
		closed = l.dir().refusal(a)
	}
	if closed != nil {
		a.Err = closed
		return false
	}
	if int64(len(a.Batches)) > set.segmentBytes && a.Origin != OriginReplication {
		a.Err = fmt.Errorf("appending %d bytes to %s, whose segment.bytes is %d: %w",
			len(a.Batches), l, set.segmentBytes, protocol.RecordListTooLarge)
		return false
	}
	if !l.makeRoom(r, a, set) {
		return false
	}
	if a.Origin == OriginReplication {
		a.Err = l.stageReplicated(r, a)
	} else {
		a.Err = l.stageLeader(r, a, set)
	}
	if a.Err != nil {
		return false
	}
	r.items = append(r.items, a) // also a duplicate: its original may be in this very write
	if !a.Duplicate {
		r.bufs = append(r.bufs, a.Batches)
		r.bytes += int64(len(a.Batches))
	}
	return true
}

// makeRoom rolls a new segment if the append does not belong into the present one.
func (l *Log) makeRoom(r *round, a *Append, set *settings) bool {
	batch, _, err := record.Next(a.Batches)
	if err != nil {
		a.Err = fmt.Errorf("appending to %s: %w: %w", l, protocol.CorruptMessage, err)
		return false
	}
	seg := l.activeSegment()
	if seg.handle != nil && !l.shouldRoll(seg, r, batch, int64(len(a.Batches)), set) {
		return true
	}
	l.flush(r)
	if err := l.dir().refusal(a); err != nil { // the flush may have found the disk full or broken
		a.Err = err
		return false
	}
	base := r.next
	if batch.LastOffset()-base > maxRelativeOffset-int64(len(a.Batches)) && a.Origin == OriginReplication {
		base = batch.BaseOffset() // a gap in a compacted log that no relative offset spans
	}
	if seg.handle == nil {
		base = seg.BaseOffset
	} else if seg.Size == 0 {
		return true
	}
	err = l.roll(base)
	if a.Vital && l.dir().tryAgain(err) {
		err = l.roll(base)
	}
	if err != nil {
		a.Err = l.writeFailed("making a segment of "+l.String(), err)
		return false
	}
	return true
}

func (l *Log) shouldRoll(seg *segment, r *round, b record.Batch, size int64, set *settings) bool {
	used := seg.Size + r.bytes
	if used == 0 {
		return false
	}
	if used+size > set.segmentBytes {
		return true
	}
	last := r.next + int64(b.LastOffsetDelta())
	if b.BaseOffset() > r.next { // replicated from a compacted log
		last = b.LastOffset()
	}
	if last-seg.BaseOffset > maxRelativeOffset-size {
		return true
	}
	return seg.FirstTimestamp >= 0 && set.segmentMs > 0 &&
		b.MaxTimestamp()-seg.FirstTimestamp > set.segmentMs-l.jitter(seg.BaseOffset, set)
}

// maxRelativeOffset keeps offsets relative to a segment's base in an int32, as
// Kafka's index needs it; an append has fewer records than bytes.
const maxRelativeOffset = 1<<31 - 1

// jitter spreads the rolling of partitions that were created together.
func (l *Log) jitter(base int64, set *settings) int64 {
	if set.segmentJitterMs <= 0 {
		return 0
	}
	h := uint64(base)*0x9e3779b97f4a7c15 ^ uint64(l.id())*0xff51afd7ed558ccd
	return int64((h ^ h>>29) % uint64(min(set.segmentJitterMs, max(set.segmentMs, 1))))
}

// stageLeader gives the batches their offsets and asks the producers' state about
// them.
func (l *Log) stageLeader(r *round, a *Append, set *settings) error {
	next := r.next
	for rest := a.Batches; len(rest) > 0; {
		b, more, err := record.Next(rest)
		if err != nil {
			return fmt.Errorf("appending to %s: %w: %w", l, protocol.CorruptMessage, err)
		}
		b.SetBaseOffset(next)
		b.SetPartitionLeaderEpoch(a.LeaderEpoch)
		if set.logAppendTime && !b.IsControl() {
			b.SetLogAppendTime(r.nowMs)
			a.LogAppendTimeMs = r.nowMs
		}
		next = b.NextOffset()
		rest = more
	}
	a.BaseOffset, a.LastOffset = r.next, next-1
	if err := l.admit(a, r.nowMs); err != nil {
		return fmt.Errorf("appending to %s: %w", l, err)
	}
	if !a.Duplicate {
		r.next = next
	}
	return nil
}

func (l *Log) stageReplicated(r *round, a *Append) error {
	next := r.next
	for rest := a.Batches; len(rest) > 0; {
		b, more, err := record.Next(rest)
		if err != nil {
			return fmt.Errorf("replicating %s: %w: %w", l, protocol.CorruptMessage, err)
		}
		if b.BaseOffset() < next {
			return fmt.Errorf("replicating %s: a batch at offset %d behind log end %d: %w",
				l, b.BaseOffset(), next, protocol.OffsetOutOfRange)
		}
		if len(rest) == len(a.Batches) {
			a.BaseOffset = b.BaseOffset()
		}
		next = b.NextOffset()
		rest = more
	}
	a.LastOffset = next - 1
	if err := l.admit(a, r.nowMs); err != nil {
		return fmt.Errorf("replicating %s: %w", l, err)
	}
	r.next = next
	return nil
}

// flush writes what was gathered, publishes it and finishes the appends.
func (l *Log) flush(r *round) {
	if len(r.items) == 0 {
		return
	}
	err := l.writeOut(r)
	if r.items[0].Vital && l.dir().tryAgain(err) {
		err = l.writeOut(r)
	}
	switch {
	case err != nil:
		l.abandon(r, l.writeFailed("appending to "+l.String(), err))
	case r.bytes > 0:
		l.publish(r)
	}
	for i, a := range r.items {
		a.Done(a)
		r.items[i] = nil
	}
	clear(r.bufs)
	r.items, r.bufs, r.bytes = r.items[:0], r.bufs[:0], 0
}

// writeOut writes the gathered batches at the end of the active segment. What a
// full disk took of them is cut off again. On success the file is held.
func (l *Log) writeOut(r *round) error {
	if r.bytes == 0 {
		return nil
	}
	seg := l.activeSegment()
	acquire := seg.handle.AcquireToWrite
	if r.items[0].Vital {
		acquire = seg.handle.Acquire
	}
	f, err := acquire()
	if err != nil {
		return err
	}
	_, err = f.WriteVec(r.bufs, seg.Size)
	if err != nil {
		if vfs.IsNoSpace(err) {
			if cutErr := f.Truncate(seg.Size); cutErr != nil {
				err = errors.Join(errBroken, cutErr)
			}
		}
		seg.handle.Release()
		return err
	}
	return nil
}

// errBroken says that a file is in a state the log cannot go on from.
var errBroken = errors.New("a partial write could not be taken back")

// writeFailed decides what a failed write means: a full disk refuses until there
// is space again, a lack of descriptors this once, everything else fails the
// directory.
func (l *Log) writeFailed(doing string, err error) error {
	if vfs.IsNoDescriptor(err) {
		return storageError(doing, err)
	}
	if vfs.IsNoSpace(err) && !errors.Is(err, errBroken) {
		l.dir().exhaust(err)
	} else {
		l.dir().fail(fmt.Errorf("%s: %w", doing, err))
	}
	return storageError(doing, err)
}

// abandon refuses the gathered appends: nothing of them was written.
func (l *Log) abandon(r *round, err error) {
	l.rollbackProducers() // they were told about batches that are not there
	r.next = l.end
	for _, a := range r.items {
		a.Err = err
	}
}

// publish makes the written batches part of the log.
func (l *Log) publish(r *round) {
	seg := l.activeSegment()
	l.commitProducers(seg)
	l.mu.Lock()
	records := r.next - l.end
	for _, a := range r.items {
		if !a.Duplicate {
			l.count(seg, a)
		}
	}
	l.end = r.next
	work := l.wrote(r.bytes, records, r.nowMs)
	listener, end := l.listener, l.end
	pinned := seg.pinned
	seg.pinned = true // the file stays open until it is synced, so that no error of it is lost
	l.mu.Unlock()
	if pinned {
		seg.handle.Release()
	}
	if listener != nil {
		listener.Appended(end)
	}
	l.m.arrange(l, work)
}

// count adds an append's batches to the segment's figures. l.mu is held.
func (l *Log) count(seg *segment, a *Append) {
	if l.tail == nil {
		l.tail = &index.Tail{}
	}
	for rest := a.Batches; len(rest) > 0; {
		b, more, err := record.Next(rest)
		if err != nil {
			return // staged batches are complete
		}
		l.tail.Add(index.Boundary{Offset: b.BaseOffset(), Position: seg.Size})
		seg.Add(b, l.set.indexInterval)
		l.noteEpoch(b.PartitionLeaderEpoch(), b.BaseOffset())
		rest = more
	}
}
