package replica

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/broker/storage/validate"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Append is one append to a partition and what becomes of it. The caller fills in
// Log.Batches (and what else of Log the append needs), Acks and Done, and must not
// touch them until Done is called. An Append may be reused after that; its inner
// callback is set up once, so that a reused Append costs no allocation.
type Append struct {
	// Log is the append as the log sees it; its results are there after Done.
	Log storage.Append
	// Acks is 1 to wait for this replica's own durability and -1 to wait until every
	// in-sync replica has the records; with 0 nothing is waited for.
	Acks int16
	// Err is nil, or wraps the protocol.ErrorCode of what went wrong.
	Err error
	// Done is called exactly once, from any goroutine, with no lock held. It must not
	// block.
	Done func(*Append)

	partition *Partition
	until     int64 // the high watermark that completes it
}

// Partition is this broker's replica of one topic partition.
type Partition struct {
	// Topic, TopicID and Index name the partition and never change.
	Topic   string
	TopicID protocol.UUID
	Index   int32

	log *storage.Log
	// durable means that only synced bytes are vouched for (durability mode group).
	durable atomic.Bool

	config atomic.Pointer[config.Topic]
	rules  atomic.Pointer[validate.Rules]

	highWatermark atomic.Int64 // a copy of state's, read without the lock
	leaderEpoch   atomic.Int32 // -1 where this broker does not lead

	mu      sync.Mutex
	state   state
	waiting waiting
	watches *link
	failed  error
}

// Log returns the partition's log. Its read methods may be used at will; appends
// go through Append.
func (p *Partition) Log() *storage.Log { return p.log }

// HighWatermark returns the offset below which records are committed.
func (p *Partition) HighWatermark() int64 { return p.highWatermark.Load() }

// LastStableOffset returns the offset below which read_committed consumers may
// read: the high watermark, or the first offset of the earliest transaction that
// is open below it. The first call after a start may read from disk.
func (p *Partition) LastStableOffset() (int64, error) {
	return p.log.LastStableOffset(p.highWatermark.Load())
}

// LeaderEpoch returns the epoch in which this broker leads the partition, or -1.
func (p *Partition) LeaderEpoch() int32 { return p.leaderEpoch.Load() }

// Config returns the topic's settings; they must not be changed.
func (p *Partition) Config() *config.Topic { return p.config.Load() }

// configure passes settings on to the log.
func (p *Partition) configure(d storage.Durability, cfg config.Topic) error {
	rules, err := validate.NewRules(&cfg)
	if err != nil {
		return fmt.Errorf("settings of topic %s: %w", p.Topic, err)
	}
	p.config.Store(&cfg)
	p.rules.Store(rules)
	p.log.SetConfig(cfg)
	p.log.SetDurability(d)
	p.durable.Store(d == storage.DurabilityGroup)
	if d == storage.DurabilityOS {
		p.advance(p.log.LogEndOffset())
	}
	return nil
}

// Validate checks what a producer sent and returns the batch to append, which may
// be another one where the topic wants another compression. It takes no lock; v is
// the caller's own. version is that of the Produce request.
func (p *Partition) Validate(v *validate.Validator, records []byte, version int16, nowMs int64) ([]byte, error) {
	rules := *p.rules.Load()
	rules.RefuseZstd = version < firstZstdVersion
	return v.Validate(records, &rules, nowMs)
}

// firstZstdVersion is the first version of Produce that may carry zstd (KIP-110).
const firstZstdVersion = 7

// DeleteRecordsBefore moves the log's start to offset, which must not be above the
// high watermark.
func (p *Partition) DeleteRecordsBefore(offset int64) error {
	_, err := p.log.DeleteRecordsBefore(offset)
	p.news()
	return err
}

// Append appends the batches in a.Log.Batches, which must have passed
// storage.Validate, and calls a.Done when a.Acks is satisfied. It never waits for
// a disk sync or another replica; it may write to the page cache on the calling
// goroutine, for this and for other appends.
func (p *Partition) Append(a *Append) {
	a.partition, a.Err = p, nil
	epoch := p.leaderEpoch.Load()
	if epoch < 0 {
		a.finish(protocol.NotLeaderOrFollower)
		return
	}
	if a.Acks == -1 {
		p.mu.Lock()
		ok := p.state.acceptsAll()
		p.mu.Unlock()
		if !ok {
			a.finish(protocol.NotEnoughReplicas)
			return
		}
	}
	if a.Log.Done == nil {
		a.Log.Done = func(*storage.Append) { a.written() }
	}
	a.Log.LeaderEpoch = epoch
	p.log.Append(&a.Log)
}

