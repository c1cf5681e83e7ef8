package network

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
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
