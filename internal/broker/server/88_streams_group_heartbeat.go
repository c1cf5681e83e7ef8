package server

import (
	"slices"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/controller"
)

// streamsGroupHeartbeat keeps a thread of a Kafka Streams application in its group and
// tells it what to work on (KIP-1071). Internal topics that the application needs are
// created beside; a later heartbeat finds them, or tells why they could not be.
func (b *Broker) streamsGroupHeartbeat(c *call, r *protocol.StreamsGroupHeartbeatRequest) {
	response := &protocol.StreamsGroupHeartbeatResponse{}
	response.SetDefaults()
	if !b.servesStreamsGroups() {
		response.ErrorCode = protocol.UnsupportedVersion
		c.respond(response)
		return
	}
	if wrong := checkTopicsOf(r.Topology); wrong != "" {
		response.ErrorCode, response.ErrorMessage = protocol.StreamsInvalidTopology, &wrong
		c.respond(response)
		return
	}
	b.Groups.StreamsGroupHeartbeat(c.context(), r, func(res *protocol.StreamsGroupHeartbeatResponse, missing []protocol.CreateTopicsRequestCreatableTopic) {
		if said := b.streamsTopics.create(missing, 2*int64(res.HeartbeatIntervalMs)); said != "" {
			for i := range res.Status {
				if s := &res.Status[i]; s.StatusCode == missingInternalTopics {
					s.StatusDetail += "; Creation failed: " + said + "."
				}
			}
		}
		c.respond(res)
	})
}

// missingInternalTopics is the status of a group whose internal topics are to come.
const missingInternalTopics = 3

// servesStreamsGroups tells whether the cluster has settled on streams groups and the
// settings allow them.
func (b *Broker) servesStreamsGroups() bool {
	return b.image().Feature("streams.version") > 0 && slices.Contains(b.Static.List("group.coordinator.rebalance.protocols"), "streams")
}

// checkTopicsOf tells what is wrong with the topics that a topology names.
func checkTopicsOf(t *protocol.StreamsGroupHeartbeatRequestTopology) string {
	if t == nil {
		return ""
	}
	var names []string
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		names = append(append(names, s.SourceTopics...), s.RepartitionSinkTopics...)
		for _, topics := range [][]protocol.StreamsGroupHeartbeatRequestTopicInfo{s.RepartitionSourceTopics, s.StateChangelogTopics} {
			for i := range topics {
				names = append(names, topics[i].Name)
			}
		}
	}
	var prohibited, invalid []string
	for _, name := range names {
		if isInternal(name) && !slices.Contains(prohibited, name) {
			prohibited = append(prohibited, name)
		}
		if len(invalid) == 0 && controller.CheckTopicName(name) != nil {
			invalid = append(invalid, name)
		}
	}
	switch {
	case len(prohibited) > 0:
		return "Use of Kafka internal topics " + strings.Join(prohibited, ",") + " in a Kafka Streams topology is prohibited."
	case len(invalid) > 0:
		return "Topic names " + strings.Join(invalid, ",") + " are not valid topic names."
	}
	return ""
}
