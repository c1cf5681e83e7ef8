package naru

import (
	"slices"
	"strconv"

	"github.com/naru-stream/naru/internal/broker/server"
	"github.com/naru-stream/naru/internal/broker/telemetry"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// current returns the node's settings with the dynamic ones of the image.
func (n *Node) current(image *metadata.Image) config.Values {
	return server.Settings(image, n.values, nodeID(n.values))
}

// reconfigure makes the rooms that keep settings follow the dynamic ones. The others
// ask for them when they need them: partitions for their topic's, the server for each
// request.
func (n *Node) reconfigure(c *metadata.Changes) {
	own := strconv.Itoa(int(nodeID(n.values)))
	if !slices.ContainsFunc(c.Configs, func(r metadata.ConfigResource) bool {
		return r.Type == metadata.ResourceBroker && (r.Name == "" || r.Name == own)
	}) {
		return
	}
	was, is := n.current(c.Old), n.current(c.New)
	n.network.SetConnectionLimits(networkLimits(is, n.log))
	if err := n.cordon(is); err != nil {
		n.log.Error("cordoned.log.dirs has no effect", "error", err)
	}
	n.logs.SetMoveRate(moveRate(is))
	n.logs.SetProducerIDExpiration(ms(is.Int64("producer.id.expiration.ms")))
	changed := func(name string) bool {
		a, _, _ := was.Lookup(name)
		b, _, _ := is.Lookup(name)
		return a != b
	}
	if n.cleaner != nil && slices.ContainsFunc(cleanerSettings, changed) {
		n.cleaner.Reconfigure(cleanerConfig(is, n.logs, n.log))
	}
}

// cleanerSettings are those for which the cleaner is started anew.
var cleanerSettings = []string{
	"log.cleaner.threads", "log.cleaner.dedupe.buffer.size", "log.cleaner.io.buffer.size",
	"log.cleaner.io.max.bytes.per.second", "log.cleaner.backoff.ms",
}

// subscribeTelemetry makes the client metrics subscriptions follow the metadata.
func (n *Node) subscribeTelemetry(c *metadata.Changes) {
	for _, resource := range c.Configs {
		if resource.Type != metadata.ResourceClientMetrics {
			continue
		}
		settings := c.New.Config(resource)
		if settings.Len() == 0 {
			n.telemetry.Subscribe(resource.Name, nil)
			continue
		}
		s, err := telemetry.NewSubscription(settings.Map())
		if err != nil {
			n.log.Error("a client metrics subscription is left out", "subscription", resource.Name, "error", err)
		}
		n.telemetry.Subscribe(resource.Name, s)
	}
}
