package epochs

import (
	"fmt"
	"testing"
)

func TestEpochsAscendAndAreCutAtBothEnds(t *testing.T) {
	var c Cache
	for _, e := range [][2]int64{{0, 0}, {1, 10}, {2, 10}, {2, 15}, {1, 20}, {5, 30}} {
		c.Note(int32(e[0]), e[1])
	}
	if got := fmt.Sprint(c.All()); got != "[{0 0} {2 10} {5 30}]" {
		t.Fatal(got)
	}
	c.TruncateFrom(30)
	if !c.TruncateBefore(12) || c.TruncateBefore(12) {
		t.Fatal("cutting at the start says wrongly what changed")
	}
	if got := fmt.Sprint(c.All()); got != "[{2 12}]" || c.Latest() != 2 || c.At(11) != None || c.At(12) != 2 {
		t.Fatal(got)
	}
}

func TestAnEpochEndsWhereTheNextOneBegins(t *testing.T) {
	var c Cache
	if e, end := c.EndOffset(0, 9); e != None || end != -1 {
		t.Fatal(e, end)
	}
	c.Note(3, 5)
	c.Note(7, 20)
	for _, w := range []struct {
		ask, epoch int32
		end        int64
	}{{1, 1, 5}, {3, 3, 20}, {5, 3, 20}, {7, 7, 99}, {8, None, -1}} {
		if e, end := c.EndOffset(w.ask, 99); e != w.epoch || end != w.end {
			t.Errorf("epoch %d ends at (%d, %d), want (%d, %d)", w.ask, e, end, w.epoch, w.end)
		}
	}
}
