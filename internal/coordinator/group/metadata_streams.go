package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// StreamsOverrides implements streams.Metadata.
func (i image) StreamsOverrides(group string) streams.Overrides {
	own := i.of.Config(metadata.ConfigResource{Type: metadata.ResourceGroup, Name: group})
	return streams.Overrides{
		SessionTimeoutMs:        i.number(own, "streams.session.timeout.ms"),
		HeartbeatIntervalMs:     i.number(own, "streams.heartbeat.interval.ms"),
		AssignmentIntervalMs:    i.assignmentInterval(own, "streams.assignment.interval.ms"),
		InitialRebalanceDelayMs: i.number(own, "streams.initial.rebalance.delay.ms"),
		StandbyReplicas:         i.number(own, "streams.num.standby.replicas"),
	}
}
