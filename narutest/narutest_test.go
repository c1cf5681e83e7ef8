package narutest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/narutest"
)

func TestNodeStoresAndReturnsRecordsInOrder(t *testing.T) {
	node := narutest.Start(t, "num.partitions=3")
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.AllowAutoTopicCreation(),
		kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const n = 1000
	for i := range n {
		client.Produce(t.Context(), &kgo.Record{Topic: "orders", Key: fmt.Append(nil, i%7), Value: fmt.Append(nil, i)},
			func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
	}
	last := map[string]int{}
	for got := 0; got < n; {
		fetches := client.PollFetches(t.Context())
		for _, e := range fetches.Errors() {
			t.Fatal(e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			var v int
			fmt.Sscan(string(r.Value), &v)
			if before, ok := last[string(r.Key)]; ok && v != before+7 {
				t.Errorf("key %s: %d after %d", r.Key, v, before)
			}
			last[string(r.Key)] = v
		})
	}
}

func TestNodeIsReadyInMilliseconds(t *testing.T) {
	begin := time.Now()
	narutest.Start(t)
	t.Logf("ready after %s", time.Since(begin))
}
