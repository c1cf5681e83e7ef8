package topology

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Limits that no setting names.
const (
	// MaxSubtopologies is how many subtopologies a topology may have.
	MaxSubtopologies = 1000
	// MaxTopics is how often a topology may name a topic.
	MaxTopics = 10_000
	// MaxIDBytes is how long the id of a subtopology may be.
	MaxIDBytes = 249
	// MaxTasks is how many tasks a topology may have.
	MaxTasks = 100_000
)

type (
	value       = coordrecord.StreamsGroupTopologyValue
	subtopology = coordrecord.StreamsGroupTopologyValueSubtopology
	topicInfo   = coordrecord.StreamsGroupTopologyValueTopicInfo
)

// Topology is the topology of an application.
type Topology struct {
	value   *value
	sorted  []*subtopology // by id
	sources map[string]string
	size    int
	sum     [sha256.Size]byte // of the subtopologies in order, to compare topologies by
}

// FromRequest returns the topology that a member sent. The error says what is wrong
// with its form.
func FromRequest(t *protocol.StreamsGroupHeartbeatRequestTopology) (*Topology, error) {
	v := &value{Epoch: t.Epoch}
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		out := subtopology{
			SubtopologyId: s.SubtopologyId, SourceTopics: s.SourceTopics, SourceTopicRegex: s.SourceTopicRegex,
			RepartitionSinkTopics: s.RepartitionSinkTopics,
			StateChangelogTopics:  topics(s.StateChangelogTopics), RepartitionSourceTopics: topics(s.RepartitionSourceTopics),
		}
		for _, g := range s.CopartitionGroups {
			out.CopartitionGroups = append(out.CopartitionGroups, coordrecord.StreamsGroupTopologyValueCopartitionGroup(g))
		}
		v.Subtopologies = append(v.Subtopologies, out)
	}
	return New(v)
}

func topics(from []protocol.StreamsGroupHeartbeatRequestTopicInfo) []topicInfo {
	out := make([]topicInfo, len(from))
	for i, t := range from {
		out[i] = topicInfo{Name: t.Name, Partitions: t.Partitions, ReplicationFactor: t.ReplicationFactor}
		for _, c := range t.TopicConfigs {
			out[i].TopicConfigs = append(out[i].TopicConfigs, coordrecord.StreamsGroupTopologyValueTopicConfig(c))
		}
	}
	return out
}

// New returns the topology that a record tells of. Nothing of v is kept.
func New(v *value) (*Topology, error) {
	if err := check(v); err != nil {
		return nil, err
	}
	t := &Topology{value: new(value), sources: map[string]string{}}
	if err := t.value.Decode(v.Append(nil, 0), 0); err != nil {
		return nil, err
	}
	for i := range t.value.Subtopologies {
		s := &t.value.Subtopologies[i]
		t.sorted = append(t.sorted, s)
		eachSource(s, func(topic string) { t.sources[topic] = s.SubtopologyId })
	}
	slices.SortFunc(t.sorted, func(a, b *subtopology) int { return strings.Compare(a.SubtopologyId, b.SubtopologyId) })
	ordered := value{Epoch: v.Epoch}
	for i, s := range t.sorted {
		if i > 0 && s.SubtopologyId == t.sorted[i-1].SubtopologyId {
			return nil, fmt.Errorf("the topology has two subtopologies %s", s.SubtopologyId)
		}
		ordered.Subtopologies = append(ordered.Subtopologies, *s)
	}
	b := ordered.Append(nil, 0)
	t.size, t.sum = len(b), sha256.Sum256(b)
	return t, nil
}

