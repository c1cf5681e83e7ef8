package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

var all = []Codec{None, Gzip, Snappy, Lz4, Zstd}

const plenty = 64 << 20

func inputs() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return map[string][]byte{
		"nothing":  {},
		"one byte": {7},
		"text":     []byte(strings.Repeat(`{"user":"naru","ferry":12},`, 9000)),
		"noise":    noise,
		"zeros":    make([]byte, 1<<20),
	}
}

func TestEveryCodecGivesBackWhatItWasGiven(t *testing.T) {
	for name, in := range inputs() {
		for _, c := range all {
			packed, err := Compress([]byte("before"), in, c, c.DefaultLevel())
			if err != nil {
				t.Fatalf("%s %s: %v", name, c, err)
			}
			if !bytes.HasPrefix(packed, []byte("before")) {
				t.Fatalf("%s %s: Compress did not append", name, c)
			}
			packed = packed[len("before"):]
			out, err := Decompress([]byte("kept"), packed, c, len(in))
			if err != nil {
				t.Fatalf("%s %s: %v", name, c, err)
			}
			if !bytes.HasPrefix(out, []byte("kept")) || !bytes.Equal(out[4:], in) {
				t.Errorf("%s %s: got %d bytes back for %d", name, c, len(out)-4, len(in))
			}
		}
	}
}

func TestEveryAllowedLevelWorksAndOthersAreRefused(t *testing.T) {
	in := inputs()["text"]
	for _, tc := range []struct {
		codec     Codec
		good, bad []int
	}{
		{Gzip, []int{-1, 1, 5, 9}, []int{-2, 0, 10}},
		{Lz4, []int{1, 2, 9, 10, 17}, []int{-1, 0, 18}},
		{Zstd, []int{-131072, -1, 0, 1, 3, 10, 22}, []int{-131073, 23}},
		{Snappy, []int{0, 99}, nil},
	} {
		for _, level := range tc.good {
			packed, err := Compress(nil, in, tc.codec, level)
			if err != nil {
				t.Errorf("%s level %d: %v", tc.codec, level, err)
				continue
			}
			if out, err := Decompress(nil, packed, tc.codec, plenty); err != nil || !bytes.Equal(out, in) {
				t.Errorf("%s level %d: does not round-trip: %v", tc.codec, level, err)
			}
		}
		for _, level := range tc.bad {
			if _, err := Compress(nil, in, tc.codec, level); !errors.Is(err, ErrLevel) {
				t.Errorf("%s level %d: got %v, want ErrLevel", tc.codec, level, err)
			}
		}
	}
}

func TestADecompressionBombStopsAtItsLimit(t *testing.T) {
	in := make([]byte, 32<<20)
	for _, c := range all {
		packed, err := Compress(nil, in, c, c.DefaultLevel())
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{0, 1, 4096, 100_000, len(in) - 1} {
			out, err := Decompress(nil, packed, c, limit)
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s with limit %d: got %v, want ErrTooLarge", c, limit, err)
			}
			if cap(out) > 2*limit+(1<<20) {
				t.Errorf("%s with limit %d: %d bytes allocated", c, limit, cap(out))
			}
		}
	}
}

func TestTruncatedInputIsCorrupt(t *testing.T) {
	in := inputs()["text"]
	for _, c := range all[1:] {
		packed, err := Compress(nil, in, c, c.DefaultLevel())
		if err != nil {
			t.Fatal(err)
		}
		for cut := range len(packed) {
			if cut > 64 && cut%97 != 0 {
				continue
			}
			out, err := Decompress(nil, packed[:cut], c, plenty)
			// An xerial stream may end after any whole block.
			if err == nil && (c != Snappy || bytes.Equal(out, in)) {
				t.Fatalf("%s cut to %d of %d bytes is accepted", c, cut, len(packed))
			}
		}
	}
}

