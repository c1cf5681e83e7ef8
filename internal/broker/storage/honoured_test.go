package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/pace"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/config"
)

// What is seen of the settings of a topic in its logs. Without the setting, and with no
// other, something else is seen.
func TestLogsHonourTheirTopicsSettings(t *testing.T) {
	for _, c := range []struct {
		setting, value string
		also           map[string]string // what makes the difference visible
		see            func(f *fixture) string
		want, plain    string
	}{
		{"flush.ms", "100", nil, syncedAfter(150), "synced", "in the page cache"},
		{"flush.messages", "5", nil, syncedAfter(0), "synced", "in the page cache"},
		{"flush.messages", "6", nil, syncedAfter(0), "in the page cache", "in the page cache"},
		{"segment.bytes", "1048576", nil, segmentsOf(2048, 1000, 0), "3 segments", "1 segments"},
		{"internal.segment.bytes", "100", nil, segmentsOf(5, 10, 0), "5 segments", "1 segments"},
		{"segment.ms", "1000", nil, segmentsOf(3, 10, 600), "2 segments", "1 segments"},
		{"segment.jitter.ms", "1000", map[string]string{"segment.ms": "1000"}, earlyRolls, "some of 20 logs rolled early", "none of 20 logs rolled early"},
		{"index.interval.bytes", "1000", nil, indexed, "9 entries", "2 entries"},
		{"retention.ms", "1000", map[string]string{"segment.ms": "100"}, keptAfter(2000), "starts at 5", "starts at 0"},
		{"retention.bytes", "1", map[string]string{"segment.ms": "100"}, keptAfter(0), "starts at 4", "starts at 0"},
		{"cleanup.policy", "compact", map[string]string{"segment.ms": "100", "retention.ms": "1000"}, keptAfter(2000), "starts at 0", "starts at 5"},
		{"file.delete.delay.ms", "5000", map[string]string{"segment.ms": "100", "retention.ms": "1000"}, deletedFiles(4000), "there", "gone"},
		{"min.cleanable.dirty.ratio", "0.01", map[string]string{"cleanup.policy": "compact"}, cleaning, "0.01", "0.5"},
		{"min.compaction.lag.ms", "7", map[string]string{"cleanup.policy": "compact"}, cleaning, "at least 7", "at least 0"},
		{"max.compaction.lag.ms", "7", map[string]string{"cleanup.policy": "compact"}, cleaning, "at most 7", "at most 9223372036854775807"},
		{"delete.retention.ms", "7", map[string]string{"cleanup.policy": "compact"}, cleaning, "deletions 7", "deletions 86400000"},
		{"message.timestamp.type", "LogAppendTime", nil, stamped, "the broker's time", "the producer's time"},
	} {
		t.Run(c.setting+"="+c.value, func(t *testing.T) {
			for value, want := range map[string]string{c.value: c.want, "": c.plain} {
				f := newFixture(t, func(_ *Config, topic *config.Topic) {
					settings := map[string]string{"file.delete.delay.ms": "1000"}
					for key, also := range c.also {
						settings[key] = also
					}
					if value != "" {
						settings[c.setting] = value
					}
					var err error
					if *topic, err = config.ResolveTopic(settings, config.Values{}); err != nil {
						t.Fatal(err)
					}
				})
				if got := c.see(f); !strings.Contains(got, want) {
					t.Errorf("with %q: %s, want %s", value, got, want)
				}
			}
		})
	}
}

// syncedAfter appends one record after the other, and looks after a time whether all are on the device.
func syncedAfter(ms int64) func(f *fixture) string {
	return func(f *fixture) string {
		l := f.create("t")
		f.append(l, 1)
		f.clock.ms += 2000 // what a new log writes of its own is over
		f.m.Tick()
		f.m.RunSyncs()
		for range 5 {
			f.append(l, 1)
		}
		f.clock.ms += ms
		f.m.Tick()
		f.m.RunSyncs()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.pace.Unsynced() == (pace.Amount{}) {
			return "synced"
		}
		return "in the page cache"
	}
}

