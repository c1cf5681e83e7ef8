package segmentfile

import (
	"errors"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/vfs"
)

func file(t testing.TB, sizes ...int) (vfs.File, int64) {
	t.Helper()
	bl := &record.Builder{}
	var all []byte
	offset := int64(0)
	for _, size := range sizes {
		spec := record.DefaultSpec()
		spec.BaseOffset = offset
		bl.Reset(spec)
		if err := bl.Append(offset, nil, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		b, err := bl.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
		offset++
	}
	f, err := vfs.NewMem().Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(all, 0); err != nil {
		t.Fatal(err)
	}
	return f, int64(len(all))
}

func TestTheScannerWalksOverBatchesLargerAndSmallerThanItsMemory(t *testing.T) {
	f, size := file(t, 10, 5000, 0, 200, 40000, 1, 70000)
	for _, chunk := range []int{128, 300, 4096, Chunk, LargeChunk} {
		sc := NewScanner(f, 0, size, make([]byte, chunk))
		n := int64(0)
		for sc.Next() {
			if sc.Header.BaseOffset() != n {
				t.Fatalf("chunk %d: batch %d at offset %d", chunk, n, sc.Header.BaseOffset())
			}
			if err := sc.CheckCRC(); err != nil {
				t.Fatalf("chunk %d: batch %d: %v", chunk, n, err)
			}
			n++
		}
		if sc.Err != nil || n != 7 || sc.Position != size {
			t.Fatalf("chunk %d: %d batches up to %d, %v", chunk, n, sc.Position, sc.Err)
		}
	}
}

func TestTheScannerStopsAtWhatIsNoBatch(t *testing.T) {
	f, size := file(t, 100, 100)
	for end := size - 1; end > size/2; end-- {
		sc := NewScanner(f, 0, end, make([]byte, Chunk))
		n := 0
		for sc.Next() {
			n++
		}
		if n != 1 || !errors.Is(sc.Err, record.ErrShort) {
			t.Fatalf("cut at %d: %d batches, %v", end, n, sc.Err)
		}
	}
	for _, chunk := range []int{100, Chunk} { // a wrong checksum in a batch that fits the memory and in one that does not
		g, size := file(t, 5000)
		if _, err := g.WriteAt([]byte{9}, 3000); err != nil {
			t.Fatal(err)
		}
		sc := NewScanner(g, 0, size, make([]byte, chunk))
		if !sc.Next() || !errors.Is(sc.CheckCRC(), record.ErrCorrupt) {
			t.Fatalf("chunk %d: damage unseen", chunk)
		}
	}
}

func TestNamesReadBack(t *testing.T) {
	if o, ok := ParseName(Name(4711, ".log"), ".log"); o != 4711 || !ok {
		t.Fatal(o, ok)
	}
	if _, ok := ParseName("4711.log", ".log"); ok {
		t.Fatal("a short name")
	}
	if b, n, ok := ParseSwapName(SwapName(5, 90)); b != 5 || n != 90 || !ok {
		t.Fatal(b, n, ok)
	}
	for _, name := range []string{"", "x.swap", SwapName(9, 9), Name(1, ".swap")} {
		if _, _, ok := ParseSwapName(name); ok {
			t.Fatalf("%q was taken for a compaction", name)
		}
	}
	for name, want := range map[string]int32{"a-0": 0, "a-b-12": 12, "a": -1, "-1": -1, "a-01": -1, "a-": -1, "a-99999999999": -1} {
		if _, p, ok := ParseDir(name); ok != (want >= 0) || ok && p != want {
			t.Errorf("%q: partition %d, %v", name, p, ok)
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte("nothing"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := vfs.NewMem().Create("a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		sc := NewScanner(file, 0, int64(len(b)), make([]byte, 100))
		for sc.Next() {
			_ = sc.CheckCRC() // must not panic
		}
		if sc.Position > int64(len(b)) {
			t.Fatalf("walked to %d of %d", sc.Position, len(b))
		}
	})
}
