package controller

import (
	"fmt"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// governed returns a world with one broker that leads many partitions.
func governed(b *testing.B, topics int) *world {
	w := newWorld(b)
	w.core.Bootstrap()
	w.core.Take()
	r := w.handle(w.registration("1 X1"), 4).(*protocol.BrokerRegistrationResponse)
	w.handle(&protocol.BrokerHeartbeatRequest{BrokerId: 1, BrokerEpoch: r.BrokerEpoch, CurrentMetadataOffset: 1 << 40}, 1)
	for range topics {
		w.handle(newTopicRequest(fmt.Sprint("topic-", w.ids)), 7)
	}
	w.core.Take()
	return w
}

func newTopicRequest(name string) *protocol.CreateTopicsRequest {
	return &protocol.CreateTopicsRequest{Topics: []protocol.CreateTopicsRequestCreatableTopic{{Name: name, NumPartitions: 1, ReplicationFactor: 1}}}
}

func BenchmarkFencingAndUnfencingALeaderOf2500Partitions(b *testing.B) {
	w := governed(b, 2500)
	b.ReportAllocs()
	for b.Loop() {
		broker := w.core.Image().Broker(1)
		w.core.fence(broker)
		w.core.unfence(w.core.Image().Broker(1))
		w.core.Take()
	}
}

func BenchmarkCreateTopicAmong2500(b *testing.B) {
	w := governed(b, 2500)
	b.ReportAllocs()
	for b.Loop() {
		w.handle(newTopicRequest(fmt.Sprint("topic-", w.ids)), 7)
		w.core.Take()
	}
}
