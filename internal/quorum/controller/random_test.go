package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// gambler asks a controller for random things.
type gambler struct {
	w   *world
	rng *rand.Rand
}

func (g *gambler) topicName() string { return fmt.Sprintf("t%d", g.rng.IntN(6)) }

func (g *gambler) anyBroker() *metadata.Broker {
	brokers := g.w.core.Image().Brokers()
	if len(brokers) == 0 {
		return nil
	}
	return brokers[g.rng.IntN(len(brokers))]
}

func (g *gambler) register() protocol.Request {
	id := g.rng.IntN(5)
	previous := int64(-1)
	if b := g.w.core.Image().Broker(int32(id)); b != nil && g.rng.IntN(2) == 0 {
		previous = b.Epoch
	}
	return g.w.registration(fmt.Sprintf("%d X%d rack=r%d previous=%d", id, g.rng.IntN(3), id%2, previous))
}

func (g *gambler) heartbeat() protocol.Request {
	b := g.anyBroker()
	if b == nil {
		return g.register()
	}
	return &protocol.BrokerHeartbeatRequest{
		BrokerId: b.ID, BrokerEpoch: b.Epoch, CurrentMetadataOffset: int64(len(g.w.log)) - int64(g.rng.IntN(3)),
		WantFence: g.rng.IntN(12) == 0, WantShutDown: g.rng.IntN(8) == 0,
	}
}

func (g *gambler) request() (protocol.Request, int16) {
	name := g.topicName()
	switch g.rng.IntN(18) {
	case 0, 1, 2, 3, 4:
		return g.heartbeat(), 1
	case 5:
		return g.register(), 4
	case 6, 7:
		value := fmt.Sprint(1 + g.rng.IntN(3))
		return &protocol.CreateTopicsRequest{Topics: []protocol.CreateTopicsRequestCreatableTopic{{
			Name: name, NumPartitions: int32(1 + g.rng.IntN(4)), ReplicationFactor: int16(1 + g.rng.IntN(3)),
			Configs: []protocol.CreateTopicsRequestCreatableTopicConfig{{Name: "min.insync.replicas", Value: &value}},
		}}}, 7
	case 8:
		return &protocol.DeleteTopicsRequest{TopicNames: []string{name}}, 4
	case 9:
		return &protocol.CreatePartitionsRequest{Topics: []protocol.CreatePartitionsRequestCreatePartitionsTopic{{
			Name: name, Count: int32(g.rng.IntN(8)),
		}}}, 3
	case 10:
		value := fmt.Sprint(g.rng.IntN(2) == 0)
		return &protocol.IncrementalAlterConfigsRequest{Resources: []protocol.IncrementalAlterConfigsRequestAlterConfigsResource{{
			ResourceType: metadata.ResourceTopic, ResourceName: name,
			Configs: []protocol.IncrementalAlterConfigsRequestAlterableConfig{{
				Name: "unclean.leader.election.enable", Value: &value, ConfigOperation: int8(g.rng.IntN(2)),
			}},
		}}}, 1
	case 11:
		return &protocol.ElectLeadersRequest{ElectionType: int8(g.rng.IntN(2))}, 2
	case 12:
		if b := g.anyBroker(); b != nil && g.rng.IntN(6) == 0 {
			return &protocol.UnregisterBrokerRequest{BrokerId: b.ID}, 0
		}
		return &protocol.AllocateProducerIdsRequest{BrokerId: 1}, 0
	case 15:
		if g.rng.IntN(10) > 0 {
			return g.alterPartition(), 3
		}
		const safeDowngrade = 2
		return &protocol.UpdateFeaturesRequest{FeatureUpdates: []protocol.UpdateFeaturesRequestFeatureUpdateKey{{
			Feature: FeatureELR, MaxVersionLevel: int16(g.rng.IntN(2)), UpgradeType: safeDowngrade,
		}}}, 2
	case 13, 14:
		return g.reassign(), 1
	default:
		return g.alterPartition(), 3
	}
}

// reassign moves some partition to random brokers, or calls a move off.
func (g *gambler) reassign() protocol.Request {
	p := protocol.AlterPartitionReassignmentsRequestReassignablePartition{PartitionIndex: int32(g.rng.IntN(4))}
	for range g.rng.IntN(4) {
		if b := g.anyBroker(); b != nil && !slices.Contains(p.Replicas, b.ID) {
			p.Replicas = append(p.Replicas, b.ID)
		}
	}
	return &protocol.AlterPartitionReassignmentsRequest{
		AllowReplicationFactorChange: g.rng.IntN(3) > 0,
		Topics: []protocol.AlterPartitionReassignmentsRequestReassignableTopic{{
			Name: g.topicName(), Partitions: []protocol.AlterPartitionReassignmentsRequestReassignablePartition{p},
		}},
	}
}

