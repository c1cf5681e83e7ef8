package config

import "testing"

// BenchmarkResolveTopic is paid for every partition at start and at every change
// of a topic's settings.
func BenchmarkResolveTopic(b *testing.B) {
	v, err := NewValues(map[string]string{"log.retention.hours": "24"})
	if err != nil {
		b.Fatal(err)
	}
	overrides := map[string]string{"cleanup.policy": "compact", "segment.bytes": "2000000"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ResolveTopic(overrides, v); err != nil {
			b.Fatal(err)
		}
	}
}
