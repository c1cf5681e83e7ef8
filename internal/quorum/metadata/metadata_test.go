package metadata

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// dump renders an image as the list of its snapshot's records.
func dump(img *Image) []string {
	var out []string
	for r := range img.Records() {
		_, hi := r.Versions()
		out = append(out, fmt.Sprintf("%T %x", r, metarecord.Append(nil, r, hi)))
	}
	return out
}

func replay(t testing.TB, records []Record) *Image {
	t.Helper()
	d := NewDelta(NewImage())
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	return d.Image(int64(len(records)-1), 1)
}

// writer makes random records that fit the image they are applied to.
type writer struct {
	rng    *rand.Rand
	img    *Image
	nextID byte
}

func (w *writer) brokerIDs(n int) []int32 {
	ids := make([]int32, n)
	for i, v := range w.rng.Perm(5)[:n] {
		ids[i] = int32(v)
	}
	return ids
}

func (w *writer) topic() *Topic {
	topics := slices.Collect(w.img.Topics())
	if len(topics) == 0 {
		return nil
	}
	return topics[w.rng.IntN(len(topics))]
}

func (w *writer) records() []Record {
	t := w.topic()
	switch n := w.rng.IntN(16); {
	case n < 3 || t == nil:
		return w.newTopic()
	case n == 3:
		return []Record{&metarecord.RemoveTopicRecord{TopicId: t.ID}}
	case n < 8:
		return w.changePartition(t)
	case n == 8:
		name := t.Name
		if w.rng.IntN(3) == 0 {
			name = ""
		}
		return []Record{&metarecord.ClearElrRecord{TopicName: name}}
	case n < 11:
		return w.config(t)
	case n < 13:
		return w.broker()
	default:
		return w.access()
	}
}

func (w *writer) newTopic() []Record {
	name := fmt.Sprintf("t%d.%d_x", w.rng.IntN(20), w.rng.IntN(2))
	if w.rng.IntN(2) == 0 {
		name = fmt.Sprintf("t%d_%d.x", w.rng.IntN(20), w.rng.IntN(2))
	}
	if w.img.Topic(name) != nil {
		return nil
	}
	w.nextID++
	id := wire.UUID{0: w.nextID, 1: byte(w.rng.IntN(250))}
	out := []Record{&metarecord.TopicRecord{Name: name, TopicId: id}}
	for p := range int32(w.rng.IntN(5)) {
		ids := w.brokerIDs(1 + w.rng.IntN(3))
		out = append(out, &metarecord.PartitionRecord{
			PartitionId: p, TopicId: id, Replicas: ids, Isr: ids[:1], Leader: ids[0], LeaderEpoch: 3, PartitionEpoch: 4,
			Directories: make([]wire.UUID, len(ids)), EligibleLeaderReplicas: ids[1:], LeaderRecoveryState: int8(w.rng.IntN(2)),
		})
	}
	return out
}

func (w *writer) changePartition(t *Topic) []Record {
	if t.PartitionCount() == 0 {
		return nil
	}
	r := &metarecord.PartitionChangeRecord{}
	r.SetDefaults()
	r.TopicId, r.PartitionId = t.ID, int32(w.rng.IntN(t.PartitionCount()))
	ids := w.brokerIDs(3)
	if w.rng.IntN(2) == 0 {
		r.Isr, r.EligibleLeaderReplicas = ids[:w.rng.IntN(2)], ids[2:]
	}
	if w.rng.IntN(2) == 0 {
		r.Leader = ids[0]
	}
	if w.rng.IntN(4) == 0 {
		r.Replicas, r.AddingReplicas, r.RemovingReplicas = ids, ids[:1], []int32{}
		r.Directories = []wire.UUID{{1}, {2}, {3}}
	}
	if w.rng.IntN(4) == 0 {
		r.LastKnownElr, r.LeaderRecoveryState = ids[:1], int8(w.rng.IntN(2))
	}
	return []Record{r}
}

func (w *writer) config(t *Topic) []Record {
	r := &metarecord.ConfigRecord{ResourceType: ResourceTopic, ResourceName: t.Name, Name: fmt.Sprintf("setting.%d", w.rng.IntN(3))}
	if w.rng.IntN(3) > 0 {
		value := fmt.Sprint(w.rng.IntN(9))
		r.Value = &value
	}
	if w.rng.IntN(3) == 0 {
		r.ResourceType, r.ResourceName = ResourceBroker, ""
	}
	return []Record{r}
}

