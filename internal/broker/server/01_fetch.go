package server

import (
	"math"
	"sync"
	"time"

	"github.com/naru-stream/naru/internal/broker/fetchsession"
	"github.com/naru-stream/naru/internal/broker/network"
	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// fetchCall is one Fetch request from its arrival to its answer. It is reused.
type fetchCall struct {
	broker  *Broker
	timeout purgatory.Entry
	watch   replica.Watch

	// mu guards the rest: an answer may be tried by the connection's goroutine, by
	// one that a partition's news started, and by the timeout.
	mu         sync.Mutex
	done       bool // answered, or not begun
	call       call
	request    protocol.FetchRequest
	session    *fetchsession.Context
	results    []fetchResult
	partitions []*replica.Partition
	writer     protocol.FetchResponseWriter
	inserts    []network.Insert
}

// fetchResult is what a fetch found in one partition.
type fetchResult struct {
	asked *fetchsession.Partition
	read  replica.ReadResult
	err   error
	// part is the partition's part of the answer; it is in the answer if told.
	part protocol.FetchResponsePartitionData
	told bool
}

// fetch answers with records, at once if there are min_bytes of them or something
// to complain about, else when there are, or when the client's patience ends.
func (b *Broker) fetch(c *call) {
	f, _ := b.fetches.Get().(*fetchCall)
	if f == nil {
		f = &fetchCall{broker: b, done: true}
		f.watch.Notify = func() { go f.wake() }
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.request.Decode(c.body, c.version()); err != nil {
		c.malformed(err)
		return
	}
	f.call = *c
	if f.tooMany() {
		c.respond(&protocol.FetchResponse{ErrorCode: protocol.InvalidRequest})
		return
	}
	session, code := b.sessions.Begin(&f.request, c.version(), nowMs(), randomID())
	if code != protocol.None {
		c.respond(&protocol.FetchResponse{ErrorCode: code})
		return
	}
	f.session, f.done = session, false
	f.resolve()
	if f.attempt(f.request.MaxWaitMs <= 0 || len(session.Partitions) == 0) {
		f.finish(true)
		return
	}
	b.Timer.Schedule(&f.timeout, time.Duration(f.request.MaxWaitMs)*time.Millisecond, f.expire)
	req := c.req
	req.OnClose(func() { go f.abandon(req) })
	f.watch.Add(f.partitions)
	f.watch.Arm()
	// What came before the watch was armed would go unnoticed.
	if f.attempt(false) {
		f.finish(b.Timer.Cancel(&f.timeout))
	}
}

// tooMany reports whether a request names far more partitions than there are: a
// partition that is named a thousand times would wait a thousand times.
func (f *fetchCall) tooMany() bool {
	n := 0
	for i := range f.request.Topics {
		n += len(f.request.Topics[i].Partitions)
	}
	return n > f.broker.image().PartitionCount()+spareFetchPartitions
}

// spareFetchPartitions is how many partitions that do not exist a fetch may name.
const spareFetchPartitions = 1000

// wake tries again after one of the partitions had news.
func (f *fetchCall) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return
	}
	f.watch.Arm()
	if f.attempt(false) {
		f.finish(f.broker.Timer.Cancel(&f.timeout))
	}
}

// expire answers with what there is.
func (f *fetchCall) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return
	}
	f.attempt(true)
	f.finish(true)
}

// abandon ends a fetch whose client has gone, unless it was answered meanwhile and
// the call serves another request by now.
func (f *fetchCall) abandon(req *network.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done || f.call.req != req {
		return
	}
	f.call.req.NoResponse()
	f.finish(f.broker.Timer.Cancel(&f.timeout))
}

// finish ends the call and lets it be reused if no timer holds it any more.
func (f *fetchCall) finish(ours bool) {
	f.done = true
	f.watch.Close()
	f.session.End()
	f.session, f.call = nil, call{}
	clear(f.results)
	clear(f.partitions)
	if ours && cap(f.results) <= maxPooledItems {
		f.broker.fetches.Put(f)
	}
}

// resolve finds the replicas of the partitions asked for.
func (f *fetchCall) resolve() {
	byID := f.call.version() >= 13
	f.results, f.partitions = f.results[:0], f.partitions[:0]
	for _, asked := range f.session.Partitions {
		p, err := f.broker.partitionFor(asked.Topic, asked.TopicID, asked.Index, byID)
		if err == nil && f.follows() {
			p, err = nil, protocol.NotLeaderOrFollower
		}
		if err == nil {
			f.partitions = append(f.partitions, p)
		}
		f.results = append(f.results, fetchResult{asked: asked, read: replica.ReadResult{Partition: p}, err: err})
	}
}

// follows reports whether the request comes from a replica. No partition has
// another replica than this broker's.
func (f *fetchCall) follows() bool {
	if f.call.version() >= firstReplicaStateVersion {
		return f.request.ReplicaState.ReplicaId >= 0
	}
	return f.request.ReplicaId >= 0
}

// firstReplicaStateVersion is the first version of Fetch that names a replica with
// its epoch (KIP-903).
const firstReplicaStateVersion = 15

