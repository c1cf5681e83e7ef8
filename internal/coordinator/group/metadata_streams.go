package group

import (
	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// StreamsOverrides implements streams.Metadata.
func (i image) StreamsOverrides(group string) streams.Overrides {
	own := i.of.Config(metadata.ConfigResource{Type: metadata.ResourceGroup, Name: group})
	out := streams.Overrides{
		SessionTimeoutMs:        number(own, "streams.session.timeout.ms"),
		HeartbeatIntervalMs:     number(own, "streams.heartbeat.interval.ms"),
		AssignmentIntervalMs:    number(own, "streams.assignment.interval.ms"),
		InitialRebalanceDelayMs: number(own, "streams.initial.rebalance.delay.ms"),
		StandbyReplicas:         number(own, "streams.num.standby.replicas"),
	}
	if out.AssignmentIntervalMs == nil {
		all := i.of.Config(metadata.ConfigResource{Type: metadata.ResourceBroker})
		out.AssignmentIntervalMs = number(all, "group.streams.assignment.interval.ms")
	}
	return out
}
