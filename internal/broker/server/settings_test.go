package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/broker/sharefetch"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

func TestInternalTopicsAreMadeAsTheSettingsSay(t *testing.T) {
	for name, prefix := range map[string]string{offsetsTopic: "offsets.topic.", transactionsTopic: "transaction.state.log.", shareStateTopic: "share.coordinator.state.topic."} {
		for _, c := range []struct {
			live     int
			settings map[string]string
			want     string
		}{
			{5, nil, "50 partitions, 3 replicas, segments of 104857600, at least 2 in sync"},
			{2, nil, "50 partitions, 2 replicas, segments of 104857600, at least 2 in sync"},
			{1, nil, "50 partitions, 1 replicas, segments of 104857600, at least 1 in sync"},
			{5, map[string]string{"num.partitions": "7"}, "7 partitions, 3 replicas, segments of 104857600, at least 2 in sync"},
			{5, map[string]string{"replication.factor": "4"}, "50 partitions, 4 replicas, segments of 104857600, at least 2 in sync"},
			{5, map[string]string{"segment.bytes": "7777777"}, "50 partitions, 3 replicas, segments of 7777777, at least 2 in sync"},
			{5, map[string]string{"min.isr": "3"}, "50 partitions, 3 replicas, segments of 104857600, at least 3 in sync"},
		} {
			if name == offsetsTopic {
				if c.settings["min.isr"] != "" {
					continue // there is no such setting
				}
				c.want, _, _ = strings.Cut(c.want, ", at least")
			}
			settings := map[string]string{}
			for key, value := range c.settings {
				settings[prefix+key] = value
			}
			values, err := config.NewValues(settings)
			if err != nil {
				t.Fatal(err)
			}
			topic := internalTopic(name, values, c.live)
			configs := map[string]string{}
			for _, each := range topic.Configs {
				configs[each.Name] = *each.Value
			}
			got := fmt.Sprintf("%d partitions, %d replicas, segments of %s", topic.NumPartitions, topic.ReplicationFactor, configs["segment.bytes"])
			if isr := configs["min.insync.replicas"]; isr != "" {
				got += ", at least " + isr + " in sync"
			}
			if got != c.want {
				t.Errorf("%s of %d brokers with %v: %s, want %s", name, c.live, settings, got, c.want)
			}
		}
	}
}

func TestShareGroupsSettingsAreFoundInTheirLayers(t *testing.T) {
	plain := "deliver 5 times, lock 2000 for 30000 ms, renew true, committed false, start at the end, letters to \"\" with prefix \"dlq.\", made false, copied false"
	for _, c := range []struct{ group, broker, from, to string }{
		{"share.delivery.count.limit=3", "", "deliver 5", "deliver 3"},
		{"", "group.share.delivery.count.limit=4", "deliver 5", "deliver 4"},
		{"share.delivery.count.limit=3", "group.share.delivery.count.limit=4", "deliver 5", "deliver 3"},
		{"share.delivery.count.limit=30", "", "deliver 5", "deliver 10"}, // the most that brokers allow
		{"share.partition.max.record.locks=300", "", "lock 2000", "lock 300"},
		{"", "group.share.partition.max.record.locks=400", "lock 2000", "lock 400"},
		{"share.record.lock.duration.ms=16000", "", "for 30000", "for 16000"},
		{"", "group.share.record.lock.duration.ms=17000", "for 30000", "for 17000"},
		{"share.renew.acknowledge.enable=FALSE", "", "renew true", "renew false"},
		{"share.isolation.level=read_committed", "", "committed false", "committed true"},
		{"errors.deadletterqueue.topic.name=lost", "", `to ""`, `to "lost"`},
		{"errors.deadletterqueue.copy.record.enable=true", "", "copied false", "copied true"},
		{"", "errors.deadletterqueue.topic.name.prefix=gone.", `"dlq."`, `"gone."`},
		{"", "errors.deadletterqueue.auto.create.topics.enable=true", "made false", "made true"},
		{"share.auto.offset.reset=earliest", "", "at the end", "at the start"},
		{"share.auto.offset.reset=by_duration:PT1M", "", "at the end", "60000 ms ago"},
	} {
		values, err := config.NewValues(parse(c.broker))
		if err != nil {
			t.Fatal(err)
		}
		delta := metadata.NewDelta(metadata.NewImage())
		resource := metadata.ConfigResource{Type: metadata.ResourceGroup, Name: "g"}
		for name, value := range parse(c.group) {
			if err := delta.Apply(&metarecord.ConfigRecord{ResourceType: resource.Type, ResourceName: resource.Name, Name: name, Value: &value}); err != nil {
				t.Fatal(err)
			}
		}
		got := describeShare(readShareSettings(delta.Image(1, 1).Config(resource), values))
		if want := strings.Replace(plain, c.from, c.to, 1); got != want {
			t.Errorf("group %q, broker %q:\n got %s\nwant %s", c.group, c.broker, got, want)
		}
	}
}

func parse(settings string) map[string]string {
	out := map[string]string{}
	if key, value, ok := strings.Cut(settings, "="); ok {
		out[key] = value
	}
	return out
}

func describeShare(s sharefetch.Settings) string {
	start := "at the end"
	switch {
	case s.Reset.Earliest:
		start = "at the start"
	case s.Reset.DurationMs > 0:
		start = fmt.Sprint(s.Reset.DurationMs, " ms ago")
	}
	return fmt.Sprintf("deliver %d times, lock %d for %d ms, renew %t, committed %t, start %s, letters to %q with prefix %q, made %t, copied %t",
		s.MaxDeliveries, s.MaxLocks, s.LockMs, s.Renew, s.Committed, start,
		s.DeadLetters.Topic, s.DeadLetters.Prefix, s.DeadLetters.AutoCreate, s.DeadLetters.Copy)
}
