package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/naru-stream/naru/internal/kafka/metarecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
	"github.com/naru-stream/naru/internal/quorum/metalog"
)

func (n *node) fenced() bool { return n.publisher.Current().Broker(1).Fenced }

func TestHeartbeatsKeepABrokerInServiceAndSilenceFencesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.start()
		n.createTopic("a", 1)
		epoch := n.publisher.Current().Broker(1).Epoch
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if b := n.publisher.Current().Broker(1); b.Fenced || b.Epoch != epoch {
			t.Fatalf("after ten minutes with heartbeats: %+v", b)
		}
		n.life.Stop()
		n.life = nil
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !n.fenced() {
			t.Fatal("a silent broker is not fenced")
		}
		p, _ := n.publisher.Current().Topic("a").Partition(0)
		if p.Leader != -1 {
			t.Fatalf("a fenced broker leads: %+v", p)
		}
		n.kill()
	})
}

func TestABrokerThatWasUnregisteredRegistersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.start()
		old := n.life.Epoch()
		n.submit(&protocol.UnregisterBrokerRequest{BrokerId: 1}, 0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b := n.publisher.Current().Broker(1)
		if b == nil || b.Fenced || b.Epoch <= old || n.life.Epoch() != b.Epoch {
			t.Fatalf("after an unregistration: %+v, lifecycle at epoch %d", b, n.life.Epoch())
		}
		n.kill()
	})
}

func TestAControlledShutdownKeepsTheReplicasEligible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.start()
		n.createTopic("a", 2)
		if err := n.life.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.publisher.WaitFor(t.Context(), n.control.core.Image().Offset); err != nil {
			t.Fatal(err)
		}
		p, _ := n.publisher.Current().Topic("a").Partition(1)
		if !n.fenced() || p.Leader != -1 || len(p.ELR()) != 1 {
			t.Fatalf("after the shutdown: fenced %v, %+v eligible %v", n.fenced(), p, p.ELR())
		}
		n.kill()
	})
}

func TestSnapshotsAreTakenByTimeWhenSomethingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.settings["metadata.log.max.snapshot.interval.ms"] = "60000"
		n.start()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		first := fmt.Sprint(n.snapshots())
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if again := fmt.Sprint(n.snapshots()); first == "[]" || again != first {
			t.Fatalf("snapshots %s, and %s though nothing happened", first, again)
		}
		n.createTopic("a", 1)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if s := n.snapshots(); len(s) != 2 {
			t.Fatalf("snapshots %v", s)
		}
		n.kill()
	})
}

func TestManySubmissionsShareBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.start()
		gate := make(chan struct{})
		appends := 0
		n.log.Fail = func([]byte) error { appends++; <-gate; return nil }
		var wg sync.WaitGroup
		const requests = 200
		for i := range requests {
			wg.Go(func() {
				r := &protocol.CreateTopicsRequest{Topics: []protocol.CreateTopicsRequestCreatableTopic{
					{Name: fmt.Sprint("t", i), NumPartitions: 1, ReplicationFactor: 1},
				}}
				if _, _, err := n.control.Submit(t.Context(), r, 7); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // the first append waits at the gate, the rest in the queue
		close(gate)
		wg.Wait()
		if appends > 3 {
			t.Errorf("%d requests took %d appends", requests, appends)
		}
		n.kill()
	})
}

func TestARequestTheControllerDoesNotServeIsRefused(t *testing.T) {
	n := newNode(t)
	n.start()
	_, _, err := n.control.Submit(t.Context(), &protocol.HeartbeatRequest{}, 0)
	if protocol.CodeOf(err) != protocol.UnsupportedVersion {
		t.Fatalf("Heartbeat: %v", err)
	}
	n.kill()
	_, _, err = n.control.Submit(context.Background(), &protocol.UnregisterBrokerRequest{}, 0)
	if !errors.Is(err, ErrClosed) || protocol.CodeOf(err) != protocol.NotController {
		t.Fatalf("Submit after Close: %v", err)
	}
}

func TestDescribeQuorumTellsTheOnlyVoter(t *testing.T) {
	n := newNode(t)
	n.start()
	defer n.kill()
	r := n.submit(&protocol.DescribeQuorumRequest{Topics: []protocol.DescribeQuorumRequestTopicData{
		{TopicName: metalog.Topic, Partitions: []protocol.DescribeQuorumRequestPartitionData{{}, {PartitionIndex: 1}}},
	}}, 2).(*protocol.DescribeQuorumResponse)
	p := r.Topics[0].Partitions[0]
	_, end := n.log.Bounds()
	if p.LeaderId != 1 || p.LeaderEpoch != 1 || p.HighWatermark != end || len(p.CurrentVoters) != 1 ||
		p.CurrentVoters[0].ReplicaId != 1 || p.CurrentVoters[0].LogEndOffset != end || len(r.Nodes) != 1 {
		t.Fatalf("%+v", r)
	}
	if r.Topics[0].Partitions[1].ErrorCode != protocol.UnknownTopicOrPartition {
		t.Fatalf("partition 1: %+v", r.Topics[0].Partitions[1])
	}
}

func TestEachStartBeginsWithItsLeaderChange(t *testing.T) {
	n := newNode(t)
	n.broker = false
	var leaders []int32
	for range 3 {
		n.start()
		n.kill()
	}
	batches, err := n.log.Read(0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	p := metalog.Replayer{Delta: metadata.NewDelta(metadata.NewImage()), Control: func(_ metarecord.ControlType, v metarecord.Control) error {
		leaders = append(leaders, v.(*metarecord.LeaderChangeMessage).LeaderId)
		return nil
	}}
	if err := p.Replay(batches); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(leaders) != "[1 1 1]" || p.Epoch != 3 {
		t.Fatalf("leaders %v, epoch %d", leaders, p.Epoch)
	}
}
