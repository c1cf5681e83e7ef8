// Package load keeps a server busy while it is being killed: producers of several kinds, a consumer
// group, commits, deletions of records, topics that come and go. Everything goes on through the crash,
// and everything that the server acknowledges is written into the ledger.
package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/conformance/internal/crash/ledger"
	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// Topic is one of the topics that stay.
type Topic struct {
	Name       string
	Partitions int32
	Settings   map[string]string
	Trimmed    bool // records are deleted from its start, by request or by retention
}

// Topics are the topics that stay, small and large segments, retention, deletion by request, a sync for
// each append. Apache Kafka allows no segment.bytes below 1 MiB.
var Topics = []Topic{
	{Name: "small", Partitions: 4, Settings: map[string]string{"segment.bytes": "1048576", "index.interval.bytes": "512"}},
	{Name: "large", Partitions: 4},
	{Name: "flushed", Partitions: 2, Settings: map[string]string{"flush.messages": "1", "segment.bytes": "1048576"}},
	{Name: "retained", Partitions: 2, Trimmed: true, Settings: map[string]string{
		"segment.bytes": "1048576", "retention.bytes": "2097152", "file.delete.delay.ms": "300"}},
	{Name: "trimmed", Partitions: 2, Trimmed: true, Settings: map[string]string{"segment.bytes": "1048576", "file.delete.delay.ms": "300"}},
}

// kind is one producer: how it sends and what.
type kind struct {
	name       string
	topics     []string
	idempotent bool
	acks       kgo.Acks
	codec      kgo.CompressionCodec
	keyed      bool
	linger     time.Duration
	batchBytes int32
	minSize    int
	maxSize    int
	burst      int     // most records sent at once
	share      float64 // of the rate
	alone      bool    // waits for each record's acknowledgement
}

var all = kgo.AllISRAcks()

var kinds = []kind{
	{name: "idempotent", topics: []string{"small"}, idempotent: true, acks: all, codec: kgo.NoCompression(), minSize: 40, maxSize: 300, burst: 200, share: 1},
	{name: "idempotent-lz4-keys", topics: []string{"large"}, idempotent: true, acks: all, codec: kgo.Lz4Compression(), keyed: true, linger: 5 * time.Millisecond, minSize: 100, maxSize: 1000, burst: 400, share: 1},
	{name: "idempotent-zstd", topics: []string{"small", "large"}, idempotent: true, acks: all, codec: kgo.ZstdCompression(), linger: 20 * time.Millisecond, minSize: 20, maxSize: 600, burst: 900, share: 1},
	{name: "idempotent-snappy", topics: []string{"retained"}, idempotent: true, acks: all, codec: kgo.SnappyCompression(), batchBytes: 32 << 10, minSize: 500, maxSize: 2500, burst: 100, share: 0.4},
	{name: "idempotent-gzip", topics: []string{"trimmed"}, idempotent: true, acks: all, codec: kgo.GzipCompression(), keyed: true, batchBytes: 16 << 10, minSize: 200, maxSize: 2500, burst: 100, share: 0.3},
	{name: "idempotent-big", topics: []string{"large"}, idempotent: true, acks: all, codec: kgo.NoCompression(), minSize: 100_000, maxSize: 900_000, burst: 2, share: 0.001},
	{name: "idempotent-alone", topics: []string{"flushed"}, idempotent: true, acks: all, codec: kgo.NoCompression(), minSize: 30, maxSize: 200, burst: 1, share: 1, alone: true},
	{name: "acks1", topics: []string{"small"}, acks: kgo.LeaderAck(), codec: kgo.NoCompression(), minSize: 40, maxSize: 300, burst: 200, share: 1},
	{name: "acksall", topics: []string{"large"}, acks: all, codec: kgo.NoCompression(), keyed: true, batchBytes: 8 << 10, minSize: 40, maxSize: 300, burst: 300, share: 1},
	{name: "acks1-lz4", topics: []string{"flushed", "retained"}, acks: kgo.LeaderAck(), codec: kgo.Lz4Compression(), minSize: 100, maxSize: 500, burst: 200, share: 0.5},
	{name: "acksall-zstd", topics: []string{"trimmed"}, acks: all, codec: kgo.ZstdCompression(), linger: 10 * time.Millisecond, minSize: 100, maxSize: 500, burst: 200, share: 0.5},
}

// Describe names the producers to the ledger.
func Describe() []ledger.Producer {
	var list []ledger.Producer
	for _, k := range kinds {
		list = append(list, ledger.Producer{Name: k.name, Idempotent: k.idempotent, Keyed: k.keyed})
	}
	return list
}

// Config is what the load needs.
type Config struct {
	Addr   string
	Ledger *ledger.Ledger
	Rate   int // records a second of a producer with share 1
	Rand   *rand.Rand
	Notes  *Notes
}

// Notes counts what clients met that is no violation but worth telling.
type Notes struct {
	mu     sync.Mutex
	counts map[string]int
}