// check tells what is wrong with the form of a topology.
func check(v *value) error {
	if v.Epoch < 0 {
		return fmt.Errorf("the topology epoch is %d, but must not be negative", v.Epoch)
	}
	if len(v.Subtopologies) > MaxSubtopologies {
		return fmt.Errorf("the topology has %d subtopologies, %d are allowed", len(v.Subtopologies), MaxSubtopologies)
	}
	named := 0
	for i := range v.Subtopologies {
		s := &v.Subtopologies[i]
		named += len(s.SourceTopics) + len(s.RepartitionSinkTopics) + len(s.RepartitionSourceTopics) + len(s.StateChangelogTopics)
		if named > MaxTopics {
			return fmt.Errorf("the topology names more than %d topics", MaxTopics)
		}
		if err := checkSubtopology(s); err != nil {
			return err
		}
	}
	return nil
}

func checkSubtopology(s *subtopology) error {
	if s.SubtopologyId == "" || len(s.SubtopologyId) > MaxIDBytes {
		return fmt.Errorf("the id of a subtopology has %d bytes, 1 to %d are allowed", len(s.SubtopologyId), MaxIDBytes)
	}
	for i := range s.StateChangelogTopics {
		if t := &s.StateChangelogTopics[i]; t.Partitions != 0 {
			return fmt.Errorf("Changelog topic %s must have an undefined partition count, but it is set to %d.", t.Name, t.Partitions) //nolint:staticcheck // Kafka's words, which people read
		}
	}
	for i := range s.RepartitionSourceTopics {
		if t := &s.RepartitionSourceTopics[i]; t.Partitions < 0 {
			return fmt.Errorf("repartition topic %s has %d partitions", t.Name, t.Partitions)
		}
	}
	outside := func(at []int16, n int) bool {
		return slices.ContainsFunc(at, func(i int16) bool { return i < 0 || int(i) >= n })
	}
	for _, g := range s.CopartitionGroups {
		if outside(g.SourceTopics, len(s.SourceTopics)) || outside(g.RepartitionSourceTopics, len(s.RepartitionSourceTopics)) {
			return fmt.Errorf("a copartition group of subtopology %s refers to a topic that is not there", s.SubtopologyId)
		}
	}
	return nil
}

// Epoch is the topology's epoch.
func (t *Topology) Epoch() int32 { return t.value.Epoch }

// Value is the record that tells of the topology. It must not be changed.
func (t *Topology) Value() *coordrecord.StreamsGroupTopologyValue { return t.value }

// Equal tells whether both are the same but for the order of subtopologies.
func (t *Topology) Equal(u *Topology) bool { return t.sum == u.sum }

// Size is how many bytes the record of the topology takes.
func (t *Topology) Size() int { return t.size }

// Source returns the subtopology that reads the topic.
func (t *Topology) Source(topic string) (subtopology string, ok bool) {
	subtopology, ok = t.sources[topic]
	return subtopology, ok
}

// Required lists the topics that must be there for the application to run, in order.
func (t *Topology) Required() []string {
	var out []string
	for _, s := range t.sorted {
		eachSource(s, func(topic string) { out = append(out, topic) })
		for i := range s.StateChangelogTopics {
			out = append(out, s.StateChangelogTopics[i].Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// eachSource calls f for every topic that the subtopology reads.
func eachSource(s *subtopology, f func(topic string)) {
	for _, topic := range s.SourceTopics {
		f(topic)
	}
	for i := range s.RepartitionSourceTopics {
		f(s.RepartitionSourceTopics[i].Name)
	}
}

// Plain lists the subtopologies as the member sent them, with the partitions that it
// knew of.
func (t *Topology) Plain() []Subtopology {
	out := make([]Subtopology, len(t.sorted))
	c := &configuring{}
	for i, s := range t.sorted {
		out[i] = Subtopology{
			ID: s.SubtopologyId, SourceTopics: slices.Sorted(slices.Values(s.SourceTopics)), RepartitionSinkTopics: slices.Sorted(slices.Values(s.RepartitionSinkTopics)),
			RepartitionSourceTopics: c.internals(s.RepartitionSourceTopics), StateChangelogTopics: c.internals(s.StateChangelogTopics),
		}
	}
	return out
}
