package naru

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Settings that a room keeps reach it when they change for the cluster or the broker,
// and go back to what the file says when they are taken away.
func TestRoomsFollowDynamicSettings(t *testing.T) {
	node, err := Start(t.Context(), Config{Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "log.dirs": t.TempDir(), "log.cleaner.backoff.ms": "20000",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
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