func (w *writer) broker() []Record {
	id := int32(w.rng.IntN(5))
	b := w.img.Broker(id)
	if b == nil || w.rng.IntN(3) == 0 {
		rack := "r1"
		return []Record{&metarecord.RegisterBrokerRecord{
			BrokerId: id, BrokerEpoch: int64(w.rng.IntN(1000)), IncarnationId: wire.UUID{5: byte(w.rng.IntN(9))}, Rack: &rack, Fenced: true,
			EndPoints: []metarecord.RegisterBrokerRecordBrokerEndpoint{{Name: "PLAINTEXT", Host: "h", Port: 65535}},
			Features:  []metarecord.RegisterBrokerRecordBrokerFeature{{Name: "b", MaxSupportedVersion: 1}, {Name: "a"}},
			LogDirs:   []wire.UUID{{9}},
		}}
	}
	if w.rng.IntN(4) == 0 {
		return []Record{&metarecord.UnregisterBrokerRecord{BrokerId: id, BrokerEpoch: b.Epoch}}
	}
	return []Record{
		&metarecord.BrokerRegistrationChangeRecord{
			BrokerId: id, BrokerEpoch: b.Epoch, Fenced: int8(w.rng.IntN(3) - 1), InControlledShutdown: int8(w.rng.IntN(2)),
		},
		&metarecord.FenceBrokerRecord{Id: id, Epoch: b.Epoch}, &metarecord.UnfenceBrokerRecord{Id: id, Epoch: b.Epoch},
	}
}

func (w *writer) access() []Record {
	user := fmt.Sprintf("u%d", w.rng.IntN(3))
	entity := []metarecord.ClientQuotaRecordEntityData{{EntityType: "user", EntityName: &user}, {EntityType: "client-id"}}
	out := []Record{
		&metarecord.ClientQuotaRecord{Entity: entity, Key: "producer_byte_rate", Value: 5.5, Remove: w.rng.IntN(3) == 0},
		&metarecord.UserScramCredentialRecord{Name: user, Mechanism: 1, Salt: []byte{1}, StoredKey: []byte{2}, ServerKey: []byte{3}, Iterations: 4096},
		&metarecord.AccessControlEntryRecord{Id: wire.UUID{3: byte(w.rng.IntN(4))}, Principal: "User:" + user, Host: "*"},
		&metarecord.DelegationTokenRecord{TokenId: user, Owner: "o", Renewers: []string{"r"}, MaxTimestamp: 7},
		&metarecord.ProducerIdsRecord{BrokerId: 1, BrokerEpoch: 2, NextProducerId: w.img.ProducerIDs().NextProducerID + 1000},
		&metarecord.FeatureLevelRecord{Name: "f" + user, FeatureLevel: int16(w.rng.IntN(3))},
		&metarecord.RegisterControllerRecord{ControllerId: int32(w.rng.IntN(3))},
		&metarecord.NoOpRecord{},
	}
	if w.rng.IntN(2) == 0 {
		out = append(out,
			&metarecord.RemoveUserScramCredentialRecord{Name: user, Mechanism: 1},
			&metarecord.RemoveDelegationTokenRecord{TokenId: user})
	}
	return out
}

func TestAnyHistoryEqualsItsReplayAndTheReplayOfItsSnapshot(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &writer{rng: rand.New(rand.NewPCG(seed, 2)), img: NewImage()}
	var log []Record
	merged := Everything(NewImage())
	first := w.img
	for step := range 400 {
		old := dump(w.img)
		before := w.img
		d := NewDelta(w.img)
		for range w.rng.IntN(4) {
			for _, r := range w.records() {
				if err := d.Apply(r); err != nil {
					t.Fatal(err)
				}
				log = append(log, r)
			}
			w.img = d.Image(int64(len(log)-1), 1)
		}
		if diff := cmp.Diff(old, dump(before)); diff != "" {
			t.Fatalf("step %d changed an image that was handed out: %s", step, diff)
		}
		checkChanges(t, d.Changes(w.img))
		merged = merged.Merge(d.Changes(w.img))
		if step%40 != 0 {
			continue
		}
		if diff := cmp.Diff(dump(replay(t, log)), dump(w.img)); diff != "" {
			t.Fatalf("step %d: replay differs: %s", step, diff)
		}
		snapshot := replay(t, slices.Collect(w.img.Records()))
		if diff := cmp.Diff(dump(snapshot), dump(w.img)); diff != "" {
			t.Fatalf("step %d: snapshot differs: %s", step, diff)
		}
		if snapshot.PartitionCount() != w.img.PartitionCount() || snapshot.TopicCount() != w.img.TopicCount() {
			t.Fatalf("step %d: counts differ", step)
		}
		for topic := range w.img.Topics() {
			if !slices.Contains(w.img.Lookalikes(topic.Name), topic.Name) {
				t.Fatalf("step %d: %s is not its own lookalike", step, topic.Name)
			}
		}
		if merged.Old != first && merged.Old.TopicCount() != 0 {
			t.Fatal("merging lost the first image")
		}
		checkChanges(t, merged)
	}
}

