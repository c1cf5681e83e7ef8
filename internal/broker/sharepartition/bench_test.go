package sharepartition

import "testing"

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
		p.Complete(c, true, s, 0)
	}
}
