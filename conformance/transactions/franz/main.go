// Command franz is the chain of the proof in franz-go: it reads topic in as a group and
// writes every value to topic out in transactions, some of which it aborts.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: franz ADDRESS TRANSACTIONAL-ID ABORT-ONE-IN SEED")
		os.Exit(2)
	}
	oneIn, errOneIn := strconv.Atoi(os.Args[3])
	seed, errSeed := strconv.ParseUint(os.Args[4], 10, 64)
	if errOneIn != nil || errSeed != nil {
		fmt.Fprintln(os.Stderr, "ABORT-ONE-IN and SEED are numbers")
		os.Exit(2)
	}
	if err := chain(os.Args[1], os.Args[2], oneIn, rand.New(rand.NewPCG(seed, 1))); err != nil {
		fmt.Println("fatal", err)
		os.Exit(1)
	}
}

func chain(addr, id string, oneIn int, rng *rand.Rand) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(addr), kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Second),
		kgo.ConsumerGroup("chain"), kgo.ConsumeTopics("in"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(2*time.Second), kgo.HeartbeatInterval(300*time.Millisecond), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	ctx := context.Background()
	for {
		fetches := session.PollRecords(ctx, 20)
		for _, e := range fetches.Errors() {
			fmt.Println("error", e.Topic, e.Partition, e.Err)
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := transform(ctx, session, fetches, rng.IntN(oneIn) == 0); err != nil {
			return err
		}
	}
}

// transform writes what was read in one transaction, and aborts it if asked to or if a
// record could not be written.
func transform(ctx context.Context, session *kgo.GroupTransactSession, fetches kgo.Fetches, abort bool) error {
	if err := session.Begin(); err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	promise := kgo.AbortingFirstErrPromise(session.Client())
	fetches.EachRecord(func(r *kgo.Record) {
		session.Produce(ctx, &kgo.Record{Topic: "out", Partition: r.Partition, Key: r.Key, Value: r.Value}, promise.Promise())
	})
	if abort { // what was written reaches the broker, and is taken back
		if err := session.Client().Flush(ctx); err != nil {
			return fmt.Errorf("flushing: %w", err)
		}
	}
	failed := promise.Err()
	committed, err := session.End(ctx, kgo.TransactionEndTry(!abort && failed == nil))
	switch {
	case err != nil:
		return fmt.Errorf("ending: %w", err)
	case committed:
		fmt.Println("committed")
	case abort && failed == nil:
		fmt.Println("aborted")
	default:
		fmt.Println("gave up", failed)
	}
	return nil
}
