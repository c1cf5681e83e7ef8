package recovery

import (
	"errors"
	"log/slog"
	"path"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/broker/storage/damage"
	"github.com/naru-stream/naru/internal/broker/storage/journal"
	"github.com/naru-stream/naru/internal/broker/storage/manifest"
	"github.com/naru-stream/naru/internal/broker/storage/segmentfile"
	"github.com/naru-stream/naru/internal/broker/storage/sidecar"
	"github.com/naru-stream/naru/internal/kafka/record"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/script"
	"github.com/naru-stream/naru/internal/vfs"
)

// scene is a directory with one partition, t-0, as a node left it.
type scene struct {
	*script.Output
	t       *testing.T
	fs      *vfs.Mem
	state   *manifest.State
	known   *manifest.Partition
	journal *journal.Journal[string]
	lost    bool // the manifest is
}

const (
	dir       = "/data"
	partition = dir + "/t-0"
)

var topicID = wire.UUID{1, 2, 3}

// TestScripts plays testdata/*.txt:
//
//	write BASE FIRST-LAST … [epoch=]   batches at the end of a segment, which is made if need be
//	know BASE [sealed]                 the manifest learns what the segment has
//	point [start=] [synced=]           and where the log starts and is synced to
//	journal BASE FIRST-LAST …          the journal gets the batches, for the segment's end
//	cut BASE N · tear BASE · flip BASE POSITION
//	                                   the segment loses N bytes, gets a torn batch, a byte changes
//	touch NAME                         an empty file
//	swap BASE NEXT FIRST-LAST …        a compaction's result is ready
//	lose manifest|meta                 the file is gone
//	reboot                             the machine stopped as well
//	recover                            shows what there is, the files, the damage
func TestScripts(t *testing.T) {
	script.Run(t, func(t *testing.T, out *script.Output) func(op, args string) {
		s := &scene{Output: out, t: t, fs: vfs.NewMem()}
		s.fs.SetBootID("first")
		s.known = &manifest.Partition{ID: 1, Topic: "t", TopicID: topicID, Point: manifest.Point{SnapshotOffset: -1}}
		s.state = &manifest.State{BootID: "first", Partitions: map[uint32]*manifest.Partition{1: s.known}}
		s.do(s.fs.MkdirAll(partition))
		s.do(sidecar.WritePartition(s.fs, path.Join(partition, sidecar.PartitionFile), "t", topicID, 0))
		s.journal = journal.New[string](s.fs, dir, 1<<20)
		return func(op, args string) { s.step(op, script.Parse(t, args)) }
	})
}

func (s *scene) do(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) file(base int64) string {
	return path.Join(partition, segmentfile.Name(base, segmentfile.LogSuffix))
}

func (s *scene) step(op string, a script.Args) {
	base := int64(0)
	if len(a.Words) > 0 && op != "touch" && op != "lose" {
		base = a.Number(a.Words[0])
	}
	switch op {
	case "write":
		s.append(s.file(base), batches(a, a.Words[1:]))
	case "know":
		s.know(base, a.Has("sealed"))
	case "point":
		s.known.LogStartOffset, s.known.RecoveryPoint = a.Num("start", 0), a.Num("synced", 0)
	case "journal":
		s.writeJournal(base, batches(a, a.Words[1:]))
	case "cut":
		s.change(base, func(f vfs.File, size int64) error { return f.Truncate(size - a.Number(a.Words[1])) })
	case "tear":
		b := batches(a, []string{"99-99"})
		s.append(s.file(base), b[:len(b)-3])
	case "flip":
		s.change(base, func(f vfs.File, _ int64) error {
			_, err := f.WriteAt([]byte{0xff}, a.Number(a.Words[1]))
			return err
		})
	case "touch":
		s.append(path.Join(partition, a.Words[0]), nil)
	case "swap":
		s.append(path.Join(partition, segmentfile.SwapName(base, a.Number(a.Words[1]))), batches(a, a.Words[2:]))
	case "lose":
		s.lose(a.Words[0])
	case "reboot":
		s.fs.SetBootID("second")
	case "recover":
		s.recover()
	default:
		a.Fatalf("unknown step %q", op)
	}
}

