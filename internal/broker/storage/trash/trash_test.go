package trash

import (
	"log/slog"
	"math"
	"testing"

	"github.com/naru-stream/naru/internal/vfs"
)

func TestItemsGoWhenTheyAreDue(t *testing.T) {
	fsys := vfs.NewMem()
	c := New(fsys, slog.New(slog.DiscardHandler))
	for i, name := range []string{"a", "b"} {
		if _, err := fsys.Create(name); err != nil {
			t.Fatal(err)
		}
		c.Throw(Item{Name: name, DueMs: int64(10 * (i + 1))})
	}
	if err := fsys.MkdirAll("d/e"); err != nil {
		t.Fatal(err)
	}
	c.Throw(Item{Name: "d", Dir: true, DueMs: 20})
	c.Throw(Item{Name: "not there", DueMs: 5})
	for _, step := range []struct {
		nowMs, next int64
		left        int
	}{{9, 10, 3}, {10, 20, 2}, {20, math.MaxInt64, 0}} {
		if next := c.Remove(step.nowMs); next != step.next {
			t.Errorf("at %d the next is due at %d, want %d", step.nowMs, next, step.next)
		}
		if left, err := fsys.List(""); err != nil || len(left) != step.left {
			t.Errorf("at %d there are %v, want %d, %v", step.nowMs, left, step.left, err)
		}
	}
}