// Add counts one.
func (n *Notes) Add(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts == nil {
		n.counts = map[string]int{}
	}
	n.counts[what]++
}

// All returns the counts.
func (n *Notes) All() map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string]int{}
	for what, count := range n.counts {
		all[what] = count
	}
	return all
}

// reconnect is how fast clients come back after a crash: at once, so that the server starts under load.
func reconnect(tries int) time.Duration {
	return min(time.Duration(tries)*5*time.Millisecond, 50*time.Millisecond)
}

func options(addr string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(addr), kgo.RetryBackoffFn(reconnect), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryTimeout(10 * time.Minute), kgo.RequestRetries(1 << 20), kgo.RequestTimeoutOverhead(20 * time.Second),
	}
}

// Producers are the running producers.
type Producers struct {
	cfg     Config
	sent    []atomic.Int64
	clients []*kgo.Client
	running sync.WaitGroup
	stop    context.CancelFunc
}

// StartProducers starts all producers; they go on until Finish.
func StartProducers(ctx context.Context, cfg Config) (*Producers, error) {
	ctx, stop := context.WithCancel(ctx)
	p := &Producers{cfg: cfg, sent: make([]atomic.Int64, len(kinds)), stop: stop}
	for i, k := range kinds {
		client, err := kgo.NewClient(append(options(cfg.Addr), k.options(cfg)...)...)
		if err != nil {
			stop()
			return nil, fmt.Errorf("producer %s: %w", k.name, err)
		}
		p.clients = append(p.clients, client)
		random := rand.New(rand.NewPCG(cfg.Rand.Uint64(), uint64(i)))
		p.running.Go(func() { p.run(ctx, i, random) })
	}
	return p, nil
}

func (k kind) options(cfg Config) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.RequiredAcks(k.acks), kgo.ProducerBatchCompression(k.codec), kgo.ProducerLinger(k.linger),
		kgo.MaxBufferedRecords(2000), kgo.UnknownTopicRetries(-1),
		kgo.ProducerOnDataLossDetected(func(topic string, partition int32) {
			cfg.Ledger.Violate("producer state", fmt.Sprintf("%s-%d", topic, partition),
				"producer %s was told that its sequence does not follow (OUT_OF_ORDER_SEQUENCE_NUMBER or UNKNOWN_PRODUCER_ID)", k.name)
		}),
	}
	if k.batchBytes > 0 {
		opts = append(opts, kgo.ProducerBatchMaxBytes(k.batchBytes))
	}
	if !k.idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	if !k.keyed {
		opts = append(opts, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	}
	return opts
}

// run sends bursts of records until ctx ends.
func (p *Producers) run(ctx context.Context, i int, random *rand.Rand) {
	k, rate := kinds[i], float64(p.cfg.Rate)*kinds[i].share
	began, count := time.Now(), 0
	for ctx.Err() == nil {
		for range 1 + random.IntN(k.burst) {
			p.send(i, random)
			count++
		}
		ahead := time.Duration(float64(count)/rate*float64(time.Second)) - time.Since(began)
		if ahead < -time.Second { // a crash stopped it: no catching up
			began, count = time.Now(), 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(0, ahead)):
		}
	}
}

// send hands one record to the client. It is not cancelled: a record that was begun is acknowledged, so
// that each sequence number must be found in the end.
func (p *Producers) send(i int, random *rand.Rand) {
	k, seq := kinds[i], p.sent[i].Add(1)-1
	r := &kgo.Record{Topic: k.topics[int(seq)%len(k.topics)]}
	r.Value = ledger.AppendValue(nil, i, seq, k.minSize+random.IntN(k.maxSize-k.minSize))
	if k.keyed {
		r.Key = ledger.AppendKey(nil, i, seq)
	}
	done := make(chan struct{})
	p.clients[i].Produce(context.Background(), r, func(r *kgo.Record, err error) {
		defer close(done)
		if err != nil {
			p.cfg.Ledger.Violate("producers go on", r.Topic, "producer %s gave up record %d: %v", k.name, seq, err)
			return
		}
		p.cfg.Ledger.Acked(wire.Partition{Topic: r.Topic, Index: r.Partition}, r.Offset, i, seq)
	})
	if k.alone {
		<-done
	}
}

// Finish stops sending, waits until everything sent is acknowledged and returns how much that was of
// each producer.
func (p *Producers) Finish(ctx context.Context) []int64 {
	p.stop()
	p.running.Wait()
	var sent []int64
	for i, client := range p.clients {
		if err := client.Flush(ctx); err != nil {
			p.cfg.Ledger.Violate("producers go on", p.cfg.Addr, "producer %s has %d records that are not acknowledged after the load: %v",
				kinds[i].name, client.BufferedProduceRecords(), err)
		}
		client.Close()
		sent = append(sent, p.sent[i].Load())
	}
	return sent
}

// Abort closes the producers at once.
func (p *Producers) Abort() {
	p.stop()
	for _, client := range p.clients {
		client.Close()
	}
	p.running.Wait()
}
