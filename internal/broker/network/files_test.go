package network

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/vfs"
)

// selfSigned returns a certificate for tests.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// file returns an open file with n random bytes.
func file(t testing.TB, fsys vfs.FS, name string, n int) (vfs.File, []byte) {
	t.Helper()
	data := make([]byte, n)
	mrand.NewChaCha8([32]byte{byte(n)}).Read(data)
	f, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return f, data
}

// TestFileRangesAreSentBetweenTheBytes sends every mix of small and large ranges
// from a real file and one in memory, over a socket and over TLS.
func TestFileRangesAreSentBetweenTheBytes(t *testing.T) {
	const size = 3 << 20
	dir := t.TempDir()
	mem := vfs.NewMem()
	if err := mem.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, fsys := range map[string]vfs.FS{"disk": vfs.OS{}, "memory": mem} {
		f, data := file(t, fsys, dir+"/00000000000000000000.log", size)
		for _, secure := range []bool{false, true} {
			t.Run(map[bool]string{false: name + "/socket", true: name + "/tls"}[secure], func(t *testing.T) {
				rng := mrand.New(mrand.NewPCG(1, 2))
				wants := make(chan []byte, 1)
				handler := func(r *Request) {
					var want []byte
					out := r.Buffer()
					var inserts []Insert
					for range 1 + rng.IntN(12) {
						text := payload(rng.IntN(300), "head")
						out = append(out, text...)
						want = append(want, text...)
						switch n := int64(1) << rng.IntN(21); rng.IntN(5) {
						case 0:
							inserts = append(inserts, Insert{At: len(out), Bytes: data[:n]})
							want = append(want, data[:n]...)
						case 1: // empty
							inserts = append(inserts, Insert{At: len(out), Range: vfs.NewRange(f, 5, 0)})
						default:
							off := rng.Int64N(size - n)
							inserts = append(inserts, Insert{At: len(out), Range: vfs.NewRange(f, off, n)})
							want = append(want, data[off:off+n]...)
						}
					}
					wants <- want
					r.Respond(out, inserts...)
				}
				s := startWith(t, Config{Listeners: []ListenerConfig{{Name: "L", Address: "127.0.0.1:0", TLS: map[bool]*tls.Config{true: selfSigned(t)}[secure]}}}, handler)
				c := dial(t, s)
				if secure {
					c.secure()
				}
				for i := range 40 {
					c.send(payload(20, "fetch"))
					got, err := c.receive()
					want := <-wants
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("answer %d: %d bytes, %v; want %d", i, len(got), err, len(want))
					}
				}
			})
		}
	}
}

func TestFileShorterThanItsRangeClosesTheConnection(t *testing.T) {
	f, _ := file(t, vfs.OS{}, t.TempDir()+"/f", 100<<10)
	for _, n := range []int64{smallRange - 1, smallRange, 90 << 10} {
		s := start(t, Limits{}, func(r *Request) {
			r.Respond(r.Buffer(), Insert{At: 4, Range: vfs.NewRange(f, 100<<10-n+1, n)})
		})
		c := dial(t, s)
		c.send(payload(20, "fetch"))
		c.wantClosed()
		if got := s.stats.Closes[ClosedFile].Load(); got != 1 {
			t.Errorf("range of %d: %d connections closed for their file, want 1", n, got)
		}
	}
}

func TestRangesAreReleasedWhenSentAndWhenTheClientIsGone(t *testing.T) {
	dir := t.TempDir()
	file(t, vfs.OS{}, dir+"/f", 8<<20)
	file(t, vfs.OS{}, dir+"/other", 1)
	cache := vfs.NewCache(vfs.OS{}, 1)
	h := cache.Handle(dir + "/f")
	other := cache.Handle(dir + "/other")
	released := func() bool {
		// With a limit of one, opening another file closes an idle one.
		for range 2 {
			if _, err := other.Acquire(); err != nil {
				t.Fatal(err)
			}
			other.Release()
		}
		return cache.Open() <= 1
	}
	handled := make(chan struct{}, 10)
	s := start(t, Limits{}, func(r *Request) {
		rg, err := h.Range(0, 8<<20)
		if err != nil {
			t.Error(err)
		}
		r.Respond(r.Buffer(), Insert{At: 4, Range: rg})
		handled <- struct{}{}
	})
	c := dial(t, s)
	c.send(payload(20, "fetch"))
	if got, err := c.receive(); err != nil || len(got) != 8<<20 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	eventually(t, "release of a range that was sent", released)
	c.send(payload(20, "fetch"), payload(20, "fetch"), payload(20, "fetch"))
	<-handled
	c.nc.Close()
	eventually(t, "release of ranges of a client that left", func() bool { return s.stats.Connections.Load() == 0 && released() })
}

// BenchmarkSendRange measures 1 MiB of a file to one client.
func BenchmarkSendRange(b *testing.B) {
	f, _ := file(b, vfs.OS{}, b.TempDir()+"/f", 1<<20)
	s := start(b, Limits{}, func(r *Request) {
		r.Respond(r.Buffer(), Insert{At: 4, Range: vfs.NewRange(f, 0, 1<<20)})
	})
	c := dial(b, s)
	request := frame(payload(20, "fetch"))
	in := make([]byte, 4+1<<20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.nc.Write(request); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < len(in); {
			got, err := c.nc.Read(in)
			if err != nil {
				b.Fatal(err)
			}
			n += got
		}
	}
}
