package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// load describes producers that send as fast as answers come back.
type load struct {
	topic       string
	partitions  int
	connections int
	inFlight    int // requests of a connection that wait for answers
	acks        int16
	recordSize  int
	batch       int // records in a request
	codec       compress.Codec
	idempotent  bool
	duration    time.Duration
	bytes       int64 // stop after this many bytes of records, 0 for no limit
	// bytesPerSecond holds all connections together to a rate, 0 for none.
	bytesPerSecond int64
	stop           *atomic.Bool // ends the load early, if set
}

// result is what a load achieved, with the broker's cost of it.
type result struct {
	requests, records, bytes int64
	seconds, cpuSeconds      float64
	p50, p99, p999           time.Duration
	rss                      int64
}

// run sends the load to the broker and measures it.
func (l load) run(b *broker) (result, error) {
	var wg sync.WaitGroup
	var sent atomic.Int64
	producers := make([]*producer, l.connections)
	for i := range producers {
		p, err := newProducer(b.addr, l, i)
		if err != nil {
			return result{}, err
		}
		defer p.close()
		producers[i] = p
	}
	before, err := usageOf(b.cmd.Process.Pid)
	if err != nil {
		return result{}, err
	}
	begin := time.Now()
	errs := make([]error, len(producers))
	for i, p := range producers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = p.run(begin.Add(l.duration), &sent)
		}()
	}
	wg.Wait()
	seconds := time.Since(begin).Seconds()
	after, err := usageOf(b.cmd.Process.Pid)
	if err := errors.Join(append(errs, err)...); err != nil {
		return result{}, err
	}
	return l.sum(producers, result{seconds: seconds, cpuSeconds: after.cpuSeconds - before.cpuSeconds, rss: after.rssBytes}), nil
}

func (l load) sum(producers []*producer, r result) result {
	var latencies []time.Duration
	for _, p := range producers {
		r.requests += p.answered
		latencies = append(latencies, p.latencies...)
	}
	r.records = r.requests * int64(l.batch)
	r.bytes = r.records * int64(l.recordSize)
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		at := func(q float64) time.Duration { return latencies[min(n-1, int(q*float64(n)))] }
		r.p50, r.p99, r.p999 = at(0.5), at(0.99), at(0.999)
	}
	return r
}

// producer is one connection with requests encoded beforehand, one a partition.
type producer struct {
	load
	c         *conn
	frames    []frame
	answered  int64
	latencies []time.Duration
	started   []time.Time // by correlation id, modulo inFlight
}

// frame is an encoded Produce request; where its batch begins is known, so that a
// sequence can be written into it.
type frame struct {
	bytes    []byte
	batch    record.Batch // aliases bytes
	sequence int32
}

const produceVersion = 9

func newProducer(addr string, l load, index int) (*producer, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	p := &producer{load: l, c: c, started: make([]time.Time, l.inFlight)}
	spec := record.DefaultSpec()
	spec.Codec, spec.Level = l.codec, l.codec.DefaultLevel()
	if l.idempotent {
		id := &protocol.InitProducerIdResponse{}
		if err := c.ask(&protocol.InitProducerIdRequest{TransactionTimeoutMs: 60000, ProducerId: -1, ProducerEpoch: -1}, 3, id); err != nil {
			return nil, err
		}
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = id.ProducerId, id.ProducerEpoch, 0
	}
	// Each connection starts at another partition and visits all in turn.
	for i := range l.partitions {
		f, err := l.encode(int32((i+index)%l.partitions), spec, int64(index))
		if err != nil {
			return nil, err
		}
		p.frames = append(p.frames, f)
	}
	return p, nil
}

