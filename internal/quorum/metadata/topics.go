package metadata

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
)

// NoLeader is the leader of a partition that has none.
const NoLeader int32 = -1

const (
	// maxPartitionID bounds the partition ids that records may name, so that a
	// damaged record cannot make a topic of billions of partitions.
	maxPartitionID = 1 << 20
	// leaderUnchanged in a PartitionChangeRecord keeps the leader and its epoch.
	leaderUnchanged int32 = -2
)

// Topic is a topic and its partitions. It is immutable.
type Topic struct {
	Name       string
	ID         wire.UUID
	partitions []Partition
}

// PartitionCount returns the number of partitions; their ids are 0 to
// PartitionCount-1.
func (t *Topic) PartitionCount() int { return len(t.partitions) }

// Partition returns a partition and whether the topic has it.
func (t *Topic) Partition(id int32) (Partition, bool) {
	if id < 0 || int(id) >= len(t.partitions) || t.partitions[id].placed == nil {
		return Partition{}, false
	}
	return t.partitions[id], true
}

// Partition is the registration of one partition: who holds it, who is in sync,
// who leads. A large cluster has a million of them, so what most partitions have
// in common (their replica sets) is kept once and shared: 40 bytes remain.
type Partition struct {
	placed *replicaSet
	sync   *syncSet
	// Leader is the broker that leads, or NoLeader.
	Leader int32
	// LeaderEpoch grows with each election.
	LeaderEpoch int32
	// PartitionEpoch grows with each change and is the version that changes are
	// compared against.
	PartitionEpoch int32
	// Recovering is set after an unclean election until the leader has recovered.
	Recovering bool
}

type replicaSet struct {
	replicas, adding, removing []int32
	directories                []wire.UUID
}

type syncSet struct{ isr, elr, lastKnownELR []int32 }

// Replicas returns the brokers that hold the partition, the preferred leader
// first.
func (p Partition) Replicas() []int32 { return p.placed.replicas }

// Directories returns the log directory of each replica, in the order of
// Replicas.
func (p Partition) Directories() []wire.UUID { return p.placed.directories }

// AddingReplicas returns the replicas that a reassignment brings in.
func (p Partition) AddingReplicas() []int32 { return p.placed.adding }

// RemovingReplicas returns the replicas that a reassignment takes away.
func (p Partition) RemovingReplicas() []int32 { return p.placed.removing }

// ISR returns the in-sync replicas.
func (p Partition) ISR() []int32 { return p.sync.isr }

// ELR returns the eligible leader replicas (KIP-966): out of the ISR, but known
// to hold everything committed.
func (p Partition) ELR() []int32 { return p.sync.elr }

// LastKnownELR returns the replicas dropped from the ELR by an unclean shutdown,
// or the last leader when ISR and ELR are empty.
func (p Partition) LastKnownELR() []int32 { return p.sync.lastKnownELR }

// lookalikeKey is equal for names that differ only in '.' and '_', and empty for
// a name with neither.
func lookalikeKey(name string) string {
	if !strings.ContainsAny(name, "._") {
		return ""
	}
	return strings.ReplaceAll(name, ".", "_")
}

func (d *Delta) addTopic(r *metarecord.TopicRecord) error {
	if d.topic(r.TopicId) != nil {
		return fmt.Errorf("topic id %s is taken", r.TopicId)
	}
	if other := d.topicNamed(r.Name); other != nil {
		return fmt.Errorf("topic %q exists with id %s", r.Name, other.ID)
	}
	t := &Topic{Name: strings.Clone(r.Name), ID: r.TopicId}
	d.own(t)
	d.touchTopic(t.ID)
	if key := lookalikeKey(t.Name); key != "" {
		edit := edit(&d.lookalikes, d.img.lookalikes)
		names, _ := edit.Get(key)
		edit.Set(key, append(slices.Clone(names), t.Name))
	}
	return nil
}

func (d *Delta) removeTopic(r *metarecord.RemoveTopicRecord) error {
	t := d.topic(r.TopicId)
	if t == nil {
		return fmt.Errorf("there is no topic with id %s", r.TopicId)
	}
	d.touchTopic(t.ID)
	delete(d.owned, t.ID)
	edit(&d.topicsByID, d.img.topicsByID).Delete(t.ID)
	edit(&d.topicsByName, d.img.topicsByName).Delete(t.Name)
	for _, p := range t.partitions {
		if p.placed != nil {
			d.img.partitions--
		}
	}
	if key := lookalikeKey(t.Name); key != "" {
		edit := edit(&d.lookalikes, d.img.lookalikes)
		names, _ := edit.Get(key)
		if names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == t.Name }); len(names) > 0 {
			edit.Set(key, names)
		} else {
			edit.Delete(key)
		}
	}
	d.dropConfigs(TopicResource(t.Name))
	return nil
}

func (d *Delta) addPartition(r *metarecord.PartitionRecord) error {
	t, err := d.ownPartition(r.TopicId, r.PartitionId)
	if err != nil {
		return err
	}
	for int(r.PartitionId) >= len(t.partitions) {
		t.partitions = append(t.partitions, Partition{})
	}
	if t.partitions[r.PartitionId].placed == nil {
		d.img.partitions++
	}
	t.partitions[r.PartitionId] = Partition{
		placed: d.internReplicas(replicaSet{
			replicas: r.Replicas, adding: r.AddingReplicas, removing: r.RemovingReplicas, directories: r.Directories,
		}),
		sync:           d.internSync(syncSet{isr: r.Isr, elr: r.EligibleLeaderReplicas, lastKnownELR: r.LastKnownElr}),
		Leader:         r.Leader,
		LeaderEpoch:    r.LeaderEpoch,
		PartitionEpoch: r.PartitionEpoch,
		Recovering:     r.LeaderRecoveryState == 1,
	}
	d.touchPartition(t.ID, r.PartitionId)
	return nil
}

