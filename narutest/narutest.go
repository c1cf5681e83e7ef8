// Package narutest gives tests a real broker: a node of package naru on a
// temporary directory and a free port, ready in milliseconds and gone with the test.
//
//	func TestOrders(t *testing.T) {
//		node := narutest.Start(t)
//		client, _ := kgo.NewClient(kgo.SeedBrokers(node.Addr()))
//		…
//	}
//
// It is the broker that `naru` runs, not a double: it writes files, keeps groups and
// enforces what Kafka enforces. Some settings differ from a node's defaults so that
// tests are quick: naru.durability is os, group.initial.rebalance.delay.ms is 0, and
// no disk space is set aside.
//
// Neighbours: package naru below. Tests of any package above it may use it.
package narutest

import (
	"context"
	"testing"
	"time"

	"github.com/naru-stream/naru"
	"github.com/naru-stream/naru/internal/kafka/config"
)

// startTimeout bounds how long a node may take to start; it takes milliseconds.
const startTimeout = 30 * time.Second

// Start starts a node for the test and stops it when the test ends. Settings are
// given as on the command line: "num.partitions=3". A node that cannot start, a
// setting that is unknown or not allowed, and an error at the end fail the test.
func Start(t testing.TB, settings ...string) *naru.Node {
	t.Helper()
	properties := map[string]string{
		"listeners":                        "PLAINTEXT://localhost:0",
		"log.dirs":                         t.TempDir(),
		"naru.durability":                  "os",
		"naru.disk.reserve.bytes":          "0",
		"naru.disk.min.free.bytes":         "0",
		"group.initial.rebalance.delay.ms": "0",
	}
	for _, setting := range settings {
		key, value, err := config.ParseOverride(setting)
		if err != nil {
			t.Fatalf("narutest: %v", err)
		}
		properties[key] = value
	}
	for _, problem := range config.Unknown(properties) {
		t.Fatalf("narutest: %s", problem)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	node, err := naru.Start(ctx, naru.Config{Properties: properties})
	if err != nil {
		t.Fatalf("narutest: starting a node: %v", err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Errorf("narutest: closing the node: %v", err)
		}
	})
	return node
}
