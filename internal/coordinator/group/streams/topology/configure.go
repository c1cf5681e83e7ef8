package topology

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Status codes of StreamsGroupHeartbeat that tell why a topology cannot be run.
const (
	MissingSourceTopics          int8 = 1
	IncorrectlyPartitionedTopics int8 = 2
	MissingInternalTopics        int8 = 3
)

// Problem is why a topology cannot be run with the topics that there are.
type Problem struct {
	Status int8
	Detail string
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// Configured is a topology held against the topics that there are.
type Configured struct {
	// Problem is why it cannot be run; nil if it can.
	Problem *Problem
	// Subtopologies are in the order of their ids; none while topics are missing that
	// the application does not bring itself, or do not fit together.
	Subtopologies []Subtopology
	// Missing are the internal topics that have to be created.
	Missing []protocol.CreateTopicsRequestCreatableTopic
}

// Subtopology is a subtopology whose tasks are known.
type Subtopology struct {
	ID                      string
	Tasks                   int32
	SourceTopics            []string
	RepartitionSinkTopics   []string
	RepartitionSourceTopics []Internal
	StateChangelogTopics    []Internal
}

// Internal is an internal topic whose partitions are known.
type Internal struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16 // 0: what the broker is set to
	Configs           []Config
}

// Config is a setting of an internal topic.
type Config struct{ Key, Value string }

// Find returns the subtopology with the id, nil if there is none.
func (c *Configured) Find(id string) *Subtopology {
	i, ok := slices.BinarySearchFunc(c.Subtopologies, id, func(s Subtopology, id string) int { return strings.Compare(s.ID, id) })
	if !ok {
		return nil
	}
	return &c.Subtopologies[i]
}

// Configure holds the topology against the topics that there are: partitions returns how
// many partitions a topic has. An error says that no topics could make it run.
func (t *Topology) Configure(partitions func(topic string) (n int32, exists bool)) (*Configured, error) {
	c := &configuring{topology: t, existing: partitions, decided: map[string]int32{}}
	out, err := c.configure()
	var problem *Problem
	if errors.As(err, &problem) {
		return &Configured{Problem: problem}, nil
	}
	return out, err
}

// configuring is a topology that is being held against topics.
type configuring struct {
	topology *Topology
	existing func(topic string) (int32, bool)
	decided  map[string]int32 // of internal topics
}

// count returns how many partitions a topic has, or will have.
func (c *configuring) count(topic string) (int32, bool) {
	if n, ok := c.existing(topic); ok {
		return n, true
	}
	n, ok := c.decided[topic]
	return n, ok
}

func (c *configuring) configure() (*Configured, error) {
	for _, step := range []func() error{c.checkSources, c.repartition, c.copartition} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	out, tasks := &Configured{}, int64(0)
	for _, s := range c.topology.sorted {
		n := c.widest(s)
		if n == 0 {
			return nil, fmt.Errorf("No source topics found for subtopology %s", s.SubtopologyId) //nolint:staticcheck // Kafka's words, which people read
		}
		if tasks += int64(n); tasks > MaxTasks {
			return nil, fmt.Errorf("the topology has more than %d tasks", MaxTasks)
		}
		for i := range s.StateChangelogTopics {
			c.decided[s.StateChangelogTopics[i].Name] = n
		}
		out.Subtopologies = append(out.Subtopologies, Subtopology{
			ID: s.SubtopologyId, Tasks: n,
			SourceTopics: slices.Sorted(slices.Values(s.SourceTopics)), RepartitionSinkTopics: slices.Sorted(slices.Values(s.RepartitionSinkTopics)),
			RepartitionSourceTopics: c.internals(s.RepartitionSourceTopics), StateChangelogTopics: c.internals(s.StateChangelogTopics),
		})
	}
	return out, c.missing(out)
}

