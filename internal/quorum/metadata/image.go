package metadata

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata/pmap"
)

// FeatureMetadataVersion is the feature whose level decides which records the
// cluster may write.
const FeatureMetadataVersion = "metadata.version"

// Feature is a finalized feature of the cluster and its level.
type Feature struct {
	Name  string
	Level int16
}

// Image is the state of the cluster after the record at Offset. It is
// immutable.
type Image struct {
	// Offset is the offset of the last record of the metadata log that the image
	// contains; -1 for the empty image.
	Offset int64
	// Epoch is the epoch of the controller that wrote that record.
	Epoch int32

	features    []Feature
	brokers     []*Broker
	controllers []*Controller

	topicsByName pmap.Map[string, *Topic]
	topicsByID   pmap.Map[wire.UUID, *Topic]
	lookalikes   pmap.Map[string, []string]
	replicaSets  pmap.Map[string, *replicaSet]
	syncSets     pmap.Map[string, *syncSet]
	partitions   int

	configs     pmap.Map[ConfigResource, Config]
	quotas      pmap.Map[string, *Quota]
	credentials pmap.Map[credentialKey, *ScramCredential]
	acls        pmap.Map[wire.UUID, *ACL]
	tokens      pmap.Map[string, *DelegationToken]
	producerIDs ProducerIDs
}

// ProducerIDs tells who got the last block of producer ids and which id the next
// block starts with.
type ProducerIDs struct {
	BrokerID       int32
	BrokerEpoch    int64
	NextProducerID int64
}

// NewImage returns the image of a cluster that knows nothing yet.
func NewImage() *Image {
	return &Image{
		Offset:       -1,
		topicsByName: pmap.New[string, *Topic](strings.Compare),
		topicsByID:   pmap.New[wire.UUID, *Topic](wire.UUID.Compare),
		lookalikes:   pmap.New[string, []string](strings.Compare),
		replicaSets:  pmap.New[string, *replicaSet](strings.Compare),
		syncSets:     pmap.New[string, *syncSet](strings.Compare),
		configs:      pmap.New[ConfigResource, Config](compareResource),
		quotas:       pmap.New[string, *Quota](strings.Compare),
		credentials:  pmap.New[credentialKey, *ScramCredential](compareCredential),
		acls:         pmap.New[wire.UUID, *ACL](wire.UUID.Compare),
		tokens:       pmap.New[string, *DelegationToken](strings.Compare),
		producerIDs:  ProducerIDs{BrokerID: -1, BrokerEpoch: -1},
	}
}

// Feature returns the finalized level of a feature, 0 if it is not finalized.
func (i *Image) Feature(name string) int16 {
	at, ok := slices.BinarySearchFunc(i.features, name, func(f Feature, name string) int {
		return strings.Compare(f.Name, name)
	})
	if !ok {
		return 0
	}
	return i.features[at].Level
}

// Features returns the finalized features, ordered by name.
func (i *Image) Features() []Feature { return i.features }

// Broker returns the registration of a broker, nil if it is not registered.
func (i *Image) Broker(id int32) *Broker {
	at, ok := slices.BinarySearchFunc(i.brokers, id, func(b *Broker, id int32) int {
		return cmp.Compare(b.ID, id)
	})
	if !ok {
		return nil
	}
	return i.brokers[at]
}

// Brokers returns all registrations, ordered by broker id.
func (i *Image) Brokers() []*Broker { return i.brokers }

// Controllers returns all registered controllers, ordered by node id.
func (i *Image) Controllers() []*Controller { return i.controllers }

// Topic returns the topic of that name, nil if there is none.
func (i *Image) Topic(name string) *Topic {
	t, _ := i.topicsByName.Get(name)
	return t
}

// TopicByID returns the topic of that id, nil if there is none.
func (i *Image) TopicByID(id wire.UUID) *Topic {
	t, _ := i.topicsByID.Get(id)
	return t
}

// Topics yields every topic in the order of the names.
func (i *Image) Topics() iter.Seq[*Topic] { return i.TopicsFrom("") }

// TopicsFrom yields the topics whose name is not smaller than first, in the
// order of the names.
func (i *Image) TopicsFrom(first string) iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, t := range i.topicsByName.From(first) {
			if !yield(t) {
				return
			}
		}
	}
}

// TopicCount returns the number of topics.
func (i *Image) TopicCount() int { return i.topicsByName.Len() }

// PartitionCount returns the number of partitions of all topics.
func (i *Image) PartitionCount() int { return i.partitions }

// Lookalikes returns the names of the topics that differ from name at most in
// the choice of '.' and '_', which metric names cannot tell apart. A topic with
// neither character has none.
func (i *Image) Lookalikes(name string) []string {
	names, _ := i.lookalikes.Get(lookalikeKey(name))
	return names
}

// Config returns the settings stored for a resource, empty if there are none.
func (i *Image) Config(r ConfigResource) Config {
	c, _ := i.configs.Get(r)
	return c
}

// Configs yields every resource that has settings, ordered by type and name.
func (i *Image) Configs() iter.Seq2[ConfigResource, Config] { return i.configs.All() }

// ProducerIDs returns the state of the producer id allocation.
func (i *Image) ProducerIDs() ProducerIDs { return i.producerIDs }

// Quotas yields every client quota, ordered by its entity.
func (i *Image) Quotas() iter.Seq[*Quota] { return values(i.quotas) }

// ScramCredential returns a user's credential for a mechanism, nil if there is
// none.
func (i *Image) ScramCredential(mechanism int8, user string) *ScramCredential {
	c, _ := i.credentials.Get(credentialKey{mechanism, user})
	return c
}

// ScramCredentials yields every credential, ordered by mechanism and user.
func (i *Image) ScramCredentials() iter.Seq[*ScramCredential] { return values(i.credentials) }

// ACLs yields every access control entry, ordered by its id.
func (i *Image) ACLs() iter.Seq[*ACL] { return values(i.acls) }

// DelegationTokens yields every delegation token, ordered by its id.
func (i *Image) DelegationTokens() iter.Seq[*DelegationToken] { return values(i.tokens) }

func values[K, V any](m pmap.Map[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range m.All() {
			if !yield(v) {
				return
			}
		}
	}
}
