package controller

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// place chooses the replicas of count new partitions of a topic, from the
// partition id first on. Racks take turns, and within a rack its brokers, so
// that leaders and replicas are spread evenly and the replicas of a partition
// lie in different racks as long as there are enough. Where the round begins
// depends on the topic id, which is random, and so do not all topics burden the
// same broker. Fenced brokers are taken only if the others do not suffice, and
// never as the first replica.
func (c *Core) place(topicID wire.UUID, first, count, factor int) ([][]int32, *failure) {
	refuse := func(format string, args ...any) ([][]int32, *failure) {
		reason := fail(protocol.InvalidReplicationFactor, format, args...).message
		return nil, fail(protocol.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): %s", factor, reason)
	}
	brokers := slices.DeleteFunc(slices.Clone(c.image().Brokers()), (*metadata.Broker).Cordoned)
	if factor > len(brokers) {
		return refuse("The target replication factor of %d cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", factor, len(brokers))
	}
	live := interleaveRacks(brokers, true)
	if len(live) == 0 {
		if slices.ContainsFunc(brokers, func(b *metadata.Broker) bool { return !b.Fenced }) {
			return refuse("All brokers are currently fenced or in controlled shutdown.")
		}
		return refuse("All brokers are currently fenced.")
	}
	spare := interleaveRacks(brokers, false)
	start := int(binary.BigEndian.Uint32(topicID[12:]) & 0xffff)
	assignments := make([][]int32, count)
	for i := range assignments {
		round := start + first + i
		// After each full round the followers shift by one, so that a broker's
		// leaders are not all followed by the same neighbour.
		shift := (first + i) / len(live)
		replicas := []int32{live[round%len(live)]}
		for n := 0; n < len(live)-1 && len(replicas) < factor; n++ {
			replicas = append(replicas, live[(round+1+(shift+n)%(len(live)-1))%len(live)])
		}
		for n := 0; len(replicas) < factor; n++ {
			replicas = append(replicas, spare[(round+n)%len(spare)])
		}
		assignments[i] = replicas
	}
	return assignments, nil
}

// interleaveRacks lists the brokers that may lead, or those that may not, taking
// one of each rack in turn.
func interleaveRacks(brokers []*metadata.Broker, active bool) []int32 {
	racks := map[string][]int32{}
	var names []string
	for _, b := range brokers {
		if b.Active() != active {
			continue
		}
		rack := ""
		if b.Rack != nil {
			rack = *b.Rack
		}
		if racks[rack] == nil {
			names = append(names, rack)
		}
		racks[rack] = append(racks[rack], b.ID)
	}
	slices.SortFunc(names, cmp.Compare[string])
	var out []int32
	for depth, found := 0, true; found; depth++ {
		found = false
		for _, name := range names {
			if depth < len(racks[name]) {
				out, found = append(out, racks[name][depth]), true
			}
		}
	}
	return out
}
