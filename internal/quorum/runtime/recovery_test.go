package runtime

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/broker/storage"
	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/controller"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/quorum/metalog"
	"github.com/naru-stream/naru/internal/quorum/publish"
	"github.com/naru-stream/naru/internal/vfs"
)

func dump(img *metadata.Image) []string {
	out := []string{fmt.Sprint("offset ", img.Offset)}
	for r := range img.Records() {
		out = append(out, fmt.Sprintf("%T %x", r, metarecord.Append(nil, r, controller.RecordVersion(r))))
	}
	return out
}

// work does some of everything and returns the offset of each answer.
func (n *node) work(rng *rand.Rand, steps int) (images []*metadata.Image) {
	n.t.Helper()
	for range steps {
		name := fmt.Sprintf("t%d", rng.IntN(8))
		switch rng.IntN(4) {
		case 0, 1:
			n.createTopic(name, int32(1+rng.IntN(3)))
		case 2:
			n.submit(&protocol.DeleteTopicsRequest{TopicNames: []string{name}}, 5)
		case 3:
			value := fmt.Sprint(rng.IntN(1000))
			n.submit(&protocol.IncrementalAlterConfigsRequest{Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{{
				ResourceType: metadata.ResourceTopic, ResourceName: name,
				Configs: []protocol.IncrementalAlterConfigsRequestAlterableConfig{{Name: "retention.ms", Value: &value}},
			}}}, 1)
		}
		images = append(images, n.publisher.Current())
	}
	return images
}

func TestACrashAfterAnyWriteLeavesWhatWasAnswered(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	n := newNode(t)
	n.start()
	images := n.work(rand.New(rand.NewPCG(seed, 3)), 60)
	n.kill()
	_, end := n.log.Bounds()
	for cut := int64(0); cut <= end; cut++ {
		prefix := n.log.Prefix(cut)
		if _, at := prefix.Bounds(); at != cut {
			continue // inside of a batch, which is written as a whole
		}
		again := newNode(t)
		again.log, again.broker = prefix, false
		recovered, err := metalog.Recover(prefix, again.config().Snapshots)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		at := slices.IndexFunc(images, func(img *metadata.Image) bool { return img.Offset == recovered.Image.Offset })
		if at >= 0 {
			if diff := cmp.Diff(dump(images[at]), dump(recovered.Image)); diff != "" {
				t.Fatalf("cut at %d: what was published is not what is recovered: %s", cut, diff)
			}
		}
		again.start()
		if got, want := again.control.Epoch(), recovered.Image.Epoch+1; got != want {
			t.Fatalf("cut at %d: epoch %d, want %d", cut, got, want)
		}
		again.kill()
	}
}

func TestAFailedWriteEndsTheController(t *testing.T) {
	n := newNode(t)
	n.start()
	n.createTopic("kept", 1)
	broken := errors.New("the disk burns")
	n.log.Fail = func([]byte) error { return broken }
	r := &protocol.CreateTopicsRequest{Topics: []protocol.CreateTopicsRequestCreatableTopic{{Name: "lost", NumPartitions: 1, ReplicationFactor: 1}}}
	for range 2 {
		_, _, err := n.control.Submit(t.Context(), r, 7)
		if !errors.Is(err, broken) || protocol.CodeOf(err) != protocol.NotController {
			t.Fatalf("Submit on a failed log: %v", err)
		}
	}
	if err := <-n.failed; !errors.Is(err, broken) {
		t.Fatalf("Failed was told %v", err)
	}
	if n.publisher.Current().Topic("lost") != nil {
		t.Fatal("what could not be written is published")
	}
	n.kill()
	n.log.Fail = nil
	n.start()
	defer n.kill()
	if n.publisher.Current().Topic("kept") == nil {
		t.Fatal("what was answered before the failure is lost")
	}
}

// snapshots returns the names of the snapshot files, the oldest first.
func (n *node) snapshots() (names []string) {
	entries, err := n.fs.List("__cluster_metadata-0")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name, ".checkpoint") {
			n.t.Fatalf("%s was left behind", e.Name)
		}
		names = append(names, e.Name)
	}
	return names
}

