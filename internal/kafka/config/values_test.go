package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func values(t *testing.T, static map[string]string) Values {
	t.Helper()
	v, err := NewValues(static)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRetentionTakesTheFinestUnitThatIsSet(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings map[string]string
		want     int64
	}{
		{"default", nil, 7 * 24 * hourMs},
		{"hours", map[string]string{"log.retention.hours": "2"}, 2 * hourMs},
		{"minutes before hours", map[string]string{"log.retention.hours": "2", "log.retention.minutes": "3"}, 3 * minuteMs},
		{"milliseconds before all", map[string]string{"log.retention.hours": "2", "log.retention.minutes": "3", "log.retention.ms": "4"}, 4},
		{"any negative means without limit", map[string]string{"log.retention.hours": "-5"}, -1},
	} {
		if got := values(t, tt.settings).Topic().RetentionMs; got != tt.want {
			t.Errorf("%s: retention.ms is %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestRollAndFlushFollowTheirSynonyms(t *testing.T) {
	got := values(t, map[string]string{
		"log.roll.hours": "1", "log.roll.jitter.hours": "2", "log.flush.scheduler.interval.ms": "77",
	}).Topic()
	if got.SegmentMs != hourMs || got.SegmentJitterMs != 2*hourMs || got.FlushMs != 77 {
		t.Errorf("segment.ms %d, segment.jitter.ms %d, flush.ms %d", got.SegmentMs, got.SegmentJitterMs, got.FlushMs)
	}
}

func TestATopicOverrideBeatsEveryBrokerLayer(t *testing.T) {
	v := values(t, map[string]string{"log.segment.bytes": "2000000"})
	v, err := v.WithDynamic(map[string]string{"log.segment.bytes": "4000000"}, map[string]string{"log.segment.bytes": "3000000"})
	if err != nil {
		t.Fatal(err)
	}
	got := v.DescribeTopic(map[string]string{"segment.bytes": "5000000"}, []string{"segment.bytes"})[0]
	want := []Synonym{
		{Name: "segment.bytes", Value: "5000000", Source: DynamicTopicConfig},
		{Name: "log.segment.bytes", Value: "4000000", Source: DynamicBrokerConfig},
		{Name: "log.segment.bytes", Value: "3000000", Source: DynamicDefaultBrokerConfig},
		{Name: "log.segment.bytes", Value: "2000000", Source: StaticBrokerConfig},
		{Name: "log.segment.bytes", Value: "1073741824", Source: DefaultConfig},
	}
	if diff := cmp.Diff(want, got.Synonyms); diff != "" || got.Value != "5000000" || got.Source != DynamicTopicConfig {
		t.Errorf("value %s from %s, synonyms:\n%s", got.Value, got.Source, diff)
	}
	topic, err := ResolveTopic(map[string]string{"segment.bytes": "5000000"}, v)
	if err != nil || topic.SegmentBytes != 5000000 {
		t.Errorf("resolved %d, %v", topic.SegmentBytes, err)
	}
	if topic, _ := ResolveTopic(nil, v); topic.SegmentBytes != 4000000 {
		t.Errorf("without override resolved %d", topic.SegmentBytes)
	}
}

func TestAHiddenTopicSettingIsShownWhereItIsSet(t *testing.T) {
	const name = "internal.segment.bytes"
	shown := func(overrides map[string]string) string {
		for _, e := range (Values{}).DescribeTopic(overrides, nil) {
			if e.Name == name {
				return e.Value
			}
		}
		return "not shown"
	}
	if got := shown(nil); got != "not shown" {
		t.Errorf("where it is not set: %s", got)
	}
	if got := shown(map[string]string{name: "1000"}); got != "1000" {
		t.Errorf("where it is 1000: %s", got)
	}
}

func TestSynonymsStartAtTheSettingItself(t *testing.T) {
	v := values(t, map[string]string{"log.retention.hours": "1"})
	e := v.DescribeTopic(nil, []string{"retention.ms"})[0]
	if e.Value != "3600000" || e.Source != DefaultConfig || len(e.Synonyms) != 0 {
		t.Errorf("got %+v", e)
	}
	v = values(t, map[string]string{"log.retention.ms": "5"})
	e = v.DescribeTopic(nil, []string{"retention.ms"})[0]
	want := []Synonym{{Name: "log.retention.ms", Value: "5", Source: StaticBrokerConfig}, {Name: "log.retention.hours", Value: "168", Source: DefaultConfig}}
	if diff := cmp.Diff(want, e.Synonyms); diff != "" || e.Source != StaticBrokerConfig {
		t.Errorf("source %s, synonyms:\n%s", e.Source, diff)
	}
}

func TestStrongerMembersOfAFamilyAreNoSynonymsOfWeakerOnes(t *testing.T) {
	v := values(t, map[string]string{"log.retention.ms": "5", "log.retention.minutes": "6"})
	e := v.DescribeBroker([]string{"log.retention.minutes"})[0]
	want := []Synonym{{Name: "log.retention.minutes", Value: "6", Source: StaticBrokerConfig}, {Name: "log.retention.hours", Value: "168", Source: DefaultConfig}}
	if diff := cmp.Diff(want, e.Synonyms); diff != "" {
		t.Error(diff)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	v := values(t, map[string]string{"ssl.key.password": "hunter2", "someones.own": "secret"})
	for _, e := range v.DescribeBroker([]string{"ssl.key.password", "someones.own"}) {
		if !e.Sensitive || !e.Null || e.Value != "" || e.Synonyms[0].Value != "" {
			t.Errorf("shown: %+v", e)
		}
	}
	k, _ := Lookup(BrokerScope, "ssl.key.password")
	if err := k.invalid("hunter2", "hunter2 is wrong"); strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestOwnSettingsAreDescribedOnlyWhenSetOrAskedFor(t *testing.T) {
	find := func(v Values, names []string) bool {
		for _, e := range v.DescribeBroker(names) {
			if e.Name == "naru.durability" {
				return true
			}
		}
		return false
	}
	if find(Values{}, nil) {
		t.Error("an unset setting of Naru's own is shown to every tool")
	}
	if !find(Values{}, []string{"naru.durability"}) || !find(values(t, map[string]string{"naru.durability": "os"}), nil) {
		t.Error("a setting of Naru's own is not shown though it is set or asked for")
	}
}

func TestErrorsNameTheSettingWhatIsAllowedAndTheNearest(t *testing.T) {
	for _, tt := range []struct {
		scope             Scope
		name, value, want string
	}{
		{TopicScope, "segment.bytes", "-5", "Invalid value -5 for configuration segment.bytes: Value must be at least 1048576 (allowed: 1048576 or more)"},
		{TopicScope, "retention.ms", "abc", "Invalid value abc for configuration retention.ms: Not a number of type LONG (allowed: -1 or more)"},
		{TopicScope, "compression.type", "liz4", "Invalid value liz4 for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer (allowed: uncompressed, zstd, lz4, snappy, gzip, producer; did you mean lz4?)"},
		{TopicScope, "cleanup.policy", "compacted", "Invalid value compacted for configuration cleanup.policy: String must be one of: compact, delete (allowed: a list of compact, delete; did you mean compact?)"},
		{TopicScope, "preallocate", "yes", "Invalid value yes for configuration preallocate: Expected value to be either true or false (allowed: true or false; did you mean true?)"},
		{TopicScope, "compression.gzip.level", "0", "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1 (allowed: 1 to 9, or -1)"},
		{TopicScope, "min.insync.replica", "2", "Unknown topic config name: min.insync.replica (did you mean min.insync.replicas?)"},
		{TopicScope, "log.retention.ms", "2", "Unknown topic config name: log.retention.ms (did you mean retention.ms?)"},
		{TopicScope, "retention_ms", "2", "Unknown topic config name: retention_ms (did you mean retention.ms?)"},
		{TopicScope, "xyzzy", "2", "Unknown topic config name: xyzzy (docs/configuration.md lists every setting)"},
		{GroupScope, "consumer.session.timeout", "2", "Unknown group config name: consumer.session.timeout (did you mean consumer.session.timeout.ms?)"},
		{BrokerScope, "max.inflight.requests", "2", "Unknown broker config name: max.inflight.requests (did you mean naru.max.inflight.requests.per.connection?)"},
		{BrokerScope, "bootstrap.server", "2", "Unknown broker config name: bootstrap.server (did you mean controller.quorum.bootstrap.servers?)"},
		{BrokerScope, "num.partitons", "2", "Unknown broker config name: num.partitons (did you mean num.partitions?)"},
		{BrokerScope, "naru.durability", "fsync", "Invalid value fsync for configuration naru.durability: String must be one of: auto, os, group (allowed: auto, os, group; did you mean group?)"},
	} {
		err := CheckSetting(tt.scope, tt.name, tt.value)
		if err == nil {
			t.Errorf("%s=%s is accepted", tt.name, tt.value)
		} else if err.Error() != tt.want {
			t.Errorf("%s=%s:\n got %s\nwant %s", tt.name, tt.value, err, tt.want)
		}
	}
}

func TestAllBadOverridesAreNamedAtOnce(t *testing.T) {
	_, err := ResolveTopic(map[string]string{"segment.bytes": "x", "retention.ms": "y", "flush.ms": "1"}, Values{})
	if err == nil || !strings.Contains(err.Error(), "segment.bytes") || !strings.Contains(err.Error(), "retention.ms") {
		t.Errorf("got %v", err)
	}
	_, err = ResolveTopic(map[string]string{"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"}, Values{})
	var invalid *InvalidError
	if !errors.As(err, &invalid) || invalid.Key != "min.compaction.lag.ms" {
		t.Errorf("contradiction: got %v", err)
	}
}

func TestABadDynamicValueIsReportedAndLeftOut(t *testing.T) {
	v, err := Values{}.WithDynamic(nil, map[string]string{"log.segment.bytes": "many", "num.io.threads": "2"})
	if err == nil || v.Int32("log.segment.bytes") != 1<<30 || v.Int32("num.io.threads") != 2 {
		t.Errorf("err %v, log.segment.bytes %d, num.io.threads %d", err, v.Int32("log.segment.bytes"), v.Int32("num.io.threads"))
	}
}

func TestGettersReadEveryType(t *testing.T) {
	v := values(t, map[string]string{"log.dirs": " /a , /b ", "offsets.topic.replication.factor": "1", "delete.topic.enable": "FALSE"})
	if diff := cmp.Diff([]string{"/a", "/b"}, v.List("log.dirs")); diff != "" {
		t.Error(diff)
	}
	if v.Int16("offsets.topic.replication.factor") != 1 || v.Int32("offsets.topic.replication.factor") != 1 || v.Bool("delete.topic.enable") {
		t.Error("static values are not read")
	}
	if v.Float64("log.cleaner.min.cleanable.ratio") != 0.5 || v.Int64("log.retention.ms") != 0 || v.String("broker.rack") != "" {
		t.Error("defaults are not read")
	}
	if !v.IsSet("log.dirs") || v.IsSet("num.partitions") {
		t.Error("IsSet is wrong")
	}
}

func TestNeighboursSwappedAreOneMistake(t *testing.T) {
	if got := Nearest("lsit", []string{"last", "list"}); got != "list" {
		t.Errorf("nearest to lsit is %s", got)
	}
	if got := Nearest("abc", []string{"xyz", "abcdefgh"}); got != "" {
		t.Errorf("%s is near to abc", got)
	}
}

func TestWhatAListNamesTwiceCountsOnce(t *testing.T) {
	v := values(t, map[string]string{"log.dirs": "/a, /b,/a", "log.cleanup.policy": "compact, compact"})
	if diff := cmp.Diff([]string{"/a", "/b"}, v.List("log.dirs")); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{"log.dirs": "/a,/b", "log.cleanup.policy": "compact"} {
		if got := v.DescribeBroker([]string{name})[0]; got.Value != want {
			t.Errorf("%s is described as %q, want %q", name, got.Value, want)
		}
	}
	topic, err := ResolveTopic(map[string]string{"cleanup.policy": "delete,compact,delete"}, v)
	if diff := cmp.Diff([]string{"delete", "compact"}, topic.CleanupPolicy); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
