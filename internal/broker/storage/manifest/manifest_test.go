package manifest

import (
	"errors"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() []byte {
	b := AppendHeader(nil, false)
	b = AppendOpen(b, "boot")
	b = AppendCreate(b, 1, "orders", [16]byte{1, 2}, 3)
	b = AppendSegment(b, 1, Segment{BaseOffset: 0, NextOffset: 10, Size: 100, MaxTimestamp: 5, Sealed: true})
	b = AppendSegment(b, 1, Segment{BaseOffset: 10, NextOffset: 10})
	b = AppendPoint(b, 1, Point{LogStartOffset: 1, RecoveryPoint: 10, LogEndOffset: 12, SnapshotOffset: 9, HasSnapshot: true})
	b = AppendEpochs(b, 1, []Epoch{{0, 0}, {4, 9}})
	b = AppendCreate(b, 2, "gone", [16]byte{9}, 0)
	b = AppendDrop(b, 2)
	b = AppendSegment(b, 1, Segment{BaseOffset: 10, NextOffset: 20, Size: 77, MaxTimestamp: -1})
	return AppendCut(b, 1, 0)
}

func want() *Partition {
	return &Partition{
		ID: 1, Topic: "orders", TopicID: [16]byte{1, 2}, Partition: 3,
		Point:    Point{LogStartOffset: 1, RecoveryPoint: 10, LogEndOffset: 12, SnapshotOffset: 9, HasSnapshot: true},
		Epochs:   []Epoch{{0, 0}, {4, 9}},
		Segments: []Segment{{BaseOffset: 10, NextOffset: 20, Size: 77, MaxTimestamp: -1}},
	}
}

func TestEditsReplayToTheState(t *testing.T) {
	s, err := Read(sample())
	if err != nil || s.Reason != nil || s.Clean || s.BootID != "boot" {
		t.Fatalf("%v %+v", err, s)
	}
	if d := cmp.Diff(map[uint32]*Partition{1: want()}, s.Partitions); d != "" {
		t.Fatal(d)
	}
	if s, _ = Read(AppendClean(sample())); !s.Clean {
		t.Fatal("not clean")
	}
	if s, _ = Read(AppendOpen(AppendClean(sample()), "x")); s.Clean {
		t.Fatal("clean while open")
	}
	for version, journal := range []bool{false, true} {
		b := AppendPartition(AppendHeader(nil, journal), want())
		if b[11] != byte(version+1) {
			t.Fatalf("version %d with a journal: %v", b[11], journal)
		}
		rewritten, err := Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[uint32]*Partition{1: want()}, rewritten.Partitions); d != "" {
			t.Fatal(d)
		}
	}
}

func TestDamageEndsTheManifestAndIsNeverClean(t *testing.T) {
	b := AppendClean(sample())
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 0x40
		if s, err := Read(bad); err == nil && (s.Reason == nil || s.Clean) {
			t.Fatalf("byte %d flipped unseen", i)
		}
		if s, err := Read(b[:i]); err == nil && s.Clean {
			t.Fatalf("cut at %d is clean", i)
		}
	}
}

func TestANewerVersionIsToldApart(t *testing.T) {
	b := AppendHeader(nil, false)
	b[11] = 9
	copy(b[12:], reHeader(b))
	if _, err := Read(b); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample())
	f.Add(AppendClean(sample()))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = Read(b) // must not panic
	})
}

func reHeader(b []byte) []byte {
	crc := crc32.Checksum(b[:12], castagnoli)
	return []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}
}
