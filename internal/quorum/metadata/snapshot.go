package metadata

import (
	"iter"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
)

// Records yields the records that make an empty image equal to this one: what a
// snapshot holds. The features come first, because the metadata.version decides
// what may follow. Yielded records share memory with the image.
func (i *Image) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		_ = i.yieldFeatures(yield) && i.yieldNodes(yield) && i.yieldTopics(yield) &&
			i.yieldConfigs(yield) && i.yieldAccess(yield)
	}
}

func (i *Image) yieldFeatures(yield func(Record) bool) bool {
	if level := i.Feature(FeatureMetadataVersion); level != 0 {
		if !yield(&metarecord.FeatureLevelRecord{Name: FeatureMetadataVersion, FeatureLevel: level}) {
			return false
		}
	}
	for _, f := range i.features {
		if f.Name == FeatureMetadataVersion {
			continue
		}
		if !yield(&metarecord.FeatureLevelRecord{Name: f.Name, FeatureLevel: f.Level}) {
			return false
		}
	}
	return true
}

func (i *Image) yieldNodes(yield func(Record) bool) bool {
	for _, c := range i.controllers {
		if !yield(c.record()) {
			return false
		}
	}
	for _, b := range i.brokers {
		if !yield(b.record()) {
			return false
		}
	}
	return true
}

func (i *Image) yieldTopics(yield func(Record) bool) bool {
	for t := range i.Topics() {
		for _, r := range t.records() {
			if !yield(r) {
				return false
			}
		}
	}
	return true
}

func (i *Image) yieldConfigs(yield func(Record) bool) bool {
	for resource, config := range i.Configs() {
		for name, value := range config.All() {
			if !yield(&metarecord.ConfigRecord{
				ResourceType: resource.Type, ResourceName: resource.Name, Name: name, Value: &value,
			}) {
				return false
			}
		}
	}
	if p := i.producerIDs; p.BrokerEpoch >= 0 || p.NextProducerID > 0 {
		return yield(&metarecord.ProducerIdsRecord{
			BrokerId: p.BrokerID, BrokerEpoch: p.BrokerEpoch, NextProducerId: p.NextProducerID,
		})
	}
	return true
}

func (i *Image) yieldAccess(yield func(Record) bool) bool {
	for q := range i.Quotas() {
		for _, r := range q.records() {
			if !yield(r) {
				return false
			}
		}
	}
	for c := range i.ScramCredentials() {
		if !yield(c.record()) {
			return false
		}
	}
	for a := range i.ACLs() {
		if !yield(a.record()) {
			return false
		}
	}
	for t := range i.DelegationTokens() {
		if !yield(t.record()) {
			return false
		}
	}
	return true
}
