package offsets

import (
	"maps"
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/wire"
)

// Committed is one committed offset.
type Committed struct {
	// Offset is the offset of the next record to consume.
	Offset int64

	// LeaderEpoch is the leader epoch of the last consumed record, or -1.
	LeaderEpoch int32

	// Metadata is the client's own remark.
	Metadata string

	// CommitTimestampMs is when the offset was committed.
	CommitTimestampMs int64

	// ExpireTimestampMs is when the offset is to be forgotten, or -1: the retention
	// of the group decides (KIP-211).
	ExpireTimestampMs int64

	// TopicID is the topic's id, or zero if the client committed by name.
	TopicID wire.UUID
}

// Store is the committed offsets of the groups of one partition of __consumer_offsets.
type Store struct {
	groups map[string]*groupOffsets
	total  int
}

type groupOffsets struct {
	topics map[string]map[int32]Committed
	count  int
}

// Get returns the offset that the group committed last for the partition.
func (s *Store) Get(group, topic string, partition int32) (Committed, bool) {
	g := s.groups[group]
	if g == nil {
		return Committed{}, false
	}
	c, ok := g.topics[topic][partition]
	return c, ok
}

// Put stores a committed offset. The strings are cloned where the Store keeps them.
func (s *Store) Put(group, topic string, partition int32, c Committed) {
	g := s.groups[group]
	if g == nil {
		if s.groups == nil {
			s.groups = make(map[string]*groupOffsets)
		}
		g = &groupOffsets{topics: make(map[string]map[int32]Committed)}
		s.groups[strings.Clone(group)] = g
	}
	partitions := g.topics[topic]
	if partitions == nil {
		partitions = make(map[int32]Committed)
		g.topics[strings.Clone(topic)] = partitions
	}
	old, had := partitions[partition]
	if had && old.Metadata == c.Metadata {
		c.Metadata = old.Metadata
	} else {
		c.Metadata = strings.Clone(c.Metadata)
	}
	if !had {
		g.count++
		s.total++
	}
	partitions[partition] = c
}

// Remove forgets an offset and tells whether it was there.
func (s *Store) Remove(group, topic string, partition int32) bool {
	g := s.groups[group]
	if g == nil {
		return false
	}
	partitions := g.topics[topic]
	if _, ok := partitions[partition]; !ok {
		return false
	}
	delete(partitions, partition)
	g.count--
	s.total--
	if len(partitions) == 0 {
		delete(g.topics, topic)
	}
	if len(g.topics) == 0 {
		delete(s.groups, group)
	}
	return true
}

// Count returns how many offsets the group has.
func (s *Store) Count(group string) int {
	if g := s.groups[group]; g != nil {
		return g.count
	}
	return 0
}

// Total returns how many offsets all groups have.
func (s *Store) Total() int { return s.total }

// Topics returns the topics for which the group has offsets, in order.
func (s *Store) Topics(group string) []string {
	g := s.groups[group]
	if g == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(g.topics))
}

// Partitions returns the partitions of the topic for which the group has offsets, in
// order.
func (s *Store) Partitions(group, topic string) []int32 {
	g := s.groups[group]
	if g == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(g.topics[topic]))
}

// Groups returns the groups that have offsets, in order.
func (s *Store) Groups() []string { return slices.Sorted(maps.Keys(s.groups)) }

// GroupsWith returns the groups that have offsets for the topic, in order.
func (s *Store) GroupsWith(topic string) []string {
	var out []string
	for name, g := range s.groups {
		if g.topics[topic] != nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
