package runtime

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/controller"
	"github.com/naru-stream/naru/internal/quorum/lifecycle"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/quorum/metalog"
	"github.com/naru-stream/naru/internal/quorum/publish"
	"github.com/naru-stream/naru/internal/vfs"
)

// node is a controller and a broker over a log that outlives them.
type node struct {
	t         *testing.T
	log       *metalog.Memory
	fs        vfs.FS
	settings  map[string]string
	broker    bool
	publisher *publish.Publisher
	control   *Controller
	life      *lifecycle.Lifecycle
	failed    chan error
	ids       byte
}

func newNode(t *testing.T) *node {
	return &node{t: t, log: &metalog.Memory{}, fs: vfs.NewMem(), settings: map[string]string{}, broker: true, failed: make(chan error, 1)}
}

func (n *node) config() Config {
	settings, err := config.NewValues(n.settings)
	if err != nil {
		n.t.Fatal(err)
	}
	return Config{
		ClusterID: "test-cluster", NodeID: 1, Settings: settings,
		Log: n.log, Snapshots: &metalog.Snapshots{FS: n.fs, Dir: "__cluster_metadata-0"}, Publisher: n.publisher,
		Failed:    func(err error) { n.failed <- err },
		Endpoints: []metadata.Endpoint{{Name: "CONTROLLER", Host: "localhost", Port: 9093}},
	}
}

func (n *node) start() {
	n.t.Helper()
	n.publisher = publish.New()
	var err error
	if n.control, err = Start(n.config()); err != nil {
		n.t.Fatal(err)
	}
	if n.broker {
		n.register()
	}
}

func (n *node) register() {
	n.t.Helper()
	n.ids++
	var err error
	n.life, err = lifecycle.Start(n.t.Context(), lifecycle.Config{
		BrokerID: 1, ClusterID: "test-cluster", IncarnationID: wire.UUID{0: n.ids},
		Endpoints: []metadata.Endpoint{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}},
		Features:  controller.Supported(), LogDirs: []wire.UUID{{0: 0xd1}}, PreviousBrokerEpoch: -1,
		HeartbeatInterval: time.Second, Channel: n.control, View: n.publisher,
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// kill ends everything without telling the cluster.
func (n *node) kill() {
	if n.life != nil {
		n.life.Stop()
		n.life = nil
	}
	n.control.Close()
	n.publisher.Close()
}

func (n *node) submit(r protocol.Request, version int16) protocol.Message {
	n.t.Helper()
	resp, offset, err := n.control.Submit(n.t.Context(), r, version)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.publisher.WaitFor(n.t.Context(), offset); err != nil {
		n.t.Fatal(err)
	}
	return resp
}

func (n *node) createTopic(name string, partitions int32) *protocol.CreateTopicsResponseCreatableTopicResult {
	n.t.Helper()
	r := n.submit(&protocol.CreateTopicsRequest{Topics: []protocol.CreateTopicsRequestCreatableTopic{
		{Name: name, NumPartitions: partitions, ReplicationFactor: -1},
	}}, 7).(*protocol.CreateTopicsResponse)
	return &r.Topics[0]
}

func TestANewNodeCreatesATopicThatARestartFindsAgain(t *testing.T) {
	n := newNode(t)
	n.start()
	if r := n.createTopic("orders", 3); r.ErrorCode != protocol.None || r.NumPartitions != 3 || r.ReplicationFactor != 1 {
		t.Fatalf("creating a topic: %+v", r)
	}
	before := n.publisher.Current().Topic("orders")
	if p, ok := before.Partition(2); !ok || p.Leader != 1 {
		t.Fatalf("partition 2: %+v", p)
	}
	n.kill()

	n.start()
	defer n.kill()
	after := n.publisher.Current().Topic("orders")
	if after == nil || after.ID != before.ID || after.PartitionCount() != 3 {
		t.Fatalf("after the restart: %+v", after)
	}
	p, _ := after.Partition(2)
	if old, _ := before.Partition(2); p.Leader != 1 || p.LeaderEpoch <= old.LeaderEpoch {
		t.Fatalf("partition 2 after the restart: leader %d epoch %d", p.Leader, p.LeaderEpoch)
	}
}

func TestASubmissionEndsWithItsContext(t *testing.T) {
	n := newNode(t)
	n.start()
	defer n.kill()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := n.control.Submit(ctx, &protocol.UnregisterBrokerRequest{BrokerId: 7}, 0)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
