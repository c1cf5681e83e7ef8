package naru

import (
	"log/slog"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/quorum/metalog"
)

// Rooms returns what the rooms of a node are given of settings, by room.
func Rooms(v config.Values) map[string]any {
	log := slog.New(slog.DiscardHandler)
	return map[string]any{
		"cleaner": cleanerConfig(v, nil, log), "group": groupSettings(v, log), "metadata": metalog.TopicConfig(v),
		"network": networkLimits(v, log), "share": shareSettings(v), "storage": storageConfig(v, v.LogDirs(), 1, log),
		"topic": v.Topic(), "transaction": transactionSettings(v),
	}
}

// Registration returns what the node's broker makes itself known with.
func (n *Node) Registration() any { return n.registration() }

// Cleans tells whether the node compacts logs.
func (n *Node) Cleans() bool { return n.cleaner != nil }

// Bound returns the address that the first listener is bound to.
func (n *Node) Bound() string { return n.network.Listeners()[0].Addr().String() }
