package server

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/broker/purgatory"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/storage/validate"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// produceCall is one Produce request while its appends are under way. It is
// reused: a steady stream of produce requests allocates nothing here.
type produceCall struct {
	broker    *Broker
	call      call
	request   protocol.ProduceRequest
	response  protocol.ProduceResponse
	validator validate.Validator
	nowMs     int64
	// items holds one entry for each partition of the request, in its order; spare
	// holds those of earlier, larger requests.
	items, spare []*produceItem

	pending  atomic.Int32 // appends not done yet, and one for the call itself
	answered atomic.Bool
	timeout  purgatory.Entry
	timed    bool // the timeout was scheduled
}

// produceItem is what became of one partition's records.
type produceItem struct {
	call   *produceCall
	append replica.Append
	done   atomic.Bool
	err    error
	// partition is set while the item's transaction is to be verified.
	partition *replica.Partition
}

// produce appends the records of a request to their partitions and answers when
// acks is satisfied for all of them, or the request's timeout has passed.
func (b *Broker) produce(c *call) {
	p, _ := b.calls.Get().(*produceCall)
	if p == nil {
		p = &produceCall{broker: b}
	}
	p.call = *c
	if err := p.request.Decode(c.body, c.version()); err != nil {
		b.calls.Put(p)
		c.malformed(err)
		return
	}
	// The log reads the records from the frame until every append is done, which
	// may be after the answer if that timed out.
	c.req.Retain()
	p.start()
}

func (p *produceCall) start() {
	n := 0
	for i := range p.request.TopicData {
		n += len(p.request.TopicData[i].PartitionData)
	}
	p.size(n)
	p.nowMs = nowMs()
	p.pending.Store(int32(n) + 1)
	n = 0
	for i := range p.request.TopicData {
		topic := &p.request.TopicData[i]
		for j := range topic.PartitionData {
			p.items[n].start(topic, &topic.PartitionData[j])
			n++
		}
	}
	// Only the wait for other replicas has a limit, as in Kafka: a leader that syncs
	// will answer or fail.
	if p.request.Acks == -1 && p.pending.Load() > 1 {
		p.timed = true
		p.broker.Timer.Schedule(&p.timeout, time.Duration(p.request.TimeoutMs)*time.Millisecond, p.respondOnce)
	}
	p.verify()
	p.release()
}

// size makes room for n items and resets them.
func (p *produceCall) size(n int) {
	for len(p.spare) < n {
		item := &produceItem{call: p}
		item.append.Done = func(a *replica.Append) { item.finish(a.Err) }
		p.spare = append(p.spare, item)
	}
	p.items = p.spare[:n]
	for _, item := range p.items {
		item.done.Store(false)
		item.err, item.partition = nil, nil
	}
}

// start validates one partition's records and hands them to the replica.
func (it *produceItem) start(topic *protocol.ProduceRequestTopicProduceData, data *protocol.ProduceRequestPartitionProduceData) {
	b, version := it.call.broker, it.call.call.version()
	partition, err := b.partitionFor(topic.Name, topic.TopicId, data.Index, version >= 13)
	if err == nil && isInternal(partition.Topic) {
		err = protocol.InvalidTopicException
	}
	if acks := it.call.request.Acks; err == nil && (acks < -1 || acks > 1) {
		err = protocol.InvalidRequiredAcks
	}
	if err != nil {
		it.finish(err)
		return
	}
	it.append.Acks = it.call.request.Acks
	batch, err := partition.Validate(&it.call.validator, data.Records, version, it.call.nowMs)
	if err != nil {
		it.finish(err)
		return
	}
	it.append.Log.Batches, it.append.Log.Guarded = batch, false
	if record.Batch(batch).IsTransactional() {
		it.appendInTransaction(partition)
		return
	}
	partition.Append(&it.append)
}

func (it *produceItem) finish(err error) {
	it.err = err
	it.done.Store(true)
	it.call.release()
}

// release counts one append, or the call itself, as done; the last answers.
func (p *produceCall) release() {
	if p.pending.Add(-1) > 0 {
		return
	}
	req := p.call.req
	// A timeout that cannot be cancelled is answering right now, and then the call is
	// not ours alone to reuse.
	ours := !p.timed || p.broker.Timer.Cancel(&p.timeout)
	p.respondOnce()
	req.Release()
	if ours && len(p.spare) <= maxPooledItems {
		p.timed = false
		p.answered.Store(false)
		p.call = call{}
		p.broker.calls.Put(p)
	}
}

func (p *produceCall) respondOnce() {
	if p.answered.CompareAndSwap(false, true) {
		p.respond()
	}
}

// maxPooledItems keeps a request with very many partitions from staying in memory.
const maxPooledItems = 1024

// respond builds the answer from what is done; what is not has timed out.
func (p *produceCall) respond() {
	c := &p.call
	if p.request.Acks == 0 {
		p.respondNothing()
		return
	}
	response := &p.response
	response.ThrottleTimeMs = 0
	n := 0
	response.Responses = resize(response.Responses, len(p.request.TopicData))
	for i := range p.request.TopicData {
		topic, out := &p.request.TopicData[i], &response.Responses[i]
		out.Name, out.TopicId = topic.Name, topic.TopicId
		out.PartitionResponses = resize(out.PartitionResponses, len(topic.PartitionData))
		for j := range topic.PartitionData {
			p.items[n].describe(&out.PartitionResponses[j], topic.PartitionData[j].Index)
			n++
		}
	}
	c.respond(response)
}

// respondNothing ends a request with acks=0: nothing is sent, but an error closes
// the connection, which is the only way to tell the client.
func (p *produceCall) respondNothing() {
	for _, it := range p.items {
		if it.err != nil {
			p.broker.log.Info("closing connection after a produce request with acks=0 was refused",
				"client_id", p.call.clientID(), "remote", p.call.req.Conn().RemoteAddr().String(), "error", it.err)
			p.call.req.CloseConnection()
			return
		}
	}
	p.call.req.NoResponse()
}

// describe fills in one partition's part of the answer.
func (it *produceItem) describe(out *protocol.ProduceResponsePartitionProduceResponse, index int32) {
	errors := out.RecordErrors[:0]
	*out = protocol.ProduceResponsePartitionProduceResponse{}
	out.SetDefaults()
	out.RecordErrors = errors
	out.Index, out.BaseOffset = index, -1
	switch {
	case !it.done.Load():
		out.ErrorCode = protocol.RequestTimedOut
	case it.err != nil:
		out.ErrorCode, out.ErrorMessage = protocol.CodeOf(it.err), errorMessage(it.err)
		out.RecordErrors = refusedRecords(out.RecordErrors, it.err)
	default:
		out.BaseOffset = it.append.Log.BaseOffset
		out.LogAppendTimeMs = it.append.Log.LogAppendTimeMs
		out.LogStartOffset = it.append.Log.LogStartOffset
	}
}

// refusedRecords names the records that made the whole batch be refused (v8+).
func refusedRecords(out []protocol.ProduceResponseBatchIndexAndErrorMessage, err error) []protocol.ProduceResponseBatchIndexAndErrorMessage {
	var refused *record.RecordErrors
	if !errors.As(err, &refused) {
		return out
	}
	for _, index := range refused.Indexes {
		out = append(out, protocol.ProduceResponseBatchIndexAndErrorMessage{BatchIndex: index, BatchIndexErrorMessage: ptr(refused.Reason.Error())})
	}
	return out
}

// resize returns s with length n, keeping what its elements own for reuse.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
