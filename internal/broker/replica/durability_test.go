package replica

import (
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/config"
)

// When an append counts follows from naru.durability, flush.messages, the topic and how
// many replicas must have it.
func TestDurabilityFollowsTheSettings(t *testing.T) {
	for _, c := range []struct {
		topic    string
		settings string // of the topic, but for naru.durability
		replicas int
		want     string
	}{
		{"t", "", 1, "group"},
		{"t", "", 3, "group"},
		{"t", "min.insync.replicas=2", 3, "os"},
		{"t", "min.insync.replicas=2", 1, "group"},
		{"t", "min.insync.replicas=2 flush.messages=1", 3, "group"},
		{"t", "min.insync.replicas=2 flush.messages=2", 3, "os"},
		{"__consumer_offsets", "min.insync.replicas=2", 3, "group"},
		{"t", "naru.durability=os", 1, "os"},
		{"t", "naru.durability=os flush.messages=1", 1, "group"},
		{"__consumer_offsets", "naru.durability=os", 1, "os"},
		{"t", "naru.durability=group min.insync.replicas=2", 3, "group"},
	} {
		broker, topic := map[string]string{}, map[string]string{}
		for _, word := range strings.Fields(c.settings) {
			key, value, _ := strings.Cut(word, "=")
			if key == "naru.durability" {
				broker[key] = value
			} else {
				topic[key] = value
			}
		}
		values, err := config.NewValues(broker)
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := config.ResolveTopic(topic, values)
		if err != nil {
			t.Fatal(err)
		}
		if got := durability(c.topic, resolved, values, c.replicas).String(); got != c.want {
			t.Errorf("%s with %q and %d replicas: %s, want %s", c.topic, c.settings, c.replicas, got, c.want)
		}
	}
}
