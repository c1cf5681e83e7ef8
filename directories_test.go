package naru

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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
	until(t, "the controller knows where the replicas are", func() bool { return in() == [2]int{2, 2} })

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
	until(t, "the partitions of the directory have no leader", func() bool {
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

// Partitions are moved between log directories (KIP-113) at the rate that the brokers' settings
// allow, which may change meanwhile, and on over a restart. Clients go on.
func TestAPartitionIsMovedToAnotherDirectory(t *testing.T) {
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	properties := map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": strings.Join(dirs, ",")}
	node, client, admin := startAt(t, properties)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 600_000)
	produce := func() {
		t.Helper()
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	setRate := func(rate string) {
		t.Helper()
		change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "replica.alter.log.dirs.io.max.bytes.per.second", Value: &rate}}
		if answers, err := admin.AlterBrokerConfigs(t.Context(), change, 1); err != nil || answers[0].Err != nil {
			t.Fatal(answers, err)
		}
	}
	// at tells the sizes in both directories, and which is that of a copy.
	at := func() (sizes [2]int64, future int) {
		t.Helper()
		described, err := admin.DescribeBrokerLogDirs(t.Context(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		future = -1
		for i, dir := range dirs {
			if p, ok := described[dir].Topics["t"][0]; ok {
				if sizes[i] = p.Size; p.IsFuture {
					future = i
				}
			}
		}
		return sizes, future
	}
	produce()
	setRate("1") // a week for each record
	from := slices.Index(dirs, node.logs.Log("t", 0).Dir())
	to := 1 - from
	move := kadm.AlterReplicaLogDirsReq{}
	move.Add(dirs[to], kadm.TopicsSet{"t": {0: {}}, "nothing": {0: {}}})
	answers, err := admin.AlterBrokerReplicaLogDirs(t.Context(), 1, move)
	if err != nil {
		t.Fatal(err)
	}
	if got := answers["t"][0].Err; got != nil {
		t.Fatal(got)
	}
	if got := answers["nothing"][0].Err; !errors.Is(got, kerr.UnknownTopicOrPartition) {
		t.Errorf("a topic that is not there is moved with %v", got)
	}
	if sizes, future := at(); future != to || sizes[from] < 600_000 || sizes[to] >= 600_000 {
		t.Errorf("sizes %v, future %d, moved from %d to %d", sizes, future, from, to)
	}
	produce()
	client.Close()
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	node, client, admin = startAt(t, properties) // the move begins anew
	if _, future := at(); future != to {
		t.Errorf("after a restart there is a copy in %d", future)
	}
	produce()
	setRate("1000000000")
	until(t, "all is in the other directory", func() bool {
		sizes, future := at()
		return future < 0 && sizes[from] == 0 && sizes[to] > 1_800_000
	})
	until(t, "the controller knows", func() bool {
		p, _ := node.publisher.Current().Topic("t").Partition(0)
		return p.Directories()[0] == node.logs.Dirs()[to].DirectoryID
	})
	produce()
	client.AddConsumeTopics("t")
	for n := 0; n < 4; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		n += fetches.NumRecords()
	}
}

// until waits for what happens in the background.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); {
		select {
		case <-time.After(time.Until(end)):
			t.Fatalf("still waiting until %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// startAt starts a node that is closed with the test, and clients of it.
func startAt(t *testing.T, properties map[string]string) (*Node, *kgo.Client, *kadm.Client) {
	t.Helper()
	node, err := Start(t.Context(), Config{Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close() })
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return node, client, kadm.NewClient(client)
}