// encode builds the request for one partition. Values are text-like: random words
// compress as real data does.
func (l load) encode(partition int32, spec record.Spec, seed int64) (frame, error) {
	random := rand.New(rand.NewPCG(uint64(seed), uint64(partition)))
	var builder record.Builder
	builder.Reset(spec)
	now := time.Now().UnixMilli()
	for range l.batch {
		if err := builder.Append(now, nil, words(random, l.recordSize)); err != nil {
			return frame{}, err
		}
	}
	batch, err := builder.Build(nil)
	if err != nil {
		return frame{}, err
	}
	request := &protocol.ProduceRequest{Acks: l.acks, TimeoutMs: 30000, TopicData: []protocol.ProduceRequestTopicProduceData{{
		Name:          l.topic,
		PartitionData: []protocol.ProduceRequestPartitionProduceData{{Index: partition, Records: batch}},
	}}}
	encoded := encode(request, produceVersion, 0)
	at := len(encoded) - len(batch) - 3 // three empty tag sections end the request
	return frame{bytes: encoded, batch: record.Batch(encoded[at : at+len(batch)])}, nil
}

func words(r *rand.Rand, n int) []byte {
	const letters = "etaoinshrdlucmfwypvbgkjqxz"
	out := make([]byte, 0, n+16)
	for len(out) < n {
		start := r.IntN(8)
		for i := range 2 + r.IntN(7) {
			out = append(out, letters[(start+i*i)%len(letters)])
		}
		out = append(out, ' ')
	}
	return out[:n]
}

func (p *producer) close() { p.c.close() }

// run keeps inFlight requests under way until the deadline or the byte limit.
func (p *producer) run(deadline time.Time, sent *atomic.Int64) error {
	requestBytes := int64(p.batch * p.recordSize)
	issued, buf, begin := int64(0), []byte(nil), time.Now()
	open := true
	for {
		for open && issued-p.answered < int64(p.inFlight) {
			p.pace(begin, issued, requestBytes)
			if time.Now().After(deadline) || p.stop != nil && p.stop.Load() || p.bytes > 0 && sent.Add(requestBytes) > p.bytes {
				open = false
				break
			}
			if err := p.send(issued); err != nil {
				return err
			}
			issued++
		}
		if issued == p.answered {
			return nil
		}
		var err error
		if buf, err = p.receive(buf); err != nil {
			return err
		}
	}
}

// pace waits until it is time for the request.
func (p *producer) pace(begin time.Time, request, requestBytes int64) {
	if p.bytesPerSecond > 0 {
		seconds := float64(request*requestBytes*int64(p.connections)) / float64(p.bytesPerSecond)
		<-time.After(time.Until(begin.Add(time.Duration(seconds * float64(time.Second)))))
	}
}

func (p *producer) send(n int64) error {
	f := &p.frames[n%int64(len(p.frames))]
	// Length 4, key 2, version 2, then the correlation id.
	binary.BigEndian.PutUint32(f.bytes[8:], uint32(n))
	if p.idempotent {
		f.batch.SetProducer(f.batch.ProducerID(), f.batch.ProducerEpoch(), f.sequence)
		f.sequence += int32(p.batch)
	}
	p.started[n%int64(p.inFlight)] = time.Now()
	_, err := p.c.nc.Write(f.bytes)
	return err
}

// receive reads one answer and checks that it says what was hoped for.
func (p *producer) receive(buf []byte) ([]byte, error) {
	buf, err := p.c.read(buf)
	if err != nil {
		return buf, fmt.Errorf("after %d answers: %w", p.answered, err)
	}
	id, body, err := protocol.ParseResponseHeader(buf, protocol.KeyProduce, produceVersion)
	if err != nil || int64(id) != p.answered {
		return buf, fmt.Errorf("answer %d has correlation id %d: %w", p.answered, id, err)
	}
	var response protocol.ProduceResponse
	if err := response.Decode(body, produceVersion); err != nil {
		return buf, err
	}
	if code := response.Responses[0].PartitionResponses[0].ErrorCode; code != protocol.None {
		return buf, fmt.Errorf("after %d answers: %w", p.answered, code)
	}
	p.latencies = append(p.latencies, time.Since(p.started[p.answered%int64(p.inFlight)]))
	p.answered++
	return buf, nil
}
