package sharepartition

import (
	"strconv"
	"testing"
)

// BenchmarkAcquireAndAcknowledge is a member that takes 500 records in ten record
// batches and accepts them, again and again.
func BenchmarkAcquireAndAcknowledge(b *testing.B) {
	s := Settings{MaxDeliveries: 5, MaxLocks: 2000, LockMs: 30_000}
	p, err := Load(0, nil)
	if err != nil {
		b.Fatal(err)
	}
	log := make([]Extent, 10)
	types := []int8{Accept}
	var out []Range
	b.ReportAllocs()
	for b.Loop() {
		next := p.NextFetchOffset()
		for i := range log {
			log[i] = Extent{First: next + int64(i)*50, Last: next + int64(i)*50 + 49}
		}
		out = p.Acquire(&Acquire{Member: "m", MaxRecords: 500, BatchSize: 500, FetchOffset: next, Log: log}, s, out[:0])
		c, err := p.Acknowledge("m", []AckBatch{{out[0].First, out[len(out)-1].Last, types}}, s, 0)
		if err != nil {
			b.Fatal(err)
		}
		p.Complete(c, true)
	}
}

// BenchmarkAcknowledgeEachRecord is a member that accepts and releases the records of one
// batch by turns, the last first.
func BenchmarkAcknowledgeEachRecord(b *testing.B) {
	s := Settings{MaxDeliveries: 5, MaxLocks: 2000, LockMs: 30_000}
	for _, n := range []int64{100, 1000, 10_000} {
		var acks []AckBatch
		for o := n - 1; o >= 0; o-- {
			acks = append(acks, AckBatch{o, o, []int8{Accept + int8(o%2)}})
		}
		b.Run(strconv.FormatInt(n, 10), func(b *testing.B) {
			for b.Loop() {
				p, err := Load(0, nil)
				if err != nil {
					b.Fatal(err)
				}
				p.Acquire(&Acquire{Member: "m", MaxRecords: 500, BatchSize: 500, Log: []Extent{{First: 0, Last: n - 1}}}, s, nil)
				c, err := p.Acknowledge("m", acks, s, 0)
				if err != nil {
					b.Fatal(err)
				}
				p.Complete(c, true)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
		})
	}
}
