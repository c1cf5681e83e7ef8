package pmap

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// check fails the test unless m holds exactly want, in order, in a well-formed tree.
func check(t *testing.T, m Map[int, string], want map[int]string) {
	t.Helper()
	if m.Len() != len(want) {
		t.Fatalf("map has %d keys, want %d", m.Len(), len(want))
	}
	keys := slices.Sorted(maps.Keys(want))
	i := 0
	for k, v := range m.All() {
		if i >= len(keys) || k != keys[i] || v != want[k] {
			t.Fatalf("entry %d is %d=%q, want %v", i, k, v, keys[min(i, len(keys)-1)])
		}
		i++
	}
	if i != len(keys) {
		t.Fatalf("iteration ended after %d of %d keys", i, len(keys))
	}
	if m.root != nil {
		depth(t, m.root)
	}
}

func depth(t *testing.T, n *node[int, string]) int {
	t.Helper()
	if len(n.keys) == 0 || len(n.keys) > fanOut || !slices.IsSorted(n.keys) {
		t.Fatalf("node with keys %v", n.keys)
	}
	if n.children == nil {
		return 1
	}
	d := depth(t, n.children[0])
	for i, c := range n.children {
		if depth(t, c) != d {
			t.Fatalf("leaves are not equally deep")
		}
		if c.keys[0] < n.keys[i] || i+1 < len(n.keys) && c.keys[len(c.keys)-1] >= n.keys[i+1] {
			t.Fatalf("child %d with keys %v lies outside of %v", i, c.keys, n.keys)
		}
	}
	return d + 1
}

func TestRandomEditsMatchABuiltInMapAndLeaveOldMapsAlone(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	type version struct {
		m    Map[int, string]
		want map[int]string
	}
	versions := []version{{New[int, string](cmp.Compare[int]), map[int]string{}}}
	for round := range 120 {
		from := versions[rng.IntN(len(versions))]
		e, want := from.m.Edit(), maps.Clone(from.want)
		grow := rng.IntN(3) > 0
		for range rng.IntN(600) {
			key := rng.IntN(2000)
			if grow == (rng.IntN(5) > 0) {
				e.Set(key, fmt.Sprint(round, key))
				want[key] = fmt.Sprint(round, key)
			} else {
				_, had := want[key]
				if e.Delete(key) != had {
					t.Fatalf("Delete(%d) said %v", key, !had)
				}
				delete(want, key)
			}
		}
		versions = append(versions, version{e.Map(), want})
		e.Set(-1, "after Map")
	}
	for _, v := range versions {
		check(t, v.m, v.want)
		for key := range 2000 {
			got, ok := v.m.Get(key)
			if want, had := v.want[key]; ok != had || got != want {
				t.Fatalf("Get(%d) = %q %v, want %q %v", key, got, ok, want, had)
			}
		}
	}
}

func TestFromStartsAtTheFirstKeyNotSmaller(t *testing.T) {
	e := New[int, string](cmp.Compare[int]).Edit()
	for i := range 1000 {
		e.Set(i*2, "")
	}
	m := e.Map()
	for _, first := range []int{-5, 0, 1, 2, 777, 1998, 1999, 5000} {
		want := max(0, (first+1)/2*2)
		for k := range m.From(first) {
			if k != want {
				t.Fatalf("From(%d) yields %d, want %d", first, k, want)
			}
			want += 2
			if k > first+200 {
				break
			}
		}
		if first > 1998 && want != max(0, (first+1)/2*2) {
			t.Fatalf("From(%d) yielded a key though none is left", first)
		}
	}
}

func TestDeletingEverythingLeavesAnEmptyUsableMap(t *testing.T) {
	e := New[int, string](cmp.Compare[int]).Edit()
	for i := range 5000 {
		e.Set(i, "x")
	}
	for i := range 5000 {
		e.Delete((i * 7919) % 5000)
	}
	check(t, e.Map(), map[int]string{})
	e.Set(3, "y")
	check(t, e.Map(), map[int]string{3: "y"})
}

func BenchmarkGetOf10000Names(b *testing.B) {
	e := New[string, int](cmp.Compare[string]).Edit()
	names := make([]string, 10000)
	for i := range names {
		names[i] = fmt.Sprintf("orders.eu-west.topic-%05d", i)
		e.Set(names[i], i)
	}
	m := e.Map()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Get(names[i%len(names)])
		i += 7919
	}
}

func BenchmarkSetOneOf10000Names(b *testing.B) {
	e := New[string, int](cmp.Compare[string]).Edit()
	names := make([]string, 10000)
	for i := range names {
		names[i] = fmt.Sprintf("orders.eu-west.topic-%05d", i)
		e.Set(names[i], i)
	}
	m := e.Map()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e := m.Edit()
		e.Set(names[i%len(names)], i)
		m = e.Map()
		i += 7919
	}
}
