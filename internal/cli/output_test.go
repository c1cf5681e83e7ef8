package cli

import (
	"bytes"
	"testing"

	"github.com/naru-stream/naru/internal/script"
)

func TestNumbersAreReadable(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 KB", 2_000_000: "2.0 MB", 3_100_000_000_000_000: "3100.0 TB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func of[T any](v T) *T { return &v }

func TestTablesKeepTheirForm(t *testing.T) {
	var out bytes.Buffer
	d := topicDescription{Configs: map[string]string{"segment.ms": "1", "retention.ms": "5"}, PartitionList: []partition{
		{Partition: 0, Leader: 1, LeaderEpoch: 2, Replicas: []int32{1, 2}, ISR: []int32{1}, StartOffset: 5, EndOffset: 1000},
		{Partition: 1, Leader: -1, Replicas: []int32{2}, ISR: []int32{}, StartOffset: -1, EndOffset: -1, Error: "LEADER_NOT_AVAILABLE"},
	}}
	d.topicSummary = topicSummary{"flights", "chUyLWBHQ4-4wDB7_FZLtQ", false, 2, 2}
	d.print(&out)
	out.WriteString("\n")
	g := groupDescription{groupSummary: groupSummary{"billing", "Stable", "consumer", 1}, Assignor: "range", Lag: 1901,
		Members: []groupMember{{MemberID: "m"}}, Offsets: []groupOffset{
			{Topic: "flights", Partition: 0, Committed: of(int64(99)), End: of(int64(2000)), Lag: of(int64(1901)), MemberID: of("m"), Host: of("/127.0.0.1"), ClientID: of("c")},
			{Topic: "flights", Partition: 1},
		}}
	g.print(&out)
	out.WriteString("\n")
	printMoves(&out, []move{
		{Topic: "flights", Partition: 0, Before: of(int64(5)), After: 0, Clamped: true},
		{Topic: "flights", Partition: 1, After: 7},
		{Topic: "flights", Partition: 2, After: 8, Error: "UNKNOWN_TOPIC_OR_PARTITION"},
	}, true)
	script.Golden(t, "testdata/tables.txt", out.String())
}
