package index

import (
	"errors"
	"math"
	"testing"
)

func filled(n int, step, interval int64) *Index {
	x := &Index{}
	maxTs := int64(math.MinInt64)
	for i := range int64(n) {
		x.Add(Entry{RelativeOffset: uint32(i * 10), Position: uint32(i * step), MaxTimestampBefore: maxTs}, interval)
		maxTs = 1000 + i
	}
	return x
}

func TestLookupsFindTheLastBoundaryBefore(t *testing.T) {
	x := filled(100, 1000, 4000) // entries at batch 4, 8, …
	for _, c := range []struct {
		name      string
		got, want Entry
	}{
		{"before the first", x.Offset(39), Entry{MaxTimestampBefore: math.MinInt64}},
		{"exact offset", x.Offset(40), Entry{40, 4000, 1003}},
		{"between", x.Offset(79), Entry{40, 4000, 1003}},
		{"beyond the end", x.Offset(math.MaxUint32), Entry{960, 96000, 1095}},
		{"position", x.Position(8500), Entry{80, 8000, 1007}},
		{"timestamp", x.Timestamp(1008), Entry{80, 8000, 1007}},
		{"equal timestamp lies before", x.Timestamp(1007), Entry{40, 4000, 1003}},
		{"early timestamp", x.Timestamp(0), Entry{MaxTimestampBefore: math.MinInt64}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, c.got, c.want)
		}
	}
	x.Truncate(8000)
	if x.Len() != 1 {
		t.Fatalf("after truncation %d entries", x.Len())
	}
}

func TestAFullIndexThinsAndStaysBounded(t *testing.T) {
	x := filled(5*MaxEntries, 100, 1)
	if x.Len() > MaxEntries || x.Len() < MaxEntries/2 {
		t.Fatalf("%d entries", x.Len())
	}
	for i := int64(0); i < 5*MaxEntries; i += 997 {
		e := x.Offset(uint32(i * 10))
		if int64(e.Position) > i*100 || i*100-int64(e.Position) > 100*32 {
			t.Fatalf("boundary %d for batch at %d", e.Position, i*100)
		}
	}
}

func TestASidecarReadsBackAndDamageIsSeen(t *testing.T) {
	x := filled(50, 1000, 1)
	h := Header{BaseOffset: 7, NextOffset: 500, Size: 50000, MaxTimestamp: 1049, MaxTimestampOffset: 497}
	b := x.Encode(nil, h)
	y, got, err := Decode(b)
	if err != nil || got != h || y.Len() != x.Len() || y.Offset(123) != x.Offset(123) {
		t.Fatalf("read back: %v %+v", err, got)
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 0x10
		if _, _, err := Decode(bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if _, _, err := Decode(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	x := filled(MaxEntries, 4096, 1)
	b.ReportAllocs()
	i := uint32(0)
	for b.Loop() {
		i += 7919
		x.Offset(i % (MaxEntries * 10))
	}
}

func TestTheCacheDropsWhatWasUsedLongestAgo(t *testing.T) {
	one := filled(10, 100, 1)
	c := NewCache[string](3 * (one.Bytes() + overhead))
	for _, k := range []string{"a", "b", "c"} {
		c.Put(k, one)
	}
	c.Get("a")
	c.Put("d", one)
	c.Forget("c")
	for k, want := range map[string]bool{"a": true, "b": false, "c": false, "d": true} {
		if got := c.Get(k) != nil; got != want {
			t.Errorf("%s is here: %v", k, got)
		}
	}
	if c.bytes != 2*(one.Bytes()+overhead) {
		t.Errorf("%d bytes counted", c.bytes)
	}
}
