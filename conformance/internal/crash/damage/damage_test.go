package damage

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

func TestATornTailKeepsWhatItMust(t *testing.T) {
	dir, p := t.TempDir(), wire.Partition{Topic: "t"}
	if err := os.Mkdir(filepath.Join(dir, p.String()), 0o755); err != nil {
		t.Fatal(err)
	}
	var whole []byte
	var ends []int
	for offset := range int64(6) {
		whole = append(whole, wire.Batch(offset*2, [][]byte{[]byte("a"), []byte("b")})...)
		ends = append(ends, len(whole))
	}
	path := filepath.Join(dir, p.String(), "00000000000000000000.log")
	for seed := range uint64(300) {
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		keep := random.Int64N(12)
		did, err := Torn(dir, p, keep, seed%2 == 0, random)
		if err != nil || did == "" {
			t.Fatalf("seed %d: %q %v", seed, did, err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		must := whole[:ends[keep/2]]
		if seed%2 == 1 {
			must = whole
		}
		if !bytes.HasPrefix(after, must) || bytes.Equal(after, whole) {
			t.Fatalf("seed %d, keep offset %d: %s: %d bytes of %d are left", seed, keep, did, len(after), len(whole))
		}
	}
}
