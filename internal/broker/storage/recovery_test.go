package storage

import (
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/vfs"
)

// The last batch is read whole for its checksum, which takes the scanner's memory
// from under the header that was read before.
func TestRecoveryMeasuresBatchesOfAnySize(t *testing.T) {
	for _, size := range []int{100, segmentfile.Chunk / 2, segmentfile.Chunk - 500, segmentfile.Chunk, 3 * segmentfile.Chunk, segmentfile.LargeChunk + 1} {
		for _, crash := range []vfs.Crash{vfs.Killed(), {Keep: 1}} {
			f := newFixture(t)
			l := f.create("t")
			for _, n := range []int{200, size, 50, size} { // not at the start of what is read at once
				if a := append1(l, batch(t, 1, n, f.clock.ms), 0); a.Err != nil {
					t.Fatal(a.Err)
				}
			}
			before := l.Segments()
			f.open(f.fs.CrashClone(crash))
			l = f.log("t")
			if after := l.Segments(); l.LogEndOffset() != 4 || len(after) != 1 || after[0] != before[0] {
				t.Fatalf("batches of %d bytes: end %d, segments %+v, before the crash %+v", size, l.LogEndOffset(), after, before)
			}
			readAll(t, l, 0, 1<<20)
		}
	}
}

// What was lost leaves a gap: the log goes on behind it, and a second crash before
// the next checkpoint finds a segment that does not begin where the one before it
// ends.
func TestWhatWasAppendedBehindAGapSurvivesTheNextCrash(t *testing.T) {
	for _, older := range []bool{false, true} { // was there a roll before?
		f := newFixture(t, func(_ *Config, topic *config.Topic) { topic.SegmentBytes = 3000 })
		l := f.create("t")
		n := 6
		if older {
			n = 40
		}
		for range n {
			f.append(l, 2)
		}
		end := l.LogEndOffset()
		f.m.RunSyncs()
		f.clock.ms += 2000
		f.m.Tick() // the manifest knows all of it
		segments := l.Segments()
		last := segments[len(segments)-1]
		f.open(f.fs.CrashClone(vfs.Killed()))
		file, err := f.fs.Open(f.log("t").file(last.BaseOffset, segmentfile.LogSuffix))
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Truncate(last.SizeBytes - 10); err != nil {
			t.Fatal(err)
		}
		f.open(f.fs.CrashClone(vfs.Killed()))
		if len(f.m.Damage()) == 0 {
			t.Fatal("the loss is not reported")
		}
		for i := range int64(3) {
			if got := f.log("t").LogEndOffset(); got != end+i {
				t.Fatalf("the log ends at %d instead of %d; damage %v", got, end+i, f.m.Damage())
			}
			a := append1(f.log("t"), batch(t, 1, 100, f.clock.ms), 0)
			if a.Err != nil || a.BaseOffset != end+i {
				t.Fatalf("%+v", a)
			}
			f.open(f.fs.CrashClone(vfs.Killed()))
		}
		if got := len(readAll(t, f.log("t"), end, 1<<20)); got != 3 {
			t.Fatalf("%d batches behind the gap", got)
		}
	}
}
