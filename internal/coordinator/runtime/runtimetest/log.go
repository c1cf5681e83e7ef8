package runtimetest

import (
	"slices"
	"sync"

	"github.com/naru-stream/naru/internal/assert"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// Log is an internal topic in memory. It may be used from several goroutines.
type Log struct {
	mu         sync.Mutex
	partitions map[int32]*partition
	held       bool
	appendErr  error
}

type partition struct {
	batches   []record.Batch
	end       int64
	committed int64
	waiters   []waiter
}

type waiter struct {
	end  int64
	done func(error)
}

// Entry is one record of the log, or a marker that ends a transaction.
type Entry struct {
	Offset     int64
	Key, Value []byte

	ProducerID    int64 // -1 outside of transactions
	ProducerEpoch int16
	Transactional bool
	Marker        *record.EndTxnMarker // nil for a record
}

// NewLog returns an empty topic whose records are committed as they are written.
func NewLog() *Log { return &Log{partitions: make(map[int32]*partition)} }

func (l *Log) partition(id int32) *partition {
	p := l.partitions[id]
	if p == nil {
		p = &partition{}
		l.partitions[id] = p
	}
	return p
}

// Range implements runtime.Log.
func (l *Log) Range(id int32) (start, end int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, l.partition(id).end, nil
}

// Read implements runtime.Log.
func (l *Log) Read(id int32, offset int64, maxBytes int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []byte
	for _, b := range l.partition(id).batches {
		if b.NextOffset() <= offset {
			continue
		}
		if len(out) > 0 && len(out)+len(b) > maxBytes {
			break
		}
		out = append(out, b...)
	}
	return out, nil
}

// Append implements runtime.Log.
func (l *Log) Append(id, leaderEpoch int32, batches []byte) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.appendErr != nil {
		return 0, l.appendErr
	}
	p := l.partition(id)
	for rest := slices.Clone(batches); len(rest) > 0; {
		batch, next, err := record.Next(rest)
		assert.NoError(err, "reading a batch that is appended")
		rest = next
		batch.SetBaseOffset(p.end)
		batch.SetPartitionLeaderEpoch(leaderEpoch)
		p.batches = append(p.batches, slices.Clip(batch))
		p.end = batch.NextOffset()
	}
	if !l.held {
		p.committed = p.end
	}
	return p.end, nil
}

// AwaitCommitted implements runtime.Log.
func (l *Log) AwaitCommitted(id, _ int32, end int64, done func(error)) {
	l.mu.Lock()
	p := l.partition(id)
	if p.committed < end {
		p.waiters = append(p.waiters, waiter{end, done})
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	done(nil)
}

// Hold keeps the high watermark where it is until Release.
func (l *Log) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

// Release lets the high watermark follow the log end again.
func (l *Log) Release() {
	l.mu.Lock()
	l.held = false
	var ready []waiter
	for _, p := range l.partitions {
		p.committed = p.end
		ready = append(ready, p.waiters...)
		p.waiters = nil
	}
	l.mu.Unlock()
	for _, w := range ready {
		w.done(nil)
	}
}

// LoseLeadership fails everybody who waits for the high watermark.
func (l *Log) LoseLeadership(id int32) {
	l.mu.Lock()
	waiters := l.partition(id).waiters
	l.partition(id).waiters = nil
	l.mu.Unlock()
	for _, w := range waiters {
		w.done(protocol.NotLeaderOrFollower)
	}
}

// FailAppends makes every write fail with err, until it is nil again.
func (l *Log) FailAppends(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appendErr = err
}

// Clear forgets all records of all partitions.
func (l *Log) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.partitions)
}

// Batches returns how many batches the partition has.
func (l *Log) Batches(id int32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.partition(id).batches)
}

// Entries returns the records of the partition.
func (l *Log) Entries(id int32) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for _, b := range l.partition(id).batches {
		it, err := b.Iterate(nil)
		assert.NoError(err, "iterating a batch")
		for it.Next() {
			r := &it.Record
			e := Entry{
				Offset: r.Offset, Key: slices.Clone(r.Key), Value: slices.Clone(r.Value),
				ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), Transactional: b.IsTransactional(),
			}
			if b.IsControl() {
				marker, _, err := record.ParseEndTxn(r)
				assert.NoError(err, "reading a marker")
				e.Marker = &marker
			}
			out = append(out, e)
		}
		assert.NoError(it.Err(), "iterating a batch")
	}
	return out
}

// Compacted returns a log with the last record of every key, without tombstones: what
// the cleaner leaves in the end. Of aborted transactions nothing is left but the
// markers. From the first record of an open transaction on everything stays.
func (l *Log) Compacted() *Log {
	out := NewLog()
	for id := range l.partitions {
		entries := l.Entries(id)
		aborted, stable := decide(entries)
		last := make(map[string]int64)
		for _, e := range entries {
			if e.Marker == nil && !aborted[e.Offset] && e.Offset < stable {
				last[string(e.Key)] = e.Offset
			}
		}
		p := out.partition(id)
		for _, e := range entries {
			gone := e.Marker == nil && (aborted[e.Offset] || last[string(e.Key)] != e.Offset || e.Value == nil)
			if gone && e.Offset < stable {
				continue
			}
			p.batches = append(p.batches, e.batch())
			p.end = e.Offset + 1
		}
		p.committed = p.end
	}
	return out
}

// decide returns the offsets of aborted records and where the first open transaction
// begins.
func decide(entries []Entry) (aborted map[int64]bool, stable int64) {
	aborted = make(map[int64]bool)
	open := make(map[int64][]int64)
	for _, e := range entries {
		switch {
		case e.Marker != nil:
			for _, offset := range open[e.ProducerID] {
				aborted[offset] = e.Marker.Type == record.ControlAbort
			}
			delete(open, e.ProducerID)
		case e.Transactional:
			open[e.ProducerID] = append(open[e.ProducerID], e.Offset)
		}
		stable = e.Offset + 1
	}
	for _, offsets := range open {
		stable = min(stable, offsets[0])
	}
	return aborted, stable
}

// batch builds the batch of the entry alone.
func (e *Entry) batch() record.Batch {
	spec := record.DefaultSpec()
	spec.BaseOffset = e.Offset
	spec.ProducerID, spec.ProducerEpoch, spec.Transactional = e.ProducerID, e.ProducerEpoch, e.Transactional
	var builder record.Builder
	if e.Marker != nil {
		b, err := record.AppendEndTxn(nil, spec, *e.Marker, 0, &builder)
		assert.NoError(err, "building a marker")
		return b
	}
	builder.Reset(spec)
	assert.NoError(builder.Append(0, e.Key, e.Value), "building a batch")
	b, err := builder.Build(nil)
	assert.NoError(err, "building a batch")
	return b
}