// checkSources finds topics that the application expects to be there.
func (c *configuring) checkSources() error {
	var gone []string
	for _, s := range c.topology.sorted {
		for _, topic := range s.SourceTopics {
			if _, ok := c.existing(topic); !ok {
				gone = append(gone, topic)
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	return &Problem{MissingSourceTopics, "Source topics " + summary(slices.Compact(gone)) + " are missing."}
}

// summary names the first topics of a list.
func summary(topics []string) string {
	const shown = 3
	if len(topics) <= shown {
		return strings.Join(topics, ", ")
	}
	return fmt.Sprintf("%s and %d additional topics", strings.Join(topics[:shown], ", "), len(topics)-shown)
}

// repartition decides the partitions of the repartition topics: those that the topology
// leaves open get as many as the subtopology has tasks that writes to them, from source
// to sink.
func (c *configuring) repartition() error {
	for _, s := range c.topology.sorted {
		for i := range s.RepartitionSourceTopics {
			if t := &s.RepartitionSourceTopics[i]; t.Partitions != 0 {
				c.decided[t.Name] = t.Partitions
			}
		}
	}
	for {
		open, found := false, false
		for _, s := range c.topology.sorted {
			n := c.feeds(s)
			for _, sink := range s.RepartitionSinkTopics {
				if _, ok := c.decided[sink]; ok {
					continue
				}
				if n == 0 {
					open = true
					continue
				}
				c.decided[sink], found = n, true
			}
		}
		if !open {
			break
		}
		if !found {
			return errors.New("Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved.") //nolint:staticcheck // Kafka's words, which people read
		}
	}
	for _, s := range c.topology.sorted {
		for i := range s.RepartitionSourceTopics {
			if _, ok := c.decided[s.RepartitionSourceTopics[i].Name]; !ok {
				return errors.New("Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic.") //nolint:staticcheck // Kafka's words, which people read
			}
		}
	}
	return nil
}

// feeds returns how many partitions a repartition topic gets from a subtopology that
// writes to it, 0 as long as that is not known.
func (c *configuring) feeds(s *subtopology) int32 {
	n := int32(0)
	for i := range s.RepartitionSourceTopics {
		n = max(n, c.decided[s.RepartitionSourceTopics[i].Name])
	}
	for _, topic := range s.SourceTopics {
		if found, ok := c.existing(topic); ok {
			n = max(n, found)
		}
	}
	return n
}

// widest returns the partitions of the largest topic that the subtopology reads.
func (c *configuring) widest(s *subtopology) int32 {
	n := int32(0)
	eachSource(s, func(topic string) {
		found, _ := c.count(topic)
		n = max(n, found)
	})
	return n
}

// copartition gives topics that are joined the same number of partitions.
func (c *configuring) copartition() error {
	fixed, flexible := map[string]bool{}, map[string]bool{}
	for _, s := range c.topology.sorted {
		for i := range s.RepartitionSourceTopics {
			t := &s.RepartitionSourceTopics[i]
			fixed[t.Name] = fixed[t.Name] || t.Partitions != 0
			flexible[t.Name] = flexible[t.Name] || t.Partitions == 0
		}
	}
	for _, s := range c.topology.sorted {
		for _, g := range s.CopartitionGroups {
			internal, external := map[string]int32{}, map[string]int32{}
			add := func(topic string) {
				n, _ := c.count(topic)
				if fixed[topic] || flexible[topic] {
					internal[topic] = n
				} else {
					external[topic] = n
				}
			}
			for _, i := range g.SourceTopics {
				add(s.SourceTopics[i])
			}
			for _, i := range g.RepartitionSourceTopics {
				add(s.RepartitionSourceTopics[i].Name)
			}
			if err := c.align(internal, external, fixed); err != nil {
				return err
			}
		}
	}
	return nil
}

// align decides the partitions of one copartition group.
func (c *configuring) align(internal, external map[string]int32, fixed map[string]bool) error {
	if len(internal)+len(external) == 0 {
		return nil
	}
	decisive := external
	if len(external) == 0 {
		decisive = map[string]int32{}
		for topic, is := range fixed {
			if is {
				decisive[topic], _ = c.count(topic)
			}
		}
	}
	n := int32(0)
	if len(decisive) == 0 {
		for _, count := range internal {
			n = max(n, count)
		}
	}
	for _, count := range decisive {
		if n = cmp.Or(n, count); n != count {
			shown := external
			if len(external) == 0 {
				shown = internal
			}
			return &Problem{IncorrectlyPartitionedTopics, fmt.Sprintf("Following topics do not have the same number of partitions: [%s]", counts(shown))}
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(internal)) {
		if fixed[topic] && internal[topic] != n {
			return &Problem{IncorrectlyPartitionedTopics, fmt.Sprintf("Number of partitions [%d] of repartition topic [%s] doesn't match number of partitions [%d] of the source topic.",
				internal[topic], topic, n)}
		}
		c.decided[topic] = n
	}
	return nil
}

// counts lists topics with their partitions as Java prints a map.
func counts(topics map[string]int32) string {
	var parts []string
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		parts = append(parts, fmt.Sprintf("%s=%d", topic, topics[topic]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// internals returns internal topics with the partitions that were decided, by name.
func (c *configuring) internals(topics []topicInfo) []Internal {
	out := make([]Internal, len(topics))
	for i := range topics {
		t := &topics[i]
		out[i] = Internal{Name: t.Name, Partitions: cmp.Or(t.Partitions, c.decided[t.Name]), ReplicationFactor: t.ReplicationFactor}
		for _, config := range t.TopicConfigs {
			out[i].Configs = append(out[i].Configs, Config(config))
		}
	}
	slices.SortFunc(out, func(a, b Internal) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// missing finds the internal topics that are to be created, and those that are there and
// do not fit.
func (c *configuring) missing(out *Configured) error {
	wanted := map[string]Internal{}
	for i := range out.Subtopologies {
		for _, t := range slices.Concat(out.Subtopologies[i].RepartitionSourceTopics, out.Subtopologies[i].StateChangelogTopics) {
			wanted[t.Name] = t
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		t := wanted[name]
		n, exists := c.existing(name)
		if exists && n != t.Partitions {
			return &Problem{IncorrectlyPartitionedTopics, fmt.Sprintf("Existing topic %s has different number of partitions: expected %d, found %d", name, t.Partitions, n)}
		}
		if !exists {
			names = append(names, name)
			out.Missing = append(out.Missing, creatable(t))
		}
	}
	if len(names) > 0 {
		out.Problem = &Problem{MissingInternalTopics, "Internal topics are missing: " + summary(names)}
	}
	return nil
}

func creatable(t Internal) protocol.CreateTopicsRequestCreatableTopic {
	out := protocol.CreateTopicsRequestCreatableTopic{Name: t.Name, NumPartitions: t.Partitions, ReplicationFactor: cmp.Or(t.ReplicationFactor, -1)}
	for i := range t.Configs {
		out.Configs = append(out.Configs, protocol.CreateTopicsRequestCreatableTopicConfig{Name: t.Configs[i].Key, Value: &t.Configs[i].Value})
	}
	return out
}
