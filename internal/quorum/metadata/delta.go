package metadata

import (
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata/pmap"
)

// maxSpareSets is how many shared replica sets an image may remember beyond
// those in use before it forgets all and collects them anew.
const maxSpareSets = 4096

// Record is one record of the cluster metadata log.
type Record = metarecord.Record

// AccessChange says which tables about access rights changed.
type AccessChange uint8

// The tables about access rights.
const (
	QuotasChanged AccessChange = 1 << iota
	CredentialsChanged
	ACLsChanged
	TokensChanged
)

// Delta takes records and makes the image that follows from them, and remembers
// what they changed. It belongs to one goroutine until its last call of Image;
// from then on it is read-only and any goroutine may read it.
type Delta struct {
	old *Image
	img Image

	topicsByName *pmap.Editor[string, *Topic]
	topicsByID   *pmap.Editor[wire.UUID, *Topic]
	lookalikes   *pmap.Editor[string, []string]
	replicaSets  *pmap.Editor[string, *replicaSet]
	syncSets     *pmap.Editor[string, *syncSet]
	configs      *pmap.Editor[ConfigResource, Config]
	quotas       *pmap.Editor[string, *Quota]
	credentials  *pmap.Editor[credentialKey, *ScramCredential]
	acls         *pmap.Editor[wire.UUID, *ACL]
	tokens       *pmap.Editor[string, *DelegationToken]

	// owned holds the topics copied for writing since the last Image.
	owned   map[wire.UUID]*Topic
	scratch []byte

	topicsTouched  map[wire.UUID]map[int32]struct{}
	configsTouched map[ConfigResource]struct{}
	brokersTouched map[int32]struct{}
	features       bool
	access         AccessChange
}

// NewDelta returns a delta that starts at an image.
func NewDelta(from *Image) *Delta {
	return &Delta{
		old: from, img: *from,
		owned:          map[wire.UUID]*Topic{},
		topicsTouched:  map[wire.UUID]map[int32]struct{}{},
		configsTouched: map[ConfigResource]struct{}{},
		brokersTouched: map[int32]struct{}{},
	}
}

// edit opens the editor of one of the image's maps at its first use.
func edit[K, V any](e **pmap.Editor[K, V], m pmap.Map[K, V]) *pmap.Editor[K, V] {
	if *e == nil {
		*e = m.Edit()
	}
	return *e
}

func closeEditor[K, V any](e *pmap.Editor[K, V], m *pmap.Map[K, V]) {
	if e != nil {
		*m = e.Map()
	}
}

// Apply adds one record, from which it copies what it keeps. After an error the
// delta must be dropped: the log holds something that this version does not
// understand or that contradicts the image.
func (d *Delta) Apply(record Record) error {
	var err error
	switch r := record.(type) {
	case *metarecord.TopicRecord:
		err = d.addTopic(r)
	case *metarecord.PartitionRecord:
		err = d.addPartition(r)
	case *metarecord.PartitionChangeRecord:
		err = d.changePartition(r)
	case *metarecord.RemoveTopicRecord:
		err = d.removeTopic(r)
	case *metarecord.ClearElrRecord:
		err = d.clearELR(r)
	case *metarecord.ConfigRecord:
		d.changeConfig(r)
	case *metarecord.ProducerIdsRecord:
		d.img.producerIDs = ProducerIDs{r.BrokerId, r.BrokerEpoch, r.NextProducerId}
	case *metarecord.FeatureLevelRecord:
		d.setFeature(r)
	case *metarecord.NoOpRecord:
	default:
		handled := false
		if handled, err = d.applyNode(record); !handled {
			if handled, err = d.applyAccess(record); !handled {
				err = fmt.Errorf("this version does not know this kind of record")
			}
		}
	}
	if err != nil {
		return fmt.Errorf("applying %s: %w", recordName(record), err)
	}
	return nil
}

func (d *Delta) applyNode(record Record) (handled bool, err error) {
	switch r := record.(type) {
	case *metarecord.RegisterBrokerRecord:
		d.registerBroker(r)
	case *metarecord.UnregisterBrokerRecord:
		err = d.unregisterBroker(r)
	case *metarecord.BrokerRegistrationChangeRecord:
		err = d.changeRegistration(r)
	case *metarecord.FenceBrokerRecord:
		err = d.changeBroker(r.Id, r.Epoch, func(b *Broker) { b.Fenced = true })
	case *metarecord.UnfenceBrokerRecord:
		err = d.changeBroker(r.Id, r.Epoch, func(b *Broker) { b.Fenced = false })
	case *metarecord.RegisterControllerRecord:
		d.registerController(r)
	default:
		return false, nil
	}
	return true, err
}

