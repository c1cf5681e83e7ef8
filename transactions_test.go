package naru_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// txnTimeout bounds every test of this file.
const txnTimeout = 60 * time.Second

func txnContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), txnTimeout)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t *testing.T, node *naru.Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(node.Addr()), kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, ctx context.Context, node *naru.Node, partitions int32, topics ...string) {
	t.Helper()
	if _, err := kadm.NewClient(newClient(t, node)).CreateTopics(ctx, partitions, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
}

// readCommitted returns the values of a partition up to its last stable offset.
func readCommitted(t *testing.T, ctx context.Context, node *naru.Node, topic string, partition int32) []string {
	t.Helper()
	cl := newClient(t, node, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := offsets.Lookup(topic, partition)
	var values []string
	for next := int64(0); next < end.Offset; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
		})
	}
	return values
}

func produceTxn(t *testing.T, ctx context.Context, cl *kgo.Client, commit kgo.TransactionEndTry, topic string, values ...string) error {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	for i, v := range values {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte(v)}).FirstErr(); err != nil {
			return err
		}
	}
	return cl.EndTransaction(ctx, commit)
}

func TestReadCommittedSeesWhatIsCommittedAndNothingAborted(t *testing.T) {
	node, ctx := startNode(t), txnContext(t)
	createTopic(t, ctx, node, 2, "t")
	cl := newClient(t, node, kgo.TransactionalID("a"))
	var want []string
	for i := range 10 {
		value, commit := fmt.Sprint(i), kgo.TransactionEndTry(i%3 != 1)
		if err := produceTxn(t, ctx, cl, commit, "t", value, value); err != nil {
			t.Fatal(err)
		}
		if commit {
			want = append(want, value)
		}
	}
	for p := range int32(2) {
		waitCommitted(t, ctx, node, "t", p, want)
	}
}

// waitCommitted waits until exactly the values are visible: markers are written after
// the answer to EndTxn.
func waitCommitted(t *testing.T, ctx context.Context, node *naru.Node, topic string, partition int32, want []string) {
	t.Helper()
	for {
		got := readCommitted(t, ctx, node, topic, partition)
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		if len(got) >= len(want) || ctx.Err() != nil {
			t.Fatalf("%s-%d: committed are %v, want %v", topic, partition, got, want)
		}
	}
}

func TestANewInstanceFencesTheOld(t *testing.T) {
	node, ctx := startNode(t), txnContext(t)
	createTopic(t, ctx, node, 2, "t")
	zombie := newClient(t, node, kgo.TransactionalID("a"))
	if err := zombie.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := zombie.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("zombie")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := produceTxn(t, ctx, newClient(t, node, kgo.TransactionalID("a")), kgo.TryCommit, "t", "new"); err != nil {
		t.Fatal(err)
	}
	err := zombie.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("zombie again")}).FirstErr()
	if err == nil {
		err = zombie.EndTransaction(ctx, kgo.TryCommit)
	}
	if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
		t.Fatalf("the zombie is told %v", err)
	}
	waitCommitted(t, ctx, node, "t", 0, []string{"new"})
}

// transform reads topic "in" as a group and writes every value to "out" in
// transactions until n have been read, or ctx ends. Every third transaction is aborted.
func transform(ctx context.Context, node *naru.Node, id string, n func() bool, opts ...kgo.Opt) error {
	session, err := kgo.NewGroupTransactSession(append([]kgo.Opt{
		kgo.SeedBrokers(node.Addr()), kgo.TransactionalID(id), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("in"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DefaultProduceTopic("out"), kgo.MetadataMinAge(10 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		return err
	}
	defer session.Close()
	for round := 0; !n(); round++ {
		poll, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := session.PollRecords(poll, 7)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Value: r.Value}, nil)
		})
		if _, err := session.End(ctx, kgo.TransactionEndTry(round%3 != 2)); err != nil {
			return err
		}
	}
	return nil
}

