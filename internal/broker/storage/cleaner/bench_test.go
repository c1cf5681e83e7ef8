package cleaner

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/producerstate"
	"github.com/naru-stream/naru/internal/kafka/compress"
	"github.com/naru-stream/naru/internal/kafka/record"
)

// BenchmarkClean cleans a log of which about a third of the records lives, with more keys than a cache holds.
func BenchmarkClean(b *testing.B) {
	for _, size := range []int{100, 1000} {
		for _, codec := range []compress.Codec{compress.None, compress.Lz4} {
			b.Run(fmt.Sprintf("%dB/%s", size, codec), func(b *testing.B) { benchmarkClean(b, size, codec) })
		}
	}
}

func benchmarkClean(b *testing.B, recordSize int, codec compress.Codec) {
	const logBytes, segmentBytes, batch = 256 << 20, 8 << 20, 64
	rng := rand.New(rand.NewPCG(1, 1))
	records := logBytes / recordSize
	value := make([]byte, recordSize)
	for i := range value {
		value[i] = "etaoin shrdlu"[rng.IntN(13)]
	}
	filled := newMemLog()
	var builder record.Builder
	for range records / batch {
		spec := record.DefaultSpec()
		spec.BaseOffset, spec.Codec, spec.Level = filled.end, codec, codec.DefaultLevel()
		builder.Reset(spec)
		for range batch {
			if err := builder.Append(1, fmt.Appendf(nil, "key-%09d", rng.IntN(records/3)), value); err != nil {
				b.Fatal(err)
			}
		}
		bytes, err := builder.Build(nil)
		if err != nil {
			b.Fatal(err)
		}
		filled.append(bytes, producerstate.Client, 1)
		if len(filled.segments[len(filled.segments)-1].data) > segmentBytes {
			filled.roll()
		}
	}
	filled.roll()
	segments := filled.segments
	size := int64(len(filled.full))
	b.SetBytes(size)
	b.ReportAllocs()
	limits := Limits{DedupeBufferBytes: 128 << 20, BufferBytes: 256 << 10, Pace: noPace}
	before := cpuSeconds(b)
	for b.Loop() {
		filled.segments, filled.cleaned = segments, 0
		p, _ := filled.Picture()
		if _, err := Clean(b.Context(), filled, Make(p, 2), filled.policy, 2, limits); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpuSeconds(b)-before)*1e9/float64(b.N*records), "cpu-ns/record")
}

// cpuSeconds is what this process has used: it holds on a busy machine.
func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
