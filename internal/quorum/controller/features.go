package controller

import (
	"fmt"
	"slices"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// FeatureELR is the feature of eligible leader replicas (KIP-966).
const FeatureELR = "eligible.leader.replicas.version"

// featureKRaftVersion is the feature of quorums whose voters can change (KIP-853).
const featureKRaftVersion = "kraft.version"

// Supported is the levels of each feature that this version of Naru supports,
// ordered by name: what a broker registers with and ApiVersions answers.
// kraft.version is kept by the quorum itself, not in FeatureLevelRecords. Of
// metadata.version the older levels can be read, but only the newest is written,
// so that UpdateFeatures cannot choose an older one.
func Supported() []metadata.FeatureRange {
	return []metadata.FeatureRange{
		{Name: FeatureELR, Min: 0, Max: 1},
		{Name: "group.version", Min: 0, Max: 1},
		{Name: featureKRaftVersion, Min: 0, Max: 1},
		{Name: metadata.FeatureMetadataVersion, Min: 7, Max: metadataVersion},
		{Name: "share.version", Min: 0, Max: 1},
		{Name: "streams.version", Min: 0, Max: 1},
		{Name: "transaction.version", Min: 0, Max: 2},
	}
}

// metadataVersion is Kafka's 4.3-IV0, whose record versions this controller
// writes.
const metadataVersion = 30

// RecordVersion returns the version in which the controller writes a record,
// the one of metadata.version 30.
func RecordVersion(r metadata.Record) int16 {
	switch r.(type) {
	case *metarecord.RegisterBrokerRecord:
		return 4
	case *metarecord.BrokerRegistrationChangeRecord:
		return 3
	case *metarecord.PartitionRecord, *metarecord.PartitionChangeRecord:
		return 2
	default:
		return 0
	}
}

// CheckFeatures says whether this version can govern a cluster with the features
// that img has finalized; if not, a newer version wrote the metadata.
func CheckFeatures(img *metadata.Image) error {
	ranges := Supported()
	for _, f := range img.Features() {
		at := slices.IndexFunc(ranges, func(s metadata.FeatureRange) bool { return s.Name == f.Name })
		switch {
		case at < 0:
			return fmt.Errorf("the cluster uses the feature %s at level %d, which this version does not know; "+
				"start the version that wrote this data directory, or a newer one", f.Name, f.Level)
		case f.Level > ranges[at].Max || f.Level < ranges[at].Min:
			return fmt.Errorf("the cluster uses %s at level %d and this version supports %d to %d; "+
				"start the version that wrote this data directory, or a newer one", f.Name, f.Level, ranges[at].Min, ranges[at].Max)
		}
	}
	return nil
}

// Bootstrap decides what a new cluster begins with: the finalized features, and
// the cluster's min.insync.replicas, which eligible leader replicas rely on.
// It has no effect on a cluster that has begun.
func (c *Core) Bootstrap() {
	if len(c.image().Features()) > 0 {
		return
	}
	for _, f := range []metadata.Feature{
		{Name: metadata.FeatureMetadataVersion, Level: metadataVersion},
		{Name: FeatureELR, Level: 1},
		{Name: "group.version", Level: 1},
		{Name: "share.version", Level: 1},
		{Name: "streams.version", Level: 1},
		{Name: "transaction.version", Level: 2},
	} {
		c.write(&metarecord.FeatureLevelRecord{Name: f.Name, FeatureLevel: f.Level})
	}
	value, _, _ := c.cfg.Settings.Lookup(minISRSetting)
	c.write(configRecord(metadata.ConfigResource{Type: metadata.ResourceBroker}, minISRSetting, value))
}

// The kinds of upgrade in UpdateFeatures (KIP-584).
const (
	upgrade         int8 = 1
	safeDowngrade   int8 = 2
	unsafeDowngrade int8 = 3
)

// updateFeatures changes the finalized levels of features: all of them or none. In
// any version a refusal is told for all at once, as Apache Kafka does.
func (c *Core) updateFeatures(e Event, r *protocol.UpdateFeaturesRequest) *protocol.UpdateFeaturesResponse {
	resp := &protocol.UpdateFeaturesResponse{}
	var records []metadata.Record
	for _, u := range r.FeatureUpdates {
		if f := c.checkFeature(e, &u); f != nil {
			first := fail(f.code, "The update failed for all features since the following feature had an error: %s", f.message)
			return &protocol.UpdateFeaturesResponse{ErrorCode: first.code, ErrorMessage: first.text()}
		}
		if c.image().Feature(u.Feature) != u.MaxVersionLevel {
			records = append(records, &metarecord.FeatureLevelRecord{Name: u.Feature, FeatureLevel: u.MaxVersionLevel})
		}
		if e.Version < 2 {
			resp.Results = append(resp.Results, protocol.UpdateFeaturesResponseUpdatableFeatureResult{Feature: u.Feature})
		}
	}
	if !r.ValidateOnly {
		c.write(records...)
	}
	return resp
}

func (c *Core) checkFeature(e Event, u *protocol.UpdateFeaturesRequestFeatureUpdateKey) *failure {
	kind := u.UpgradeType
	if e.Version == 0 {
		kind = upgrade
		if u.AllowDowngrade {
			kind = safeDowngrade
		}
	}
	have := c.image().Feature(u.Feature)
	ranges := Supported()
	at := slices.IndexFunc(ranges, func(s metadata.FeatureRange) bool { return s.Name == u.Feature })
	refuse := func(reason string, args ...any) *failure {
		prefix := fmt.Sprintf("Invalid update version %d for feature %s. ", u.MaxVersionLevel, u.Feature)
		return fail(protocol.InvalidUpdateVersion, prefix+reason, args...)
	}
	switch {
	case kind < upgrade || kind > unsafeDowngrade:
		return refuse("The controller does not support the given upgrade type.")
	case u.MaxVersionLevel < 0:
		return refuse("A feature version cannot be less than 0.")
	case at < 0:
		return refuse("Local controller %d does not support this feature.", c.cfg.NodeID)
	case u.MaxVersionLevel < ranges[at].Min || u.MaxVersionLevel > ranges[at].Max:
		return refuse("Local controller %d only supports versions %d-%d", c.cfg.NodeID, ranges[at].Min, ranges[at].Max)
	case u.Feature == featureKRaftVersion && u.MaxVersionLevel != have:
		return refuse("The quorum has a fixed set of voters, which keeps the feature at %d.", have)
	case u.Feature == metadata.FeatureMetadataVersion && u.MaxVersionLevel != metadataVersion:
		return fail(protocol.InvalidUpdateVersion, "Unsupported metadata.version downgrade from %d to %d. "+
			"Refusing to perform the requested downgrade because it might delete metadata information.", have, u.MaxVersionLevel)
	case u.MaxVersionLevel < have && kind == upgrade:
		return refuse("Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.")
	case u.MaxVersionLevel > have && kind != upgrade:
		return refuse("Can't upgrade the version of this feature with the upgrade type set to a downgrade.")
	}
	for _, b := range c.image().Brokers() {
		for _, s := range b.Features {
			if s.Name == u.Feature && (u.MaxVersionLevel < s.Min || u.MaxVersionLevel > s.Max) {
				return refuse("Broker %d only supports versions %d-%d", b.ID, s.Min, s.Max)
			}
		}
	}
	return nil
}