func produceInput(t *testing.T, ctx context.Context, node *naru.Node, n int) {
	t.Helper()
	cl := newClient(t, node)
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: "in", Partition: int32(i % 2), Value: fmt.Appendf(nil, "%04d", i)})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// checkExactlyOnce wants every input in the committed output once.
func checkExactlyOnce(t *testing.T, ctx context.Context, node *naru.Node, n int) {
	t.Helper()
	seen := map[string]int{}
	for p := range int32(2) {
		for _, v := range readCommitted(t, ctx, node, "out", p) {
			seen[v]++
		}
	}
	for i := range n {
		if v := fmt.Sprintf("%04d", i); seen[v] != 1 {
			t.Errorf("input %s is in the output %d times", v, seen[v])
		}
	}
	if len(seen) != n {
		t.Errorf("%d different outputs, want %d", len(seen), n)
	}
}

// consumed tells how far the group has committed.
func consumed(t *testing.T, ctx context.Context, adm *kadm.Client) int64 {
	t.Helper()
	offsets, err := adm.FetchOffsets(ctx, "g")
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	return sum
}

func TestAChainOfTransactionsHandlesEveryRecordOnce(t *testing.T) {
	const n = 200
	node, ctx := startNode(t), txnContext(t)
	createTopic(t, ctx, node, 2, "in", "out")
	produceInput(t, ctx, node, n)
	adm := kadm.NewClient(newClient(t, node))
	err := transform(ctx, node, "chain", func() bool { return consumed(t, ctx, adm) == n })
	if err != nil {
		t.Fatal(err)
	}
	checkExactlyOnce(t, ctx, node, n)
}

// restarting is a node that can be stopped and started again on the same directory and
// address.
type restarting struct {
	t    *testing.T
	dir  string
	addr string
	*naru.Node
}

func startRestarting(t *testing.T) *restarting {
	r := &restarting{t: t, dir: t.TempDir(), addr: "localhost:0"}
	r.start()
	r.addr = r.Addr()
	t.Cleanup(r.stop)
	return r
}

func (r *restarting) start() {
	r.t.Helper()
	node, err := naru.Start(context.Background(), naru.Config{Properties: map[string]string{
		"listeners": "PLAINTEXT://" + r.addr, "log.dirs": r.dir, "group.initial.rebalance.delay.ms": "0",
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Node = node
}

func (r *restarting) stop() {
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
}

func TestAnOpenTransactionOutlivesARestart(t *testing.T) {
	node, ctx := startRestarting(t), txnContext(t)
	createTopic(t, ctx, node.Node, 2, "t")
	cl := newClient(t, node.Node, kgo.TransactionalID("a"))
	var want []string
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		before, after := fmt.Sprint("before ", i), fmt.Sprint("after ", i)
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(before)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		node.stop()
		node.start()
		waitCommitted(t, ctx, node.Node, "t", 0, want)
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(after)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
		if commit {
			want = append(want, before, after)
		}
	}
	waitCommitted(t, ctx, node.Node, "t", 0, want)
}

// TestChainsSurviveRestarts stops and starts the node at random moments while two
// members of a group transform records; a member that fails is started again with its
// transactional id.
func TestChainsSurviveRestarts(t *testing.T) {
	const n = 200
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 4))
			node, ctx := startRestarting(t), txnContext(t)
			createTopic(t, ctx, node.Node, 2, "in", "out")
			produceInput(t, ctx, node.Node, n)
			first := node.Node // its successors have its address
			adm := kadm.NewClient(newClient(t, first))
			var stop atomic.Bool
			var members sync.WaitGroup
			for m := range 2 {
				members.Go(func() {
					for !stop.Load() && ctx.Err() == nil {
						_ = transform(ctx, first, fmt.Sprint("chain-", m), stop.Load)
					}
				})
			}
			for range 3 {
				at := rng.Int64N(n)
				for start := time.Now(); consumed(t, ctx, adm) < at && time.Since(start) < time.Second; {
				}
				node.stop()
				node.start()
			}
			for consumed(t, ctx, adm) < n && ctx.Err() == nil {
			}
			stop.Store(true)
			members.Wait()
			checkExactlyOnce(t, ctx, node.Node, n)
		})
	}
}

