package metalog

import (
	"errors"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/vfs"
)

func newest(r metadata.Record) int16 {
	_, hi := r.Versions()
	return hi
}

func encode(t testing.TB, at Entry, records ...metadata.Record) []byte {
	t.Helper()
	var e Encoder
	b, next, err := e.Append(nil, at, records, newest)
	if err != nil || next != at.BaseOffset+int64(len(records)) {
		t.Fatal(next, err)
	}
	return b
}

func sample(t testing.TB) []byte {
	return encode(t, Entry{LeaderEpoch: 3, TimestampMs: 5},
		&metarecord.TopicRecord{Name: "a", TopicId: wire.UUID{1}},
		&metarecord.PartitionRecord{TopicId: wire.UUID{1}, Replicas: []int32{1}, Isr: []int32{1}, Directories: []wire.UUID{{2}}})
}

func TestAGapInTheLogIsNotReplayed(t *testing.T) {
	p := Replayer{Delta: metadata.NewDelta(metadata.NewImage())}
	if err := p.Replay(encode(t, Entry{BaseOffset: 4}, &metarecord.NoOpRecord{})); err == nil || !strings.Contains(err.Error(), "from offset 0 to 3 are missing") {
		t.Fatalf("%v", err)
	}
}

func TestRecordsThatTheSnapshotHasAreNotReplayedAgain(t *testing.T) {
	d := metadata.NewDelta(metadata.NewImage())
	p := Replayer{Delta: d}
	b := sample(t)
	if err := p.Replay(b); err != nil {
		t.Fatal(err)
	}
	if err := p.Replay(b); err != nil {
		t.Fatalf("the same batch again: %v", err)
	}
	if img := d.Image(p.Next-1, p.Epoch); img.Offset != 1 || img.Epoch != 3 || img.PartitionCount() != 1 {
		t.Fatalf("%+v", img)
	}
}

func TestARecordOfANewerVersionIsRefusedWithAdvice(t *testing.T) {
	var builder record.Builder
	builder.Reset(Entry{}.spec(false))
	if err := builder.Append(0, nil, []byte{1, 99, 0, 0}); err != nil {
		t.Fatal(err)
	}
	b, err := builder.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := Replayer{Delta: metadata.NewDelta(metadata.NewImage())}
	if err := p.Replay(b); !errors.Is(err, metarecord.ErrUnknownType) || !strings.Contains(err.Error(), "a newer version wrote") {
		t.Fatalf("%v", err)
	}
}

func TestALogThatEndsBeforeItsSnapshotIsRefused(t *testing.T) {
	snapshots := &Snapshots{FS: vfs.NewMem(), Dir: "d"}
	img := metadata.NewDelta(metadata.NewImage()).Image(41, 2)
	if _, err := snapshots.Write(img, 7, newest); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(&Memory{}, snapshots); err == nil || !strings.Contains(err.Error(), "the log has lost its end") {
		t.Fatalf("%v", err)
	}
}

// TestASnapshotAppearsWholeOrNotAtAll cuts the power at each write of one.
func TestASnapshotAppearsWholeOrNotAtAll(t *testing.T) {
	d := metadata.NewDelta(metadata.NewImage())
	if err := (&Replayer{Delta: d}).Replay(sample(t)); err != nil {
		t.Fatal(err)
	}
	img := d.Image(1, 3)
	mem := vfs.NewMem()
	var crashes []*vfs.Mem
	mem.SetHook(func(op vfs.Op) error {
		if op.Kind.Changes() {
			crashes = append(crashes, nil)
		}
		return nil
	})
	snapshots := &Snapshots{FS: mem, Dir: "d"}
	if _, err := snapshots.Write(img, 7, newest); err != nil {
		t.Fatal(err)
	}
	for n := range crashes {
		for _, keep := range []float64{0, 0.5, 1} {
			mem := vfs.NewMem()
			stop := errors.New("power cut")
			ops := 0
			mem.SetHook(func(op vfs.Op) error {
				if op.Kind.Changes() {
					if ops++; ops > n {
						return stop
					}
				}
				return nil
			})
			if _, err := (&Snapshots{FS: mem, Dir: "d"}).Write(img, 7, newest); !errors.Is(err, stop) {
				t.Fatalf("cut before change %d: %v", n, err)
			}
			after := &Snapshots{FS: mem.CrashClone(vfs.Crash{Keep: keep, Tear: 0.5, Seed: uint64(n)}), Dir: "d"}
			ids, err := after.List()
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if _, _, err := after.Load(id); err != nil {
					t.Fatalf("cut before change %d, keep %v: %v", n, keep, err)
				}
			}
			if _, err := after.Retain(2); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func FuzzReplay(f *testing.F) {
	f.Add(sample(f))
	var e Encoder
	control, err := e.AppendControl(nil, Entry{}, metarecord.LeaderChange, 0, &metarecord.LeaderChangeMessage{LeaderId: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(control, sample(f)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A damaged batch rarely passes its CRC; give it a right one so that the
		// records behind are reached.
		if batch, _, err := record.Next(b); err == nil && batch.CheckHeader() == nil {
			batch.SetProducer(-1, -1, -1)
		}
		p := Replayer{Delta: metadata.NewDelta(metadata.NewImage())}
		if p.Replay(b) == nil {
			p.Delta.Image(p.Next-1, p.Epoch)
		}
	})
}

// BenchmarkRecover replays 10,000 partitions and ten elections of each, 6 MB of
// log.
func BenchmarkRecover(b *testing.B) {
	const topics, elections = 10_000, 10
	log := &Memory{}
	offset := int64(0)
	write := func(records ...metadata.Record) {
		batches := encode(b, Entry{BaseOffset: offset, LeaderEpoch: 1}, records...)
		if err := log.Append(batches, 1); err != nil {
			b.Fatal(err)
		}
		offset += int64(len(records))
	}
	for n := range topics {
		id := wire.UUID{1, byte(n), byte(n >> 8)}
		write(&metarecord.TopicRecord{Name: id.String(), TopicId: id},
			&metarecord.PartitionRecord{TopicId: id, Replicas: []int32{1}, Isr: []int32{1}, Directories: []wire.UUID{{2}}})
	}
	for range elections {
		var records []metadata.Record
		for n := range topics {
			r := &metarecord.PartitionChangeRecord{}
			r.SetDefaults()
			r.TopicId, r.PartitionId, r.Leader, r.Isr = wire.UUID{1, byte(n), byte(n >> 8)}, 0, 1, []int32{1}
			records = append(records, r)
		}
		write(records...)
	}
	snapshots := &Snapshots{FS: vfs.NewMem(), Dir: "d"}
	b.ReportAllocs()
	for b.Loop() {
		r, err := Recover(log, snapshots)
		if err != nil || r.Image.PartitionCount() != topics {
			b.Fatal(err)
		}
		b.SetBytes(int64(r.LogBytes))
	}
}
