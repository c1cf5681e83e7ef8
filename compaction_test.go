package naru_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru"
)

// TestCompactedTopicKeepsTheLatestValueOfEachKey writes the same keys again and
// again and waits until the log holds little more than one record for each.
func TestCompactedTopicKeepsTheLatestValueOfEachKey(t *testing.T) {
	node, err := naru.Start(t.Context(), naru.Config{Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir(), "naru.durability": "os", "log.cleaner.backoff.ms": "20",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	policy, segment, ratio := "compact", "1048576", "0.01"
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{
		"cleanup.policy": &policy, "segment.bytes": &segment, "min.cleanable.dirty.ratio": &ratio,
	}, "t"); err != nil {
		t.Fatal(err)
	}
	const keys, rounds = 10, 60
	for round := range rounds {
		var records []*kgo.Record
		for k := range keys {
			records = append(records, &kgo.Record{Key: fmt.Append(nil, k), Value: fmt.Appendf(nil, "%d-%08000d", round, k)})
		}
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		n, last := readAll(t, node.Addr(), keys*rounds)
		for k := range keys {
			if want := fmt.Sprintf("%d-%08000d", rounds-1, k); last[fmt.Sprint(k)] != want {
				t.Fatalf("key %d has value %q, want %q", k, last[fmt.Sprint(k)], want)
			}
		}
		if n < keys*rounds/2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records are still there", n, keys*rounds)
		}
	}
}

// readAll reads the topic up to the offset end and returns how many records there
// were and each key's last value.
func readAll(t *testing.T, addr string, end int64) (n int, last map[string]string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	last = map[string]string{}
	for next := int64(0); next < end; {
		fetches := client.PollFetches(t.Context())
		for _, e := range fetches.Errors() {
			t.Fatal(e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			last[string(r.Key)], next = string(r.Value), r.Offset+1
		})
	}
	return n, last
}