// checkChanges holds what a change says against the two images.
func checkChanges(t *testing.T, c *Changes) {
	t.Helper()
	told := map[wire.UUID]TopicChange{}
	for _, change := range c.Topics {
		var id wire.UUID
		if change.New != nil {
			id = change.New.ID
		} else {
			id = change.Old.ID
		}
		told[id] = change
	}
	for _, pair := range []struct{ a, b *Image }{{c.Old, c.New}, {c.New, c.Old}} {
		for topic := range pair.a.Topics() {
			other := pair.b.TopicByID(topic.ID)
			if other == nil {
				if _, ok := told[topic.ID]; !ok {
					t.Fatalf("%s appeared or went and nobody tells", topic.Name)
				}
				continue
			}
			for id := range int32(topic.PartitionCount()) {
				p, _ := topic.Partition(id)
				q, _ := other.Partition(id)
				if p != q && !slices.Contains(told[topic.ID].Partitions, id) {
					t.Fatalf("%s-%d changed and nobody tells", topic.Name, id)
				}
			}
		}
		for r, config := range pair.a.Configs() {
			if !slices.Equal(config.entries, pair.b.Config(r).entries) && !slices.Contains(c.Configs, r) {
				t.Fatalf("settings of %v changed and nobody tells", r)
			}
		}
		for _, b := range pair.a.Brokers() {
			if pair.b.Broker(b.ID) != b && !slices.Contains(c.Brokers, b.ID) {
				t.Fatalf("broker %d changed and nobody tells", b.ID)
			}
		}
	}
}

func TestARecordThatContradictsTheImageIsRefused(t *testing.T) {
	img := replay(t, []Record{
		&metarecord.TopicRecord{Name: "a", TopicId: wire.UUID{1}},
		&metarecord.RegisterBrokerRecord{BrokerId: 1, BrokerEpoch: 5},
	})
	for _, r := range []Record{
		&metarecord.TopicRecord{Name: "a", TopicId: wire.UUID{2}},
		&metarecord.TopicRecord{Name: "b", TopicId: wire.UUID{1}},
		&metarecord.RemoveTopicRecord{TopicId: wire.UUID{9}},
		&metarecord.PartitionRecord{TopicId: wire.UUID{9}},
		&metarecord.PartitionRecord{TopicId: wire.UUID{1}, PartitionId: 1 << 30},
		&metarecord.PartitionRecord{TopicId: wire.UUID{1}, PartitionId: -1},
		&metarecord.PartitionChangeRecord{TopicId: wire.UUID{1}},
		&metarecord.UnfenceBrokerRecord{Id: 1, Epoch: 4},
		&metarecord.UnregisterBrokerRecord{BrokerId: 2, BrokerEpoch: 5},
		&metarecord.RemoveAccessControlEntryRecord{Id: wire.UUID{1}},
		&metarecord.AbortTransactionRecord{},
	} {
		if err := NewDelta(img).Apply(r); err == nil {
			t.Errorf("%T is accepted", r)
		}
	}
}

func TestPartitionsWithEqualReplicasShareOneSet(t *testing.T) {
	d := NewDelta(NewImage())
	for topic := range 20 {
		id := wire.UUID{1, byte(topic)}
		if err := d.Apply(&metarecord.TopicRecord{Name: fmt.Sprint(topic), TopicId: id}); err != nil {
			t.Fatal(err)
		}
		for p := range int32(1000) {
			ids := []int32{p % 3, (p + 1) % 3, (p + 2) % 3}
			r := &metarecord.PartitionRecord{TopicId: id, PartitionId: p, Replicas: ids, Isr: ids, Directories: make([]wire.UUID, 3)}
			if err := d.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	img := d.Image(0, 0)
	if img.replicaSets.Len() != 3 || img.syncSets.Len() != 3 || img.PartitionCount() != 20000 {
		t.Fatalf("%d replica sets, %d sync sets, %d partitions", img.replicaSets.Len(), img.syncSets.Len(), img.PartitionCount())
	}
}

func BenchmarkCreateOneTopicAmong10000(b *testing.B) {
	img := clusterOf(b, 10000)
	value := "1"
	b.ReportAllocs()
	n := byte(0)
	for b.Loop() {
		n++
		id := wire.UUID{9, n}
		d := NewDelta(img)
		_ = d.Apply(&metarecord.TopicRecord{Name: fmt.Sprint("new-", n), TopicId: id})
		_ = d.Apply(&metarecord.ConfigRecord{ResourceType: ResourceTopic, ResourceName: "new", Name: "x", Value: &value})
		_ = d.Apply(&metarecord.PartitionRecord{TopicId: id, Replicas: []int32{1}, Isr: []int32{1}, Directories: []wire.UUID{{7}}})
		d.Changes(d.Image(1, 1))
	}
}

func BenchmarkReplay10000Topics(b *testing.B) {
	records := slices.Collect(clusterOf(b, 10000).Records())
	b.ReportAllocs()
	for b.Loop() {
		replay(b, records)
	}
}

func clusterOf(b *testing.B, topics int) *Image {
	d := NewDelta(NewImage())
	for n := range topics {
		id := wire.UUID{1, byte(n), byte(n >> 8)}
		if err := d.Apply(&metarecord.TopicRecord{Name: fmt.Sprint("topic-", n), TopicId: id}); err != nil {
			b.Fatal(err)
		}
		r := &metarecord.PartitionRecord{TopicId: id, Replicas: []int32{1}, Isr: []int32{1}, Directories: []wire.UUID{{7}}}
		if err := d.Apply(r); err != nil {
			b.Fatal(err)
		}
	}
	return d.Image(int64(2*topics), 1)
}
