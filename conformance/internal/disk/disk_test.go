package disk

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// batch returns a batch header with a codec and a body of n bytes.
func batch(codec uint16, records, n int) []byte {
	b := make([]byte, headerSize+n)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	binary.BigEndian.PutUint16(b[21:], codec|8) // log append time, which is not a codec
	binary.BigEndian.PutUint32(b[57:], uint32(records))
	return b
}

func TestOneUncompressedBatchIsFound(t *testing.T) {
	dir := t.TempDir()
	write := func(partition string, batches ...[]byte) {
		if err := os.MkdirAll(filepath.Join(dir, partition), 0o755); err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, b := range batches {
			all = append(all, b...)
		}
		if err := os.WriteFile(filepath.Join(dir, partition, "00000000000000000000.log"), all, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := OnlyCodec(dir, "t", "lz4"); err == nil {
		t.Error("a topic without files: no error")
	}
	write("t-0", batch(3, 5, 100), batch(3, 2, 1))
	write("t-1")
	if err := OnlyCodec(dir, "t", "lz4"); err != nil {
		t.Errorf("only lz4: %v", err)
	}
	if b, err := Topic(dir, "t"); err != nil || b.Records["lz4"] != 7 {
		t.Errorf("%+v, %v; want 7 records", b, err)
	}
	write("t-1", batch(3, 5, 100), batch(0, 2, 7))
	if err := OnlyCodec(dir, "t", "lz4"); err == nil {
		t.Error("one batch is not compressed: no error")
	}
	if err := MostlyCodec(dir, "t", "lz4"); err == nil {
		t.Error("2 of 14 records are not compressed: no error")
	}
	write("t-2", batch(3, 500, 100))
	if err := MostlyCodec(dir, "t", "lz4"); err != nil {
		t.Errorf("2 of 514 records are not compressed: %v", err)
	}
}
