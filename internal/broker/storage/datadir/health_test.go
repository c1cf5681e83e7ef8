package datadir

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/naru-stream/naru/internal/vfs"
)

func TestADiskIsFullUntilThereIsClearlySpaceAgain(t *testing.T) {
	fs := vfs.NewMem()
	fs.SetCapacity(10_000)
	dir, err := Open(fs, "/d", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	h := NewHealth(fs, dir, SpaceLimits{MinFreeBytes: 1000, ReserveBytes: 100}, slog.New(slog.DiscardHandler))
	h.Reserve()
	usage, err := fs.DiskUsage("/d")
	if err != nil {
		t.Fatal(err)
	}
	used := usage.Total - usage.Free
	for _, step := range []struct {
		free            int64
		full, exhausted bool
	}{{5000, false, false}, {1000, false, false}, {999, true, false}, {1100, true, false}, {1300, false, false}, {500, true, false}, {125, true, true}, {126, true, false}} {
		fs.SetCapacity(used + step.free)
		if h.CheckSpace(); (h.Full() != nil) != step.full || h.Exhausted() != step.exhausted {
			t.Errorf("with %d bytes free it is full: %v, exhausted: %t", step.free, h.Full(), h.Exhausted())
		}
	}
	if !h.ReleaseReserve() || h.ReleaseReserve() {
		t.Error("there was no reserve, or two")
	}
	if broken := errors.New("broken"); !h.Fail(broken) || h.Fail(errors.New("again")) || !errors.Is(h.Failure(), broken) {
		t.Errorf("it failed with %v", h.Failure())
	}
}