func (d *Delta) changePartition(r *metarecord.PartitionChangeRecord) error {
	t, err := d.ownPartition(r.TopicId, r.PartitionId)
	if err != nil {
		return err
	}
	p, ok := t.Partition(r.PartitionId)
	if !ok {
		return fmt.Errorf("topic %q has no partition %d", t.Name, r.PartitionId)
	}
	if r.Replicas != nil || r.AddingReplicas != nil || r.RemovingReplicas != nil || r.Directories != nil {
		p.placed = d.internReplicas(replicaSet{
			replicas:    either(r.Replicas, p.placed.replicas),
			adding:      either(r.AddingReplicas, p.placed.adding),
			removing:    either(r.RemovingReplicas, p.placed.removing),
			directories: either(r.Directories, p.placed.directories),
		})
	}
	if r.Isr != nil || r.EligibleLeaderReplicas != nil || r.LastKnownElr != nil {
		p.sync = d.internSync(syncSet{
			isr:          either(r.Isr, p.sync.isr),
			elr:          either(r.EligibleLeaderReplicas, p.sync.elr),
			lastKnownELR: either(r.LastKnownElr, p.sync.lastKnownELR),
		})
	}
	if r.Leader != leaderUnchanged {
		p.Leader = r.Leader
		p.LeaderEpoch++
	}
	if r.LeaderRecoveryState >= 0 {
		p.Recovering = r.LeaderRecoveryState == 1
	}
	p.PartitionEpoch++
	t.partitions[r.PartitionId] = p
	d.touchPartition(t.ID, r.PartitionId)
	return nil
}

func either[T any](changed, old []T) []T {
	if changed != nil {
		return changed
	}
	return old
}

// clearELR empties the ELR of one topic, or of all if the record names none.
func (d *Delta) clearELR(r *metarecord.ClearElrRecord) error {
	if r.TopicName != "" {
		t := d.topicNamed(r.TopicName)
		if t == nil {
			return fmt.Errorf("there is no topic %q", r.TopicName)
		}
		d.clearTopicELR(t)
		return nil
	}
	d.flushTopics()
	for _, t := range edit(&d.topicsByID, d.img.topicsByID).Map().All() {
		d.clearTopicELR(t)
	}
	return nil
}

func (d *Delta) clearTopicELR(t *Topic) {
	for id, p := range t.partitions {
		if p.placed == nil || len(p.sync.elr) == 0 && len(p.sync.lastKnownELR) == 0 {
			continue
		}
		t = d.ownTopic(t)
		t.partitions[id].sync = d.internSync(syncSet{isr: p.sync.isr})
		d.touchPartition(t.ID, int32(id))
	}
}

func (t *Topic) records() []Record {
	records := []Record{&metarecord.TopicRecord{Name: t.Name, TopicId: t.ID}}
	for id, p := range t.partitions {
		if p.placed == nil {
			continue
		}
		records = append(records, p.record(t.ID, int32(id)))
	}
	return records
}

func (p Partition) record(topicID wire.UUID, id int32) *metarecord.PartitionRecord {
	r := &metarecord.PartitionRecord{
		PartitionId: id, TopicId: topicID,
		Replicas: p.placed.replicas, AddingReplicas: p.placed.adding, RemovingReplicas: p.placed.removing,
		Directories: p.placed.directories,
		Isr:         p.sync.isr,
		Leader:      p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
	}
	if len(p.sync.elr) > 0 {
		r.EligibleLeaderReplicas = p.sync.elr
	}
	if len(p.sync.lastKnownELR) > 0 {
		r.LastKnownElr = p.sync.lastKnownELR
	}
	if p.Recovering {
		r.LeaderRecoveryState = 1
	}
	return r
}

// internReplicas returns the shared copy of a replica set. The given slices may
// alias a record and are copied when the set is new.
func (d *Delta) internReplicas(s replicaSet) *replicaSet {
	d.scratch = appendIDs(d.scratch[:0], s.replicas, s.adding, s.removing)
	for _, dir := range s.directories {
		d.scratch = append(d.scratch, dir[:]...)
	}
	key := string(d.scratch)
	edit := edit(&d.replicaSets, d.img.replicaSets)
	if shared, ok := edit.Get(key); ok {
		return shared
	}
	shared := &replicaSet{
		replicas: slices.Clone(s.replicas), adding: slices.Clone(s.adding), removing: slices.Clone(s.removing),
		directories: slices.Clone(s.directories),
	}
	edit.Set(key, shared)
	return shared
}

// internSync returns the shared copy of an in-sync set.
func (d *Delta) internSync(s syncSet) *syncSet {
	d.scratch = appendIDs(d.scratch[:0], s.isr, s.elr, s.lastKnownELR)
	key := string(d.scratch)
	edit := edit(&d.syncSets, d.img.syncSets)
	if shared, ok := edit.Get(key); ok {
		return shared
	}
	shared := &syncSet{isr: slices.Clone(s.isr), elr: slices.Clone(s.elr), lastKnownELR: slices.Clone(s.lastKnownELR)}
	edit.Set(key, shared)
	return shared
}

func appendIDs(dst []byte, lists ...[]int32) []byte {
	for _, ids := range lists {
		dst = binary.AppendUvarint(dst, uint64(len(ids)))
		for _, id := range ids {
			dst = binary.AppendVarint(dst, int64(id))
		}
	}
	return dst
}