func (a *Append) finish(err error) {
	a.Err = err
	a.Done(a)
}

// written goes on after the log took the append, or refused it.
func (a *Append) written() {
	p := a.partition
	if a.Log.Err != nil || a.Acks == 0 || a.Acks == 1 && !p.durable.Load() {
		a.finish(a.Log.Err)
		return
	}
	a.await(a.Log.LastOffset + 1)
}

// await finishes the append when the high watermark reaches until.
func (a *Append) await(until int64) {
	p := a.partition
	a.until = until
	p.mu.Lock()
	switch {
	case p.failed != nil:
		err := p.failed
		p.mu.Unlock()
		a.finish(err)
	case p.state.highWatermark >= a.until:
		p.mu.Unlock()
		a.finish(nil)
	default:
		p.waiting.add(a)
		p.mu.Unlock()
	}
}

// Appended is called by the log when its end moved.
func (p *Partition) Appended(endOffset int64) {
	if !p.durable.Load() {
		p.advance(endOffset)
	}
}

// Durable is called by the log when a sync made the records below offset durable.
func (p *Partition) Durable(offset int64) {
	if p.durable.Load() {
		p.advance(offset)
	}
}

// Failed is called by the log when its directory failed: nothing is taken any more
// and whoever waits is told.
func (p *Partition) Failed(err error) {
	p.mu.Lock()
	p.failed = err
	done := p.waiting.take(1<<63-1, nil)
	watches := p.collectWatches(nil)
	p.mu.Unlock()
	for _, a := range done {
		a.finish(err)
	}
	for _, w := range watches {
		w.fire()
	}
}

// advance moves the high watermark to what this replica vouches for and wakes
// those who waited for it.
func (p *Partition) advance(localEnd int64) {
	var doneBuf [16]*Append
	var watchBuf [16]*Watch
	p.mu.Lock()
	if !p.state.advance(localEnd) {
		p.mu.Unlock()
		return
	}
	highWatermark := p.state.highWatermark
	p.highWatermark.Store(highWatermark)
	done := p.waiting.take(highWatermark, doneBuf[:0])
	watches := p.collectWatches(watchBuf[:0])
	p.mu.Unlock()
	p.log.OnHighWatermark(highWatermark)
	for _, a := range done {
		a.finish(nil)
	}
	for _, w := range watches {
		w.fire()
	}
}

func (p *Partition) collectWatches(into []*Watch) []*Watch {
	for l := p.watches; l != nil; l = l.next {
		into = append(into, l.watch)
	}
	return into
}

// news wakes the waiting fetches after a change other than new records.
func (p *Partition) news() {
	p.mu.Lock()
	watches := p.collectWatches(nil)
	p.mu.Unlock()
	for _, w := range watches {
		w.fire()
	}
}

// lead makes this broker the partition's leader in an epoch, or updates the
// in-sync set of the epoch it leads already.
func (p *Partition) lead(epoch int32, replicas, inSync, minInsyncReplicas int) {
	if epoch > p.log.LatestEpoch() {
		// Before the first append, so that later epochs always resolve (KIP-101).
		p.log.AssignEpoch(epoch)
	}
	end := p.log.LogEndOffset()
	if p.durable.Load() {
		end = p.log.DurableOffset()
	}
	p.mu.Lock()
	p.state.lead(epoch, replicas, inSync, minInsyncReplicas, end)
	p.highWatermark.Store(p.state.highWatermark)
	p.leaderEpoch.Store(epoch)
	highWatermark := p.state.highWatermark
	p.mu.Unlock()
	p.log.OnHighWatermark(highWatermark)
	p.news()
}

// resign ends this broker's leadership; appends that wait are told to look for the
// new leader.
func (p *Partition) resign(epoch int32) {
	p.mu.Lock()
	p.state.resign(epoch)
	p.leaderEpoch.Store(-1)
	done := p.waiting.take(1<<63-1, nil)
	p.mu.Unlock()
	for _, a := range done {
		a.finish(protocol.NotLeaderOrFollower)
	}
	p.news()
}
