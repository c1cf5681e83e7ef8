package storage

import (
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
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