// txnBatch is one record of a producer's transaction.
func txnBatch(t *testing.T, producerID int64, epoch int16, sequence int32) []byte {
	t.Helper()
	spec := record.DefaultSpec()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = producerID, epoch, sequence, true
	var b record.Builder
	b.Reset(spec)
	if err := b.Append(time.Now().UnixMilli(), nil, []byte("v")); err != nil {
		t.Fatal(err)
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRecordsOfATransactionThatIsNotUnderWayAreRefused(t *testing.T) {
	node, ctx := startNode(t), txnContext(t)
	createTopic(t, ctx, node, 2, "t")
	p := dial(t, node.Addr())
	ask := func(r protocol.Request, version int16) protocol.Message {
		t.Helper()
		m, err := p.ask(r, version)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	id := "a"
	ask(&protocol.FindCoordinatorRequest{KeyType: 1, CoordinatorKeys: []string{id}}, 4)
	var begun *protocol.InitProducerIdResponse
	for begun == nil || begun.ErrorCode == protocol.CoordinatorLoadInProgress || begun.ErrorCode == protocol.NotCoordinator {
		begun = ask(&protocol.InitProducerIdRequest{TransactionalId: &id, TransactionTimeoutMs: 1000, ProducerId: -1, ProducerEpoch: -1}, 4).(*protocol.InitProducerIdResponse)
	}
	produce := func(version int16, id *string, epoch int16, sequence int32) protocol.ErrorCode {
		t.Helper()
		r := &protocol.ProduceRequest{TransactionalId: id, Acks: -1, TimeoutMs: 5000}
		r.TopicData = []protocol.ProduceRequestTopicProduceData{{Name: "t", PartitionData: []protocol.ProduceRequestPartitionProduceData{
			{Index: 0, Records: txnBatch(t, begun.ProducerId, epoch, sequence)},
		}}}
		return ask(r, version).(*protocol.ProduceResponse).Responses[0].PartitionResponses[0].ErrorCode
	}
	unknown := "nobody"
	for _, c := range []struct {
		what    string
		version int16
		id      *string
		epoch   int16
		want    protocol.ErrorCode
	}{
		{"not added, an old client", 10, &id, 0, protocol.InvalidTxnState},
		{"not added", 11, &id, 0, protocol.TransactionAbortable},
		{"another epoch", 11, &id, 1, protocol.InvalidProducerEpoch},
		{"an id that nobody has", 11, &unknown, 0, protocol.InvalidProducerIdMapping},
		{"no id", 11, nil, 0, protocol.InvalidRequest},
		{"added by producing (KIP-890)", 12, &id, 0, protocol.None},
	} {
		if got := produce(c.version, c.id, c.epoch, 0); got != c.want {
			t.Errorf("%s, version %d: %s, want %s", c.what, c.version, got, c.want)
		}
	}
	if got := produce(11, &id, 0, 1); got != protocol.None {
		t.Errorf("the transaction is open here: %s", got)
	}
	described := ask(&protocol.DescribeProducersRequest{Topics: []protocol.DescribeProducersRequestTopicRequest{{Name: "t", PartitionIndexes: []int32{0}}}}, 0).(*protocol.DescribeProducersResponse)
	if got := described.Topics[0].Partitions[0].ActiveProducers; len(got) != 1 || got[0].CurrentTxnStartOffset != 0 || got[0].LastSequence != 1 || got[0].CoordinatorEpoch != -1 {
		t.Errorf("the partition remembers %+v", got)
	}
	end := ask(&protocol.EndTxnRequest{TransactionalId: id, ProducerId: begun.ProducerId, Committed: true}, 5).(*protocol.EndTxnResponse)
	if end.ErrorCode != protocol.None || end.ProducerEpoch != 1 {
		t.Errorf("the end: %+v", end)
	}
	for state := ""; state != "CompleteCommit" && ctx.Err() == nil; {
		m := ask(&protocol.DescribeTransactionsRequest{TransactionalIds: []string{id}}, 0)
		state = m.(*protocol.DescribeTransactionsResponse).TransactionStates[0].TransactionState
	}
	if got := produce(12, &id, 0, 2); got != protocol.InvalidProducerEpoch {
		t.Errorf("a late record of the transaction that has ended: %s", got)
	}
}
