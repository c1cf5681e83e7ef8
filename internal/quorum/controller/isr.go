package controller

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/kafka/wire"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// alterPartition lets the leader of partitions change their in-sync sets (R15).
func (c *Core) alterPartition(e Event, r *protocol.AlterPartitionRequest) *protocol.AlterPartitionResponse {
	resp := &protocol.AlterPartitionResponse{}
	if _, code := c.checkBrokerEpoch(r.BrokerId, r.BrokerEpoch); code != protocol.None {
		resp.ErrorCode = code
		return resp
	}
	for _, topic := range r.Topics {
		answer := protocol.AlterPartitionResponseTopicData{TopicId: topic.TopicId}
		for _, p := range topic.Partitions {
			if e.Version < 3 {
				p.NewIsrWithEpochs = nil
				for _, id := range p.NewIsr {
					p.NewIsrWithEpochs = append(p.NewIsrWithEpochs, protocol.AlterPartitionRequestBrokerState{BrokerId: id, BrokerEpoch: -1})
				}
			}
			answer.Partitions = append(answer.Partitions, c.alterISR(e, r.BrokerId, topic.TopicId, &p))
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

func (c *Core) alterISR(
	e Event, leader int32, topicID wire.UUID, want *protocol.AlterPartitionRequestPartitionData,
) protocol.AlterPartitionResponsePartitionData {
	out := protocol.AlterPartitionResponsePartitionData{PartitionIndex: want.PartitionIndex}
	t := c.image().TopicByID(topicID)
	if t == nil {
		out.ErrorCode = protocol.UnknownTopicId
		return out
	}
	p, ok := t.Partition(want.PartitionIndex)
	if !ok {
		out.ErrorCode = protocol.UnknownTopicOrPartition
		return out
	}
	if out.ErrorCode = c.refuseISR(e, leader, p, want); out.ErrorCode != protocol.None {
		return out
	}
	ch := c.edit(t, want.PartitionIndex, p)
	ch.isr = nil
	for _, s := range want.NewIsrWithEpochs {
		ch.isr = append(ch.isr, s.BrokerId)
	}
	ch.recovered = want.LeaderRecoveryState == 0
	if r := ch.record(); r != nil {
		c.write(r)
	}
	now, _ := c.image().TopicByID(topicID).Partition(want.PartitionIndex)
	if reassigning(p) && now.Leader != leader {
		// The reassignment ended and took the leader away: it must not go on as if it
		// led.
		out.ErrorCode = protocol.NewLeaderElected
		return out
	}
	out.LeaderId, out.LeaderEpoch, out.PartitionEpoch = now.Leader, now.LeaderEpoch, now.PartitionEpoch
	out.Isr = now.ISR()
	if now.Recovering {
		out.LeaderRecoveryState = 1
	}
	return out
}

func (c *Core) refuseISR(e Event, leader int32, p metadata.Partition, want *protocol.AlterPartitionRequestPartitionData) protocol.ErrorCode {
	switch {
	case want.LeaderEpoch > p.LeaderEpoch || want.PartitionEpoch > p.PartitionEpoch:
		return protocol.NotController
	case want.LeaderEpoch < p.LeaderEpoch:
		return protocol.FencedLeaderEpoch
	case leader != p.Leader:
		return protocol.InvalidRequest
	case want.PartitionEpoch < p.PartitionEpoch:
		return protocol.InvalidUpdateVersion
	}
	var isr []int32
	for _, s := range want.NewIsrWithEpochs {
		if slices.Contains(isr, s.BrokerId) || !slices.Contains(p.Replicas(), s.BrokerId) {
			return protocol.InvalidRequest
		}
		isr = append(isr, s.BrokerId)
	}
	switch {
	case !slices.Contains(isr, leader):
		return protocol.InvalidRequest
	case want.LeaderRecoveryState == 1 && len(isr) > 1:
		return protocol.InvalidRequest
	case want.LeaderRecoveryState == 1 && !p.Recovering:
		return protocol.InvalidRequest
	case want.LeaderRecoveryState != 0 && want.LeaderRecoveryState != 1:
		return protocol.InvalidRequest
	}
	for _, s := range want.NewIsrWithEpochs {
		b := c.image().Broker(s.BrokerId)
		// A proposal without broker epochs (before version 3) is only tested for life.
		if b == nil || !b.Active() || e.Version >= 3 && s.BrokerEpoch != b.Epoch {
			return protocol.IneligibleReplica
		}
	}
	return protocol.None
}