// segmentsOf appends batches of a size at a pace.
func segmentsOf(batches, bytes int, paceMs int64) func(f *fixture) string {
	return func(f *fixture) string {
		l := f.create("t")
		for range batches {
			if a := append1(l, batch(f.t, 1, bytes, f.clock.ms), 0); a.Err != nil {
				f.t.Fatal(a.Err)
			}
			f.clock.ms += paceMs
		}
		return fmt.Sprintf("%d segments", len(l.Segments()))
	}
}

// earlyRolls counts the logs whose segment closed before segment.ms had passed.
func earlyRolls(f *fixture) string {
	early := 0
	start := f.clock.ms
	for i := range 20 {
		f.clock.ms = start
		l := f.create(fmt.Sprint("t", i))
		f.append(l, 1)
		f.clock.ms += 600
		f.append(l, 1)
		early += len(l.Segments()) - 1
	}
	switch early {
	case 0:
		return "none of 20 logs rolled early"
	case 20:
		return "all of 20 logs rolled early"
	}
	return "some of 20 logs rolled early"
}

// indexed counts the boundaries that are found without reading, of ten batches of
// about 1000 bytes.
func indexed(f *fixture) string {
	l := f.create("t")
	for range 10 {
		if a := append1(l, batch(f.t, 1, 1000, f.clock.ms), 0); a.Err != nil {
			f.t.Fatal(a.Err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d entries", l.segs[0].Index.Len())
}

// keptAfter appends five segments and applies retention after a time.
func keptAfter(ms int64) func(f *fixture) string {
	return func(f *fixture) string {
		l := f.create("t")
		for range 5 {
			if a := append1(l, batchWithKey(f), 0); a.Err != nil {
				f.t.Fatal(a.Err)
			}
			f.clock.ms += 200
		}
		f.clock.ms += ms
		f.m.EnforceRetention()
		return fmt.Sprintf("starts at %d", l.LogStartOffset())
	}
}

func batchWithKey(f *fixture) []byte { return batch(f.t, 1, 10, f.clock.ms) }

// deletedFiles looks a time after a segment was deleted whether its file is there.
func deletedFiles(ms int64) func(f *fixture) string {
	return func(f *fixture) string {
		keptAfter(2000)(f)
		f.clock.ms += ms
		f.m.Tick()
		if slices.ContainsFunc(f.fs.Files(), func(name string) bool { return strings.HasSuffix(name, segmentfile.DeletedSuffix) }) {
			return "there"
		}
		return "gone"
	}
}

// cleaning is what the cleaner is told.
func cleaning(f *fixture) string {
	p := f.create("t").settings().cleaning
	return fmt.Sprintf("dirty share %v, at least %d and at most %d ms, deletions %d ms", p.MinCleanableRatio, p.MinCompactionLagMs, p.MaxCompactionLagMs, p.DeleteRetentionMs)
}

func stamped(f *fixture) string {
	l := f.create("t")
	append1(l, batch(f.t, 1, 10, f.clock.ms-5), 0)
	if readAll(f.t, l, 0, 1000)[0].MaxTimestamp() == f.clock.ms {
		return "the broker's time"
	}
	return "the producer's time"
}

func TestCordonedDirectoriesTakeNewPartitionsOnlyIfAllAreCordoned(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *config.Topic) { c.Dirs = []string{"a", "b", "c"} })
	for i, step := range []struct {
		cordoned []string
		want     string // where six new partitions go
	}{
		{nil, "a 2 b 2 c 2"}, {[]string{"a"}, "a 0 b 3 c 3"}, {[]string{"a", "c"}, "a 0 b 6 c 0"},
		{nil, "a 5 b 0 c 1"}, {[]string{"*"}, "a 3 b 0 c 3"}, {[]string{"b"}, "a 3 b 0 c 3"},
	} {
		f.m.SetCordoned(step.cordoned)
		got := map[string]int{}
		for j := range 6 {
			got[f.create(fmt.Sprintf("t-%d-%d", i, j)).Dir()]++
		}
		if text := fmt.Sprintf("a %d b %d c %d", got["a"], got["b"], got["c"]); text != step.want {
			t.Errorf("with %v cordoned: %s, want %s", step.cordoned, text, step.want)
		}
	}
}