func TestSnapshotsReplaceTheLogAndStandInForEachOther(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	n := newNode(t)
	n.settings["metadata.log.max.record.bytes.between.snapshots"] = "1000"
	rng := rand.New(rand.NewPCG(seed, 4))
	for range 3 {
		n.start()
		n.work(rng, 60)
		n.kill()
		if s := n.snapshots(); len(s) == 0 || len(s) > 2 {
			t.Fatalf("snapshots %v", s)
		}
	}
	n.settings["metadata.log.max.record.bytes.between.snapshots"] = "1000000"
	names := n.snapshots()
	start, _ := n.log.Bounds()
	if len(names) != 2 || start == 0 || start > parseOffset(t, names[0]) {
		t.Fatalf("the log starts at %d with the snapshots %v", start, names)
	}
	snapshots := n.config().Snapshots
	whole, err := metalog.Recover(n.log, snapshots)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(name string, at func(size int) int) {
		n.fs.(*vfs.Mem).Corrupt(path.Join("__cluster_metadata-0", name), func(b []byte) []byte {
			b = slices.Clone(b)
			b[at(len(b))] ^= 4
			return b
		})
	}
	damage(names[1], func(size int) int { return size / 2 })
	older, err := metalog.Recover(n.log, snapshots)
	if err != nil {
		t.Fatal(err)
	}
	if len(older.Skipped) != 1 || !errors.Is(older.Skipped[0], metalog.ErrSnapshotCorrupt) {
		t.Fatalf("skipped %v", older.Skipped)
	}
	if diff := cmp.Diff(dump(whole.Image), dump(older.Image)); diff != "" {
		t.Fatalf("the older snapshot and the log give another state: %s", diff)
	}
	damage(names[0], func(size int) int { return size - 1 })
	if _, err := metalog.Recover(n.log, snapshots); err == nil || !strings.Contains(err.Error(), "restore a snapshot") {
		t.Fatalf("without a readable snapshot: %v", err)
	}
}

func parseOffset(t *testing.T, name string) (offset int64) {
	t.Helper()
	if _, err := fmt.Sscanf(name, "%020d-", &offset); err != nil {
		t.Fatal(err)
	}
	return offset
}

func TestASnapshotCutShortIsNotLoaded(t *testing.T) {
	n := newNode(t)
	n.settings["metadata.log.max.record.bytes.between.snapshots"] = "1"
	n.start()
	n.work(rand.New(rand.NewPCG(1, 1)), 30)
	n.kill()
	name := n.snapshots()[0]
	snapshots := n.config().Snapshots
	ids, err := snapshots.List()
	if err != nil {
		t.Fatal(err)
	}
	content, err := vfs.ReadFile(n.fs, path.Join("__cluster_metadata-0", name))
	if err != nil {
		t.Fatal(err)
	}
	for size := range content {
		n.fs.(*vfs.Mem).Corrupt(path.Join("__cluster_metadata-0", name), func([]byte) []byte { return content[:size] })
		if _, _, err := snapshots.Load(ids[len(ids)-1]); !errors.Is(err, metalog.ErrSnapshotCorrupt) {
			t.Fatalf("cut to %d of %d bytes: %v", size, len(content), err)
		}
	}
}

// TestAPowerCutLosesNothingAnswered runs on the storage's own log.
func TestAPowerCutLosesNothingAnswered(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	mem := vfs.NewMem()
	rng := rand.New(rand.NewPCG(seed, 5))
	var want []string
	for life := range 6 {
		n := newNode(t)
		n.broker = life > 0
		m, err := storage.Open(storage.Config{FS: mem, Dirs: []string{"data"}, ClusterID: "test-cluster", NodeID: 1})
		if err != nil {
			t.Fatal(err)
		}
		n.publisher = publish.New()
		log, dir, err := metalog.OpenStored(m, n.config().Settings)
		if err != nil {
			t.Fatal(err)
		}
		cfg := n.config()
		cfg.Log, cfg.Snapshots = log, &metalog.Snapshots{FS: mem, Dir: dir}
		if n.control, err = Start(cfg); err != nil {
			t.Fatal(err)
		}
		if err := n.publisher.WaitFor(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		var have []string
		for topic := range n.publisher.Current().Topics() {
			have = append(have, topic.Name)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("life %d: %s", life, diff)
		}
		n.ids = byte(life)
		n.register()
		for k := range 5 {
			name := fmt.Sprintf("life%d-%d", life, k)
			n.createTopic(name, 2)
			want = append(want, name)
		}
		mem = mem.CrashClone(vfs.Crash{Seed: rng.Uint64()})
		n.kill()
		_ = m.Close()
	}
}
