package network

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/naru-stream/naru/internal/vfs"
)

func TestRangeThatIsNotInMemoryIsReadFirst(t *testing.T) {
	const size = 4 << 20
	//nolint:usetesting // see there
	dir, err := os.MkdirTemp(".", "cold") // not in a temporary directory, which may be memory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f, data := file(t, vfs.OS{}, dir+"/f", size)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	fd, _ := f.Fd()
	if err := unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if (&socketStream{file: int(fd)}).resident(size / 2) {
		t.Skip("this file system does not evict or does not tell")
	}
	s := start(t, Limits{}, func(r *Request) {
		r.Respond(r.Buffer(), Insert{At: 4, Range: vfs.NewRange(f, 0, size)})
	})
	c := dial(t, s)
	for i, wantCold := range []bool{true, false} {
		before := s.stats.ColdReads.Load()
		c.send(payload(20, "fetch"))
		got, err := c.receive()
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("answer %d: %d bytes, %v", i, len(got), err)
		}
		if cold := s.stats.ColdReads.Load() > before; cold != wantCold {
			t.Errorf("answer %d: read from disk: %v, want %v", i, cold, wantCold)
		}
	}
}
