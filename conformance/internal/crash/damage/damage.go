// Package damage changes segment files of a server that was killed: as a write that was torn in the
// middle would have left them, or as a failing disk.
package damage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/naru-stream/naru/conformance/internal/crash/wire"
)

// Segment is a segment file.
type Segment struct {
	Path string
	Size int64
}

// Segments lists the segment files of a partition, in order.
func Segments(dataDir string, p wire.Partition) ([]Segment, error) {
	found, err := filepath.Glob(filepath.Join(dataDir, p.String(), strings.Repeat("[0-9]", 20)+".log"))
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	var list []Segment
	for _, path := range found {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		list = append(list, Segment{path, info.Size()})
	}
	return list, nil
}

// Batch is where a batch lies in a segment file.
type Batch struct {
	Base, Last int64 // offsets
	Start, End int64 // positions
}

// Batches walks a segment file up to the first batch that is not whole.
func (s Segment) Batches() ([]Batch, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []Batch
	var head [61]byte
	for at := int64(0); at+int64(len(head)) <= s.Size; {
		if _, err := f.ReadAt(head[:], at); err != nil {
			return list, err
		}
		size := 12 + int64(int32(binary.BigEndian.Uint32(head[8:])))
		if size < int64(len(head)) || at+size > s.Size || head[16] != 2 {
			break
		}
		base := int64(binary.BigEndian.Uint64(head[:]))
		list = append(list, Batch{base, base + int64(int32(binary.BigEndian.Uint32(head[23:]))), at, at + size})
		at += size
	}
	return list, nil
}

// Torn changes the end of a partition's active segment as a torn write would: bytes behind it, or bytes
// if cut allows it, cut off it, but none of the batches up to the one that holds offset keep. It says what
// it did; "" if there is no segment.
func Torn(dataDir string, p wire.Partition, keep int64, cut bool, random *rand.Rand) (string, error) {
	segments, err := Segments(dataDir, p)
	if err != nil || len(segments) == 0 {
		return "", err
	}
	s := segments[len(segments)-1]
	batches, err := s.Batches()
	if err != nil {
		return "", err
	}
	safe := int64(0)
	for _, b := range batches {
		if b.Base <= keep {
			safe = b.End
		}
	}
	name := p.String() + "/" + filepath.Base(s.Path)
	if cut && s.Size > safe {
		to := safe + random.Int64N(s.Size-safe)
		return fmt.Sprintf("%s cut from %d to %d bytes (acknowledged or read: %d)", name, s.Size, to, safe), os.Truncate(s.Path, to)
	}
	extra, what, err := tail(s, batches, random)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(s.Path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = f.Write(extra)
	return fmt.Sprintf("%s (%d bytes): %d bytes of %s added", name, s.Size, len(extra), what), err
}

// tail makes bytes that may lie behind the last batch after a torn write.
func tail(s Segment, batches []Batch, random *rand.Rand) ([]byte, string, error) {
	next, last := int64(0), Batch{}
	if len(batches) > 0 {
		last = batches[len(batches)-1]
		next = last.Last + 1
	} else if _, err := fmt.Sscanf(filepath.Base(s.Path), "%d.log", &next); err != nil {
		return nil, "", err
	}
	whole := wire.Batch(next, [][]byte{make([]byte, 200), make([]byte, 300)})
	switch random.IntN(5) {
	case 0:
		garbage := make([]byte, 1+random.IntN(5000))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		return garbage, "garbage", nil
	case 1:
		return make([]byte, 1+random.IntN(5000)), "zeros", nil
	case 2:
		return whole[:1+random.IntN(len(whole)-1)], "a batch's beginning", nil
	case 3:
		whole[len(whole)-1-random.IntN(100)] ^= 0x10
		return whole, "a batch with a wrong checksum", nil
	}
	if last.End == 0 {
		return whole[:20], "a batch's beginning", nil
	}
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	again := make([]byte, last.End-last.Start)
	_, err = f.ReadAt(again, last.Start)
	return again, "the last batch once more", err
}

// Flip inverts one bit inside a batch's records.
func (s Segment) Flip(b Batch) error {
	f, err := os.OpenFile(s.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var one [1]byte
	at := b.Start + 61 + (b.End-b.Start-61)/2
	if _, err := f.ReadAt(one[:], at); err != nil {
		return err
	}
	one[0] ^= 0x04
	_, err = f.WriteAt(one[:], at)
	return err
}

// Kept sums the bytes of a partition's segments and of what the server set aside of them.
func Kept(dataDir string, p wire.Partition) (int64, error) {
	entries, err := os.ReadDir(filepath.Join(dataDir, p.String()))
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".log") || strings.Contains(e.Name(), "quarantine") {
			info, err := e.Info()
			if err != nil {
				return 0, err
			}
			sum += info.Size()
		}
	}
	return sum, nil
}
