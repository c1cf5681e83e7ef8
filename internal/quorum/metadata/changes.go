package metadata

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// TopicChange tells what happened to one topic between two images.
type TopicChange struct {
	// Old is the topic before, nil if it was created.
	Old *Topic
	// New is the topic after, nil if it was deleted.
	New *Topic
	// Partitions are the ids that were added or changed, ascending. Of a deleted
	// topic it is empty: all are gone.
	Partitions []int32
}

// Name returns the name of the topic.
func (c TopicChange) Name() string {
	if c.New != nil {
		return c.New.Name
	}
	return c.Old.Name
}

// Changes tells the difference between two images. It is immutable.
type Changes struct {
	// Old and New are the images before and after.
	Old, New *Image
	// Topics are the changed topics, ordered by name; a topic that was deleted and
	// created again appears as two, the deletion first.
	Topics []TopicChange
	// Configs are the resources whose settings changed, ordered.
	Configs []ConfigResource
	// Brokers are the ids of the brokers whose registration changed, ascending.
	Brokers []int32
	// Features says whether a finalized feature changed.
	Features bool
	// Access says which tables about access rights changed.
	Access AccessChange
}

// Changes returns what the delta changed from the image it started at to next,
// the last result of Image.
func (d *Delta) Changes(next *Image) *Changes {
	c := &Changes{Old: d.old, New: next, Features: d.features, Access: d.access}
	for id, touched := range d.topicsTouched {
		change := TopicChange{Old: d.old.TopicByID(id), New: next.TopicByID(id)}
		switch {
		case change.Old == nil && change.New == nil:
			continue
		case change.New == nil:
		case change.Old == nil:
			for id := range change.New.partitions {
				change.Partitions = append(change.Partitions, int32(id))
			}
		default:
			change.Partitions = slices.Sorted(maps.Keys(touched))
		}
		c.Topics = append(c.Topics, change)
	}
	slices.SortFunc(c.Topics, func(a, b TopicChange) int {
		return cmp.Or(strings.Compare(a.Name(), b.Name()), boolOrder(a.New != nil)-boolOrder(b.New != nil))
	})
	c.Configs = slices.SortedFunc(maps.Keys(d.configsTouched), compareResource)
	c.Brokers = slices.Sorted(maps.Keys(d.brokersTouched))
	return c
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (d *Delta) touchTopic(id wire.UUID) {
	if d.topicsTouched[id] == nil {
		d.topicsTouched[id] = map[int32]struct{}{}
	}
}

func (d *Delta) touchPartition(id wire.UUID, partition int32) {
	d.touchTopic(id)
	if d.old.TopicByID(id) != nil {
		d.topicsTouched[id][partition] = struct{}{}
	}
}

func (d *Delta) touchConfig(r ConfigResource) { d.configsTouched[r] = struct{}{} }
func (d *Delta) touchBroker(id int32)         { d.brokersTouched[id] = struct{}{} }

// Merge joins two differences that follow each other into one from c.Old to
// next.New.
func (c *Changes) Merge(next *Changes) *Changes {
	d := NewDelta(c.Old)
	for _, part := range []*Changes{c, next} {
		for _, t := range part.Topics {
			id := cmp.Or(t.New, t.Old).ID
			d.touchTopic(id)
			for _, p := range t.Partitions {
				d.touchPartition(id, p)
			}
		}
		for _, r := range part.Configs {
			d.touchConfig(r)
		}
		for _, b := range part.Brokers {
			d.touchBroker(b)
		}
		d.features = d.features || part.Features
		d.access |= part.Access
	}
	return d.Changes(next.New)
}

// Everything tells an image as a change from the empty image.
func Everything(img *Image) *Changes {
	d := NewDelta(NewImage())
	for t := range img.Topics() {
		d.touchTopic(t.ID)
	}
	for r := range img.Configs() {
		d.touchConfig(r)
	}
	for _, b := range img.Brokers() {
		d.touchBroker(b.ID)
	}
	d.features = len(img.Features()) > 0
	for _, table := range []struct {
		size int
		flag AccessChange
	}{
		{img.quotas.Len(), QuotasChanged}, {img.credentials.Len(), CredentialsChanged},
		{img.acls.Len(), ACLsChanged}, {img.tokens.Len(), TokensChanged},
	} {
		if table.size > 0 {
			d.access |= table.flag
		}
	}
	return d.Changes(img)
}