// batches makes a batch of each "5-9".
func batches(a script.Args, spans []string) (out []byte) {
	for _, span := range spans {
		first, last, _ := strings.Cut(span, "-")
		spec := record.DefaultSpec()
		spec.BaseOffset, spec.PartitionLeaderEpoch = a.Number(first), int32(a.Num("epoch", 0))
		var bl record.Builder
		bl.Reset(spec)
		for n := a.Number(first); n <= a.Number(last); n++ {
			if err := bl.Append(n, []byte("key"), []byte("value")); err != nil {
				a.Fatal(err)
			}
		}
		b, err := bl.Build(nil)
		if err != nil {
			a.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func (s *scene) append(name string, b []byte) {
	f, err := s.fs.Open(name)
	if err != nil {
		f, err = s.fs.Create(name)
	}
	s.do(err)
	size, err := f.Size()
	s.do(err)
	_, err = f.WriteAt(b, size)
	s.do(errors.Join(err, f.Close()))
}

func (s *scene) change(base int64, do func(f vfs.File, size int64) error) {
	f, err := s.fs.Open(s.file(base))
	s.do(err)
	size, err := f.Size()
	s.do(err)
	s.do(errors.Join(do(f, size), f.Close()))
}

func (s *scene) know(base int64, sealed bool) {
	s.change(base, func(f vfs.File, size int64) error {
		sum, err := segmentfile.Summarize(f, base, size, 4096, make([]byte, segmentfile.Chunk))
		sum.Sealed = sealed
		s.known.Segments = append(s.known.Segments, sum.Segment)
		return err
	})
}

func (s *scene) writeJournal(base int64, b []byte) {
	if s.journal.Room() == 0 {
		s.do(s.journal.Switch())
	}
	s.change(base, func(_ vfs.File, size int64) error {
		at := journal.Place{TopicID: topicID, SegmentBase: base, Position: size}
		return s.journal.Add("t-0", at, len(b), func(to []byte) error { copy(to, b); return nil })
	})
	s.do(s.journal.Append())
}

func (s *scene) lose(what string) {
	switch what {
	case "manifest":
		s.lost, s.state = true, &manifest.State{}
	case "meta":
		s.do(s.fs.Remove(path.Join(partition, sidecar.PartitionFile)))
	default:
		s.t.Fatalf("cannot lose %q", what)
	}
}

func (s *scene) recover() {
	d := &Directory{FS: s.fs, Path: dir, Manifest: s.state, Trusted: !s.lost, Logger: slog.New(slog.DiscardHandler), Damage: damage.NewList(slog.New(slog.DiscardHandler))}
	found, _, err := d.Partitions()
	s.do(err)
	for _, p := range found {
		log, err := p.Recover(4096)
		s.do(err)
		s.Say("%s starts at %d, is durable to %d, ends at %d; %d bytes checked, %d cut off", p, log.LogStartOffset, log.RecoveryPoint, log.LogEndOffset, log.Scanned, log.Cut)
		for _, seg := range log.Segments {
			s.Say("segment %d to %d: %d bytes, %d synced, sealed %t, file %t", seg.BaseOffset, seg.NextOffset, seg.Size, seg.Synced, seg.Sealed, seg.HasFile)
		}
		if epochs := log.Epochs.All(); len(epochs) > 0 {
			s.Say("epochs %v", epochs)
		}
	}
	for _, x := range d.Damage.All() {
		s.Say("damage: %s", x)
	}
	entries, err := s.fs.List(partition)
	s.do(err)
	for _, e := range entries {
		s.Say("file %s", e.Name)
	}
}