func TestSnappyReadsRawBlocksAndXerialFrames(t *testing.T) {
	in := inputs()["text"]
	if out, err := Decompress(nil, s2.EncodeSnappy(nil, in), Snappy, plenty); err != nil || !bytes.Equal(out, in) {
		t.Errorf("raw block: %v", err)
	}
	framed, _ := Compress(nil, in, Snappy, 0)
	want := append(xerialMagic(), 0, 0, 0, 1, 0, 0, 0, 1)
	if !bytes.HasPrefix(framed, want) {
		t.Errorf("frame starts %x, want %x", framed[:16], want)
	}
}

func TestSnappyDeclaredLengthIsNotBelieved(t *testing.T) {
	lie := binary.AppendUvarint(nil, 1<<31)
	lie = append(lie, 0, 'x')
	if out, err := Decompress(nil, lie, Snappy, 1<<32); !errors.Is(err, ErrCorrupt) || cap(out) > 1<<20 {
		t.Errorf("got %v and %d bytes", err, cap(out))
	}
}

func TestZstdFrameWithUnknownSizeAndWideWindowIsRead(t *testing.T) {
	in := bytes.Repeat([]byte("ferry landing "), 200_000)
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed, zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(in); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := Decompress(nil, packed.Bytes(), Zstd, len(in))
	if err != nil || !bytes.Equal(out, in) {
		t.Errorf("got %d of %d bytes: %v", len(out), len(in), err)
	}
}

func TestCodecNames(t *testing.T) {
	for _, c := range all {
		if got, err := ParseCodec(c.String()); err != nil || got != c {
			t.Errorf("ParseCodec(%q) = %v, %v", c.String(), got, err)
		}
	}
	if _, err := ParseCodec("brotli"); !errors.Is(err, ErrUnknownCodec) {
		t.Errorf("brotli: %v", err)
	}
	if _, err := Compress(nil, nil, 5, 0); !errors.Is(err, ErrUnknownCodec) {
		t.Errorf("codec 5: %v", err)
	}
	if _, err := Decompress(nil, nil, 7, 0); !errors.Is(err, ErrUnknownCodec) {
		t.Errorf("codec 7: %v", err)
	}
}

func FuzzDecompress(f *testing.F) {
	for _, in := range inputs() {
		in = in[:min(len(in), 500)]
		for _, c := range all {
			packed, err := Compress(nil, in, c, c.DefaultLevel())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(int8(c), packed)
		}
	}
	f.Fuzz(func(t *testing.T, codec int8, in []byte) {
		const limit = 1 << 16
		out, err := Decompress(nil, in, Codec(codec), limit)
		if err == nil && len(out) > limit {
			t.Fatalf("%d bytes exceed the limit", len(out))
		}
		if err != nil && len(out) != 0 {
			t.Fatalf("%d bytes beside an error", len(out))
		}
		if err != nil {
			return
		}
		c := Codec(codec)
		packed, err := Compress(nil, out, c, c.DefaultLevel())
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decompress(nil, packed, c, limit)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("%s does not round-trip: %v", c, err)
		}
	})
}

func BenchmarkDecompress(b *testing.B) {
	in := []byte(strings.Repeat(`{"user":"naru","ferry":12,"quay":"north"},`, 1<<20/42))
	for _, c := range all {
		packed, _ := Compress(nil, in, c, c.DefaultLevel())
		b.Run(fmt.Sprint(c), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			var out []byte
			for b.Loop() {
				out, _ = Decompress(out[:0], packed, c, plenty)
			}
		})
	}
}

func BenchmarkCompress(b *testing.B) {
	in := []byte(strings.Repeat(`{"user":"naru","ferry":12,"quay":"north"},`, 1<<20/42))
	for _, c := range all {
		b.Run(fmt.Sprint(c), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			var out []byte
			for b.Loop() {
				out, _ = Compress(out[:0], in, c, c.DefaultLevel())
			}
		})
	}
}
