package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// transactional returns a producer in transactions.
func (s suite) transactional(id string) *kgo.Client {
	return s.client(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))
}

// transact writes ten records named name in a transaction and ends it. franz-go commits
// offsets in transactions through its sessions only; see transactions.
func transact(ctx context.Context, cl *kgo.Client, topic, name string, end kgo.TransactionEndTry) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	var rs []*kgo.Record
	for i := range 10 {
		rs = append(rs, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%s-%d", name, i)})
	}
	if err := cl.ProduceSync(ctx, rs...).FirstErr(); err != nil {
		return errors.Join(err, cl.EndTransaction(ctx, kgo.TryAbort))
	}
	return cl.EndTransaction(ctx, end)
}

// transactions commits, aborts, commits offsets and fences.
func (s suite) transactions(ctx context.Context) error {
	topic, err := s.newTopic(ctx, "transactions", 1, nil)
	if err != nil {
		return err
	}
	a := s.transactional(topic)
	defer a.Close()
	for _, t := range []struct {
		name string
		end  kgo.TransactionEndTry
	}{{"first", kgo.TryCommit}, {"aborted", kgo.TryAbort}, {"second", kgo.TryCommit}} {
		if err := transact(ctx, a, topic, t.name, t.end); err != nil {
			return fmt.Errorf("transaction %s: %w", t.name, err)
		}
	}
	if err := s.committedOnly(ctx, topic, "first", "second"); err != nil {
		return err
	}
	if err := s.offsetsInTransaction(ctx, topic); err != nil {
		return fmt.Errorf("offsets in a transaction: %w", err)
	}
	b := s.transactional(topic)
	defer b.Close()
	if err := transact(ctx, b, topic, "third", kgo.TryCommit); err != nil {
		return fmt.Errorf("the newer producer: %w", err)
	}
	if err := transact(ctx, a, topic, "fenced", kgo.TryCommit); err == nil {
		return errors.New("the older producer of the id could commit")
	}
	return s.committedOnly(ctx, topic, "first", "second", "third")
}

// committedOnly checks that a reader of committed records sees exactly the transactions.
func (s suite) committedOnly(ctx context.Context, topic string, names ...string) error {
	cl := s.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	got, err := poll(ctx, cl, 10*len(names))
	if err != nil {
		return err
	}
	for i, r := range got {
		if want := fmt.Sprintf("%s-%d", names[i/10], i%10); string(r.Value) != want {
			return fmt.Errorf("record %d is %q, want %q", i, r.Value, want)
		}
	}
	return nil
}

// offsetsInTransaction reads the topic in a session that aborts once and commits then.
func (s suite) offsetsInTransaction(ctx context.Context, topic string) error {
	out, err := s.newTopic(ctx, "transactions-out", 1, nil)
	if err != nil {
		return err
	}
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(s.addr), kgo.TransactionalID(out), kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer session.Close()
	for n, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		got, err := poll(ctx, session.Client(), 20)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(string(got[0].Value), "first") {
			return fmt.Errorf("try %d begins with %q", n, got[0].Value)
		}
		if err := session.Begin(); err != nil {
			return err
		}
		if err := session.ProduceSync(ctx, &kgo.Record{Topic: out, Value: []byte("x")}).FirstErr(); err != nil {
			return err
		}
		if committed, err := session.End(ctx, end); err != nil || committed != bool(end) {
			return fmt.Errorf("ended committed=%v: %w", committed, err)
		}
	}
	adm := kadm.NewClient(s.client())
	defer adm.Close()
	offsets, err := adm.FetchOffsets(ctx, topic)
	if err != nil {
		return err
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return err
	}
	end, _ := ends.Lookup(topic, 0)
	if o, ok := offsets.Lookup(topic, 0); !ok || o.At < 22 || o.At > end.Offset { // two markers stand between the records
		return fmt.Errorf("committed offset %+v, want the end %d", o, end.Offset)
	}
	return nil
}

// consumerProtocol does with the protocol of KIP-848 what rebalance does. There are no
// static members in it: franz-go 1.22.2 does not tell its instance id when it goes, so
// that its place is not free before its session has timed out.
func (s suite) consumerProtocol(ctx context.Context) error {
	if err := s.rebalanceAs(ctx, "consumer-protocol", kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())); err != nil {
		return err
	}
	topic := s.topic("consumer-protocol")
	adm := kadm.NewClient(s.client())
	defer adm.Close()
	described, err := adm.DescribeConsumerGroups(ctx, topic)
	if err != nil {
		return err
	}
	if g := described[topic]; g.Err != nil || g.State != "Empty" {
		return fmt.Errorf("the consumer group is described as %+v", g)
	}
	offsets, err := adm.FetchOffsets(ctx, topic)
	if err != nil {
		return err
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != 300 {
		return fmt.Errorf("committed offsets sum to %d, want 300", sum)
	}
	return nil
}
