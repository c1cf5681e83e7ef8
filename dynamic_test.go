package naru

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/naru-stream/naru/internal/kafka/config"
)

// startWithAdmin starts a node with these more settings, each a name and a value, and
// connects to it.
func startWithAdmin(t *testing.T, more ...string) (*Node, *kadm.Client) {
	t.Helper()
	properties := map[string]string{"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir()}
	for pair := range slices.Chunk(more, 2) {
		properties[pair[0]] = pair[1]
	}
	node, _, admin := startAt(t, properties)
	return node, admin
}

// Settings that a room keeps reach it when they change for the cluster or the broker,
// and go back to what the file says when they are taken away.
func TestRoomsFollowDynamicSettings(t *testing.T) {
	node, admin := startWithAdmin(t, "log.cleaner.backoff.ms", "20000")
	set := func(key, value string, brokers ...int32) {
		t.Helper()
		change := kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value}
		if value == "" {
			change = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key}
		}
		answers, err := admin.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{change}, brokers...)
		if err == nil {
			err = answers[0].Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	backoff := func() time.Duration { return node.cleaner.Config().Backoff }
	for _, c := range []struct {
		value   string
		brokers []int32
		want    time.Duration
	}{
		{"3000", nil, 3 * time.Second}, {"4000", []int32{1}, 4 * time.Second}, {"5000", nil, 4 * time.Second},
		{"", []int32{1}, 5 * time.Second}, {"", nil, 20 * time.Second},
	} {
		if set("log.cleaner.backoff.ms", c.value, c.brokers...); backoff() != c.want {
			t.Errorf("after setting %q for brokers %v the cleaner rests for %s, want %s", c.value, c.brokers, backoff(), c.want)
		}
	}

	// No room for one more connection from here, until the setting is taken away.
	set("max.connections.per.ip", "1")
	stranger, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.RequestRetries(0), kgo.RetryTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := stranger.Ping(t.Context()); err == nil {
		t.Error("a connection came in over max.connections.per.ip")
	}
	set("max.connections.per.ip", "")
	if err := stranger.Ping(t.Context()); err != nil {
		t.Errorf("the setting has gone, but %v", err)
	}
	configs, err := admin.DescribeBrokerConfigs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(configs[0].Configs, func(c kadm.Config) bool { return c.Key == "log.cleaner.backoff.ms" })
	if got := configs[0].Configs[i]; got.Source.String() != "STATIC_BROKER_CONFIG" || *got.Value != "20000" {
		t.Errorf("log.cleaner.backoff.ms is described as %v", got)
	}
}

// followed tells what a running node makes of the settings that may change meanwhile. Those
// that supply settings of topics reach the logs with these.
var followed = []struct {
	setting, value string
	see            func(n *Node) any
}{
	{"log.cleaner.backoff.ms", "7000", func(n *Node) any { return n.cleaner.Config().Backoff.Milliseconds() }},
	{"log.cleaner.dedupe.buffer.size", "7000000", func(n *Node) any { return n.cleaner.Config().DedupeBufferBytes }},
	{"log.cleaner.io.buffer.size", "700000", func(n *Node) any { return n.cleaner.Config().IOBufferBytes }},
	{"log.cleaner.io.max.bytes.per.second", "70000", func(n *Node) any { return n.cleaner.Config().MaxBytesPerSecond }},
	{"log.cleaner.threads", "2", func(n *Node) any { return n.cleaner.Config().Threads }},
	{"max.connections", "777", func(n *Node) any { return n.network.ConnectionLimits().MaxConnections }},
	{"max.connection.creation.rate", "77", func(n *Node) any { return n.network.ConnectionLimits().CreationRate }},
	{"max.connections.per.ip", "777", func(n *Node) any { return n.network.ConnectionLimits().MaxConnectionsPerIP }},
	{"max.connections.per.ip.overrides", "10.1.2.3:7", func(n *Node) any {
		return fmt.Sprint("10.1.2.3:", n.network.ConnectionLimits().PerIPOverrides["10.1.2.3"])
	}},
	{"listener.name.plaintext.max.connections", "777", func(n *Node) any { return n.network.ConnectionLimits().Listeners["PLAINTEXT"].MaxConnections }},
	{"producer.id.expiration.ms", "7000", func(n *Node) any { return n.logs.ProducerIDExpiration().Milliseconds() }},
	{"message.max.bytes", "777777", func(n *Node) any { return n.replicas.Partition("t", 0).Config().MaxMessageBytes }},
}

// elsewhere are the settings whose changes other tests see: the groups' assignment
// intervals, and what each request asks for.
var elsewhere = []string{
	"group.consumer.assignment.interval.ms", "group.share.assignment.interval.ms", "group.streams.assignment.interval.ms",
	"errors.deadletterqueue.auto.create.topics.enable", "errors.deadletterqueue.topic.name.prefix",
	"transaction.partition.verification.enable", "num.recovery.threads.per.data.dir", "cordoned.log.dirs", "replica.alter.log.dirs.io.max.bytes.per.second", "listeners", "listener.security.protocol.map",
}

func TestEveryDynamicSettingIsFollowed(t *testing.T) {
	supplies := map[string]bool{}
	for _, k := range config.Keys(config.TopicScope) {
		supplies[k.Broker] = true
	}
	for _, k := range config.Keys(config.BrokerScope) {
		listed := slices.Contains(elsewhere, k.Name)
		for _, f := range followed {
			listed = listed || f.setting == k.Name
		}
		if k.Status == config.Honoured && k.Mode != config.ReadOnly && !listed && !supplies[k.Name] {
			t.Errorf("nothing shows that a running node follows %s", k.Name)
		}
	}
	node, admin := startWithAdmin(t)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for _, f := range followed {
		before := fmt.Sprint(f.see(node))
		for _, c := range []struct {
			change kadm.AlterConfig
			want   string
		}{
			{kadm.AlterConfig{Op: kadm.SetConfig, Name: f.setting, Value: &f.value}, f.value},
			{kadm.AlterConfig{Op: kadm.DeleteConfig, Name: f.setting}, before},
		} {
			answers, err := admin.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{c.change})
			if err != nil || answers[0].Err != nil {
				t.Fatalf("%s: %v, %v", f.setting, err, answers)
			}
			if got := fmt.Sprint(f.see(node)); got != c.want || before == f.value {
				t.Errorf("%s is %s, want %s", f.setting, got, c.want)
			}
		}
	}
}

func TestConnectionsLeaveDescriptorsForFiles(t *testing.T) {
	for _, c := range []struct{ configured, descriptors, connections, files, inUse int }{
		{math.MaxInt32, 0, math.MaxInt32, 0, 0},
		{math.MaxInt32, 1, 1, 0, 16},
		{math.MaxInt32, 300, 150, 75, 102},
		{math.MaxInt32, 20000, 10000, 1024, 9952},
		{100, 20000, 100, 1024, 9952},
	} {
		if got := maxConnections(c.configured, c.descriptors); got != c.connections {
			t.Errorf("%d descriptors, max.connections=%d: %d connections, want %d", c.descriptors, c.configured, got, c.connections)
		}
		if got := maxOpenFiles(c.descriptors); got != c.files {
			t.Errorf("%d descriptors: %d idle files, want %d", c.descriptors, got, c.files)
		}
		if got := maxFilesInUse(c.descriptors); got != c.inUse {
			t.Errorf("%d descriptors: %d files in use, want %d", c.descriptors, got, c.inUse)
		}
	}
}
