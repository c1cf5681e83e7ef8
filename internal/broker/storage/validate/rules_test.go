package validate

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/config"
)

// Each setting of a topic that says what records may be changes its own rule.
func TestRulesFollowTheTopicsSettings(t *testing.T) {
	plain := config.DefaultTopic()
	for _, c := range []struct {
		settings map[string]string
		want     func(*Rules)
	}{
		{nil, func(*Rules) {}},
		{map[string]string{"max.message.bytes": "7"}, func(r *Rules) { r.MaxMessageBytes = 7 }},
		{map[string]string{"cleanup.policy": "compact"}, func(r *Rules) { r.RequireKeys = true }},
		{map[string]string{"message.timestamp.type": "LogAppendTime"}, func(r *Rules) { r.LogAppendTime = true }},
		{map[string]string{"message.timestamp.before.max.ms": "7"}, func(r *Rules) { r.TimestampBeforeMaxMs = 7 }},
		{map[string]string{"message.timestamp.after.max.ms": "7"}, func(r *Rules) { r.TimestampAfterMaxMs = 7 }},
		{map[string]string{"compression.type": "uncompressed"}, func(r *Rules) { r.Recompress = true }},
		{map[string]string{"compression.type": "snappy"}, func(r *Rules) { r.Recompress, r.Codec = true, compress.Snappy }},
		{map[string]string{"compression.type": "gzip"}, func(r *Rules) { r.Recompress, r.Codec, r.Level = true, compress.Gzip, -1 }},
		{map[string]string{"compression.type": "gzip", "compression.gzip.level": "7"}, func(r *Rules) { r.Recompress, r.Codec, r.Level = true, compress.Gzip, 7 }},
		{map[string]string{"compression.type": "lz4", "compression.lz4.level": "7"}, func(r *Rules) { r.Recompress, r.Codec, r.Level = true, compress.Lz4, 7 }},
		{map[string]string{"compression.type": "zstd", "compression.zstd.level": "7"}, func(r *Rules) { r.Recompress, r.Codec, r.Level = true, compress.Zstd, 7 }},
	} {
		topic, err := config.ResolveTopic(c.settings, config.Values{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := NewRules(&plain)
		if err != nil {
			t.Fatal(err)
		}
		c.want(want)
		got, err := NewRules(&topic)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %v, rules (-want +got):\n%s", c.settings, err, cmp.Diff(want, got))
		}
	}
}