// attempt reads all partitions and answers if that is enough, or if final is set.
// It reports whether it answered.
func (f *fetchCall) attempt(final bool) bool {
	left := min(int64(f.request.MaxBytes), f.broker.fetchMaxBytes)
	found, enough, atLeastOne := int64(0), final, true
	for i := range f.results {
		r := &f.results[i]
		if r.read.Partition == nil {
			enough = true // an error is news
			continue
		}
		r.err = r.read.Partition.Read(replica.ReadRequest{
			Offset:             r.asked.FetchOffset,
			MaxBytes:           int32(min(left, int64(r.asked.MaxBytes))),
			AtLeastOne:         atLeastOne,
			Committed:          f.request.IsolationLevel == readCommitted,
			CurrentLeaderEpoch: r.asked.CurrentLeaderEpoch,
			LastFetchedEpoch:   r.asked.LastFetchedEpoch,
		}, &r.read)
		size := r.read.Size()
		enough = enough || r.err != nil || r.read.Diverging()
		atLeastOne = atLeastOne && size == 0
		left = max(left-size, 0)
		found += size
	}
	if !enough && found < int64(f.request.MinBytes) {
		for i := range f.results {
			f.results[i].read.Release()
		}
		return false
	}
	f.answer()
	return true
}

// answer writes the response around the records, which stay in their files.
func (f *fetchCall) answer() {
	topics := f.choose()
	c := &f.call
	out := protocol.AppendResponseHeader(c.req.BufferFor(64+100*len(f.results)), c.header.APIKey, c.version(), c.header.CorrelationID)
	f.writer.Begin(out, c.version(), 0, protocol.None, f.session.SessionID(), topics)
	f.inserts = f.inserts[:0]
	for i := 0; i < len(f.results); {
		first := &f.results[i]
		end, n := f.sameTopic(i)
		if n > 0 {
			f.writer.Topic(first.asked.Topic, first.asked.TopicID, n)
		}
		for ; i < end; i++ {
			if r := &f.results[i]; r.told {
				f.writer.Partition(&r.part, int(r.read.Size()))
				if r.read.Size() > 0 {
					f.inserts = append(f.inserts, network.Insert{Range: r.read.Take()})
				}
			}
		}
	}
	f.writer.End(nil)
	for i, cut := range f.writer.Cuts() {
		f.inserts[i].At = cut.At
	}
	c.req.Respond(f.writer.Bytes(), f.inserts...)
	clear(f.inserts)
}

// choose builds every partition's part of the answer, decides whether it is told,
// and counts the runs of partitions of one topic that are.
func (f *fetchCall) choose() (topics int) {
	for i := range f.results {
		r := &f.results[i]
		size := r.read.Size()
		r.part = r.describe(f.request.IsolationLevel == readCommitted)
		r.told = f.session.News(r.asked, r.part.ErrorCode, r.part.HighWatermark, r.part.LogStartOffset, int(size), r.read.Diverging())
	}
	for i := 0; i < len(f.results); {
		end, n := f.sameTopic(i)
		if n > 0 {
			topics++
		}
		i = end
	}
	return topics
}

// sameTopic returns where the run of partitions of one topic ends that begins at
// i, and how many of them are told.
func (f *fetchCall) sameTopic(i int) (end, told int) {
	first := f.results[i].asked
	for end = i; end < len(f.results); end++ {
		if p := f.results[end].asked; p.Topic != first.Topic || p.TopicID != first.TopicID {
			break
		}
		if f.results[end].told {
			told++
		}
	}
	return end, told
}

// describe is a partition's part of the answer, without its records.
func (r *fetchResult) describe(committed bool) protocol.FetchResponsePartitionData {
	part := protocol.FetchResponsePartitionData{
		PartitionIndex: r.asked.Index, ErrorCode: protocol.CodeOf(r.err),
		HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1, PreferredReadReplica: -1,
		DivergingEpoch: protocol.FetchResponseEpochEndOffset{Epoch: -1, EndOffset: -1},
		CurrentLeader:  protocol.FetchResponseLeaderIdAndEpoch{LeaderId: -1, LeaderEpoch: -1},
		SnapshotId:     protocol.FetchResponseSnapshotId{EndOffset: -1, Epoch: -1},
	}
	if r.err != nil {
		if r.read.Partition == nil {
			part.AbortedTransactions = []protocol.FetchResponseAbortedTransaction{} // not null, as Kafka
		}
		return part
	}
	part.HighWatermark, part.LastStableOffset = r.read.HighWatermark, r.read.LastStableOffset
	part.LogStartOffset = r.read.LogStartOffset
	if r.read.Diverging() {
		part.DivergingEpoch.Epoch, part.DivergingEpoch.EndOffset = r.read.DivergingEpoch, r.read.DivergingEndOffset
	}
	if committed {
		part.AbortedTransactions = make([]protocol.FetchResponseAbortedTransaction, 0, len(r.read.Aborted))
		for _, a := range r.read.Aborted {
			part.AbortedTransactions = append(part.AbortedTransactions, protocol.FetchResponseAbortedTransaction{
				ProducerId: a.ProducerID, FirstOffset: a.FirstOffset,
			})
		}
	}
	return part
}

// maxFetchBytes bounds an answer whatever the settings say: its length is an int32.
const maxFetchBytes = math.MaxInt32 - 64<<20