// alterPartition lets some leader propose live replicas.
func (g *gambler) alterPartition() protocol.Request {
	img := g.w.core.Image()
	t := img.Topic(g.topicName())
	if t == nil {
		return g.heartbeat()
	}
	id := int32(g.rng.IntN(t.PartitionCount()))
	p, _ := t.Partition(id)
	leader := img.Broker(p.Leader)
	if leader == nil {
		return g.heartbeat()
	}
	want := protocol.AlterPartitionRequestPartitionData{PartitionIndex: id, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	for _, member := range p.Replicas() {
		if b := img.Broker(member); b != nil && (member == p.Leader || g.rng.IntN(2) == 0) {
			want.NewIsrWithEpochs = append(want.NewIsrWithEpochs, protocol.AlterPartitionRequestBrokerState{BrokerId: member, BrokerEpoch: b.Epoch})
		}
	}
	return &protocol.AlterPartitionRequest{BrokerId: leader.ID, BrokerEpoch: leader.Epoch, Topics: []protocol.AlterPartitionRequestTopicData{{
		TopicId: t.ID, Partitions: []protocol.AlterPartitionRequestPartitionData{want},
	}}}
}

// TestAnyHistoryKeepsTheInvariants lets random events happen to five brokers.
// The invariants are held after each in world.take. Now and then a second
// controller replays the log; it must then decide as the first one does.
func TestAnyHistoryKeepsTheInvariants(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t)
			g := &gambler{w: w, rng: rand.New(rand.NewPCG(seed, 6))}
			w.core.Bootstrap()
			w.take()
			for range 200 {
				before := w.core.Image()
				var r protocol.Request
				if g.rng.IntN(12) == 0 {
					w.advance(int64(g.rng.IntN(6000)))
				} else {
					var version int16
					r, version = g.request()
					w.compareWithReplay(r, version)
				}
				w.take()
				checkElections(t, r, before, w.core.Image())
			}
			w.everybodyReturns()
		})
	}
}

// everybodyReturns starts all brokers anew and holds that each partition then
// has a leader: nothing that happened may leave one that nobody can lead.
func (w *world) everybodyReturns() {
	w.t.Helper()
	w.advance(100_000)
	w.take()
	for id := range 5 {
		r := w.handle(w.registration(fmt.Sprintf("%d Xnew rack=r0", id)), 4).(*protocol.BrokerRegistrationResponse)
		w.take()
		w.handle(&protocol.BrokerHeartbeatRequest{BrokerId: int32(id), BrokerEpoch: r.BrokerEpoch, CurrentMetadataOffset: 1 << 40}, 1)
		w.take()
	}
	for t := range w.core.Image().Topics() {
		for id := range int32(t.PartitionCount()) {
			if p, _ := t.Partition(id); p.Leader < 0 {
				w.t.Fatalf("all brokers live and nobody leads %s-%d: isr %v elr %v last %v", t.Name, id, p.ISR(), p.ELR(), p.LastKnownELR())
			}
		}
	}
}

// compareWithReplay handles a request and holds the answer against that of a
// controller which has replayed the log and heard the same heartbeats.
func (w *world) compareWithReplay(r protocol.Request, version int16) {
	w.t.Helper()
	img := w.replay(w.log)
	twin := New(w.config(), img, int64(len(w.log)), w.core.Epoch(), w.nowMs)
	for id, s := range w.core.sessions {
		known := *s
		twin.sessions[id] = &known
	}
	twin.tickDueMs = w.core.tickDueMs
	ids := w.ids
	got := render(w.handle(r, version))
	w.ids = ids
	want := render(twin.Handle(Event{NowMs: w.nowMs, NewUUID: w.newUUID, Request: r, Version: version}))
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Fatalf("%s is answered otherwise after a replay: %s", render(r), diff)
	}
}

// checkElections holds each new leader against the partition before and what was
// requested since: without an unclean election it was in sync, or eligible (R16),
// or the leader before it said that it is in sync now, which may end a
// reassignment that takes that leader away (R20).
func checkElections(t *testing.T, r protocol.Request, before, after *metadata.Image) {
	t.Helper()
	for topic := range after.Topics() {
		old := before.TopicByID(topic.ID)
		if old == nil {
			continue
		}
		for id := range int32(old.PartitionCount()) {
			p, _ := old.Partition(id)
			q, _ := topic.Partition(id)
			if q.PartitionEpoch < p.PartitionEpoch || q.LeaderEpoch < p.LeaderEpoch || q.LeaderEpoch == p.LeaderEpoch && q.Leader != p.Leader {
				t.Fatalf("%s-%d goes from leader %d epoch %d/%d to leader %d epoch %d/%d",
					topic.Name, id, p.Leader, p.LeaderEpoch, p.PartitionEpoch, q.Leader, q.LeaderEpoch, q.PartitionEpoch)
			}
			if q.Leader < 0 || q.Leader == p.Leader || q.Recovering || len(q.Replicas()) == 1 {
				continue
			}
			fit := slices.Concat(p.ISR(), p.ELR(), proposed(r, topic.ID, id))
			if !slices.Contains(fit, q.Leader) {
				t.Fatalf("%s-%d elects %d after %s, which was neither in the ISR %v nor in the ELR %v",
					topic.Name, id, q.Leader, render(r), p.ISR(), p.ELR())
			}
		}
	}
}

// proposed returns the in-sync set that r, if it is such a request, wants for a
// partition.
func proposed(r protocol.Request, topic wire.UUID, partition int32) (isr []int32) {
	alter, ok := r.(*protocol.AlterPartitionRequest)
	if !ok || alter.Topics[0].TopicId != topic || alter.Topics[0].Partitions[0].PartitionIndex != partition {
		return nil
	}
	for _, s := range alter.Topics[0].Partitions[0].NewIsrWithEpochs {
		isr = append(isr, s.BrokerId)
	}
	return isr
}