func (d *Delta) applyAccess(record Record) (handled bool, err error) {
	switch r := record.(type) {
	case *metarecord.ClientQuotaRecord:
		d.changeQuota(r)
	case *metarecord.UserScramCredentialRecord:
		d.setCredential(r)
	case *metarecord.RemoveUserScramCredentialRecord:
		err = d.removeCredential(r)
	case *metarecord.AccessControlEntryRecord:
		d.setACL(r)
	case *metarecord.RemoveAccessControlEntryRecord:
		err = d.removeACL(r)
	case *metarecord.DelegationTokenRecord:
		d.setToken(r)
	case *metarecord.RemoveDelegationTokenRecord:
		err = d.removeToken(r)
	default:
		return false, nil
	}
	return true, err
}

func recordName(record Record) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", record), "*metarecord.")
}

func (d *Delta) setFeature(r *metarecord.FeatureLevelRecord) {
	d.features = true
	at, found := slices.BinarySearchFunc(d.img.features, r.Name, func(f Feature, name string) int {
		return strings.Compare(f.Name, name)
	})
	d.img.features = slices.Clone(d.img.features)
	switch {
	case r.FeatureLevel == 0 && found:
		d.img.features = slices.Delete(d.img.features, at, at+1)
	case r.FeatureLevel == 0:
	case found:
		d.img.features[at].Level = r.FeatureLevel
	default:
		d.img.features = slices.Insert(d.img.features, at, Feature{strings.Clone(r.Name), r.FeatureLevel})
	}
}

// Image returns the image after the records applied so far, which ends with the
// record at offset, written in epoch. More records may follow, and another
// Image after them.
func (d *Delta) Image(offset int64, epoch int32) *Image {
	d.flushTopics()
	closeEditor(d.topicsByName, &d.img.topicsByName)
	closeEditor(d.topicsByID, &d.img.topicsByID)
	closeEditor(d.lookalikes, &d.img.lookalikes)
	closeEditor(d.replicaSets, &d.img.replicaSets)
	closeEditor(d.syncSets, &d.img.syncSets)
	closeEditor(d.configs, &d.img.configs)
	closeEditor(d.quotas, &d.img.quotas)
	closeEditor(d.credentials, &d.img.credentials)
	closeEditor(d.acls, &d.img.acls)
	closeEditor(d.tokens, &d.img.tokens)
	if d.img.replicaSets.Len() > d.img.partitions+maxSpareSets {
		d.img.replicaSets, d.replicaSets = pmap.New[string, *replicaSet](strings.Compare), nil
	}
	if d.img.syncSets.Len() > d.img.partitions+maxSpareSets {
		d.img.syncSets, d.syncSets = pmap.New[string, *syncSet](strings.Compare), nil
	}
	d.img.Offset, d.img.Epoch = offset, epoch
	frozen := d.img
	return &frozen
}

// topic returns a topic by id as changed so far.
func (d *Delta) topic(id wire.UUID) *Topic {
	if t := d.owned[id]; t != nil {
		return t
	}
	t, _ := edit(&d.topicsByID, d.img.topicsByID).Get(id)
	return t
}

// topicNamed returns a topic by name as changed so far.
func (d *Delta) topicNamed(name string) *Topic {
	t, _ := edit(&d.topicsByName, d.img.topicsByName).Get(name)
	if t == nil {
		return nil
	}
	return d.topic(t.ID)
}

// own makes t, which nobody else may hold, the topic that this delta writes to.
func (d *Delta) own(t *Topic) {
	d.owned[t.ID] = t
	edit(&d.topicsByID, d.img.topicsByID).Set(t.ID, t)
	edit(&d.topicsByName, d.img.topicsByName).Set(t.Name, t)
}

// ownTopic returns a copy of t that this delta may write to.
func (d *Delta) ownTopic(t *Topic) *Topic {
	if owned := d.owned[t.ID]; owned != nil {
		return owned
	}
	c := &Topic{Name: t.Name, ID: t.ID, partitions: slices.Clone(t.partitions)}
	d.own(c)
	return c
}

// ownPartition checks the ids of a partition record and returns its topic for
// writing.
func (d *Delta) ownPartition(topicID wire.UUID, partition int32) (*Topic, error) {
	t := d.topic(topicID)
	if t == nil {
		return nil, fmt.Errorf("there is no topic with id %s", topicID)
	}
	if partition < 0 || partition > maxPartitionID {
		return nil, fmt.Errorf("partition id %d of topic %q is not between 0 and %d", partition, t.Name, maxPartitionID)
	}
	return d.ownTopic(t), nil
}

// flushTopics ends the ownership of the topics written to so far.
func (d *Delta) flushTopics() {
	for _, t := range d.owned {
		t.partitions = slices.Clip(t.partitions)
	}
	clear(d.owned)
}
