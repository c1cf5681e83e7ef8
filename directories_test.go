package naru

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// With several log directories the controller is told where every replica is, and what a
// directory that fails had loses its leader while the rest goes on.
func TestAFailedDirectoryTakesOnlyItsOwnPartitionsAway(t *testing.T) {
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	node, err := Start(t.Context(), Config{Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": strings.Join(dirs, ","), "log.segment.bytes": "1048576",
		"broker.heartbeat.interval.ms": "20",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close() // it cannot end in order
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordDeliveryTimeout(time.Second), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	until := func(what string, condition func() bool) {
		t.Helper()
		for !condition() {
			select {
			case <-ctx.Done():
				t.Fatalf("still waiting until %s", what)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	// in counts the partitions that the controller knows in each directory.
	in := func() (counts [2]int) {
		topic := node.publisher.Current().Topic("t")
		for index := range int32(topic.PartitionCount()) {
			p, _ := topic.Partition(index)
			for i, d := range node.logs.Dirs() {
				if p.Directories()[0] == d.DirectoryID {
					counts[i]++
				}
			}
		}
		return counts
	}
	until("the controller knows where the replicas are", func() bool { return in() == [2]int{2, 2} })

	// A file takes the place of the directory: no segment can be made in it any more.
	if err := errors.Join(os.Rename(dirs[1], dirs[1]+".gone"), os.WriteFile(dirs[1], nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 600_000)
	leaders := func() (n int) {
		for index := range int32(4) {
			if p, _ := node.publisher.Current().Topic("t").Partition(index); p.Leader == 1 {
				n++
			}
		}
		return n
	}
	until("the partitions of the directory have no leader", func() bool {
		for index := range int32(4) {
			client.Produce(ctx, &kgo.Record{Partition: index, Value: value}, func(*kgo.Record, error) {})
		}
		return leaders() == 2
	})
	for index := range int32(4) {
		if node.logs.Log("t", index).Dir() != dirs[0] {
			continue
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Partition: index, Value: value}).FirstErr(); err != nil {
			t.Errorf("partition %d is in the directory that works: %v", index, err)
		}
	}
}
