package network

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/vfs"
)

// BenchmarkEcho measures a round trip of 100 bytes: the ceiling of everything
// that a broker can do with small requests.
func BenchmarkEcho(b *testing.B) {
	for _, bench := range []struct{ conns, depth int }{{1, 1}, {16, 1}, {1, 5}, {16, 5}} {
		b.Run(fmt.Sprintf("conns=%d/depth=%d", bench.conns, bench.depth), func(b *testing.B) {
			s := start(b, Limits{}, echo)
			s.buffers.poison = false
			runEcho(b, s.Listeners()[0].Addr().String(), bench.conns, bench.depth)
		})
	}
}

// BenchmarkCeilingEcho is the same against a server that does nothing but read
// frames through a buffer and write them back: what BenchmarkEcho is held
// against.
func BenchmarkCeilingEcho(b *testing.B) {
	for _, bench := range []struct{ conns, depth int }{{1, 1}, {16, 1}, {1, 5}, {16, 5}} {
		b.Run(fmt.Sprintf("conns=%d/depth=%d", bench.conns, bench.depth), func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					go bareEcho(nc)
				}
			}()
			runEcho(b, l.Addr().String(), bench.conns, bench.depth)
		})
	}
}

func bareEcho(nc net.Conn) {
	defer nc.Close()
	br, bw := bufio.NewReaderSize(nc, 16<<10), bufio.NewWriterSize(nc, 16<<10)
	buf := make([]byte, 4096)
	for {
		if _, err := io.ReadFull(br, buf[:4]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(buf))
		if _, err := io.ReadFull(br, buf[4:4+n]); err != nil {
			return
		}
		bw.Write(buf[:4+n])
		if br.Buffered() == 0 {
			bw.Flush()
		}
	}
}

func runEcho(b *testing.B, addr string, conns, depth int) {
	b.ReportAllocs()
	var next atomic.Int64
	done := make(chan struct{})
	b.ResetTimer()
	for range conns {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		go func() {
			defer func() { done <- struct{}{} }()
			msg := frame(payload(96, "x"))
			var batch []byte
			for range depth {
				batch = append(batch, msg...)
			}
			in := make([]byte, len(batch))
			for next.Add(int64(depth)) <= int64(b.N+depth) {
				if _, err := nc.Write(batch); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(nc, in); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	for range conns {
		<-done
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkEchoBesideBulkReaders measures small round trips while other clients
// read a file as fast as they can.
func BenchmarkEchoBesideBulkReaders(b *testing.B) {
	const readers, size = 8, 8 << 20
	f, _ := file(b, vfs.OS{}, b.TempDir()+"/f", size)
	s := start(b, Limits{}, func(r *Request) {
		if len(r.Frame()) == 20 {
			r.Respond(r.Buffer(), Insert{At: 4, Range: vfs.NewRange(f, 0, size)})
			return
		}
		echo(r)
	})
	var sent atomic.Int64
	for range readers {
		c := dial(b, s)
		go func() {
			request := frame(payload(20, "fetch"))
			buf := make([]byte, 256<<10)
			for left := 0; ; {
				if left == 0 {
					if _, err := c.nc.Write(request); err != nil {
						return
					}
					left = 4 + size
				}
				n, err := c.nc.Read(buf[:min(len(buf), left)])
				if err != nil {
					return
				}
				left -= n
				sent.Add(int64(n))
			}
		}()
	}
	c := dial(b, s)
	msg := payload(100, "x")
	var times []time.Duration
	before := sent.Load()
	for b.Loop() {
		begin := time.Now()
		c.send(msg)
		c.want(msg)
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(sent.Load()-before)/1e6/b.Elapsed().Seconds(), "bulk-MB/s")
}
