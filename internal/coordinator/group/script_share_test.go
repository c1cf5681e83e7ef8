package group

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// stepShare plays the steps about share groups. It is false for other steps.
func (s *scene) stepShare(op string, a script.Args) bool {
	switch op {
	case "share-beat":
		s.shareBeat(a)
	case "describe-shares":
		s.describeShares(a)
	case "share-offsets":
		s.shareOffsets(a)
	case "alter-share-offsets":
		s.alterShareOffsets(a)
	case "delete-share-offsets":
		s.deleteShareOffsets(a)
	case "persister":
		s.setPersister(a)
	default:
		return false
	}
	return true
}

// setPersister makes the share coordinator behave: hold, release, lose, refuse=CODE,
// delivered=n for all it has, or show=group.
func (s *scene) setPersister(a script.Args) {
	p := s.world.persister
	for _, word := range a.Words {
		switch word {
		case "hold":
			p.hold = true
		case "release":
			p.release()
		case "lose":
			p.lose = true
		default:
			a.Fatalf("persister %s", word)
		}
	}
	if name, ok := a.Named["refuse"]; ok {
		p.refuse = protocol.CodeOf(errorNamed(a, name))
	}
	if _, ok := a.Named["delivered"]; ok {
		for key, state := range p.states {
			state.delivered, state.start = int32(a.Num("delivered", 0)), a.Num("start", 0)
			p.states[key] = state
		}
	}
	if group, ok := a.Named["show"]; ok {
		s.Say("persister: %s has %s", group, strings.Join(p.keys(group), ","))
	}
}

// shareBeat is a heartbeat of a share group: with epoch=0 it joins, to topics=t,u.
func (s *scene) shareBeat(a script.Args) {
	req := &protocol.ShareGroupHeartbeatRequest{}
	req.SetDefaults()
	req.GroupId, req.MemberId = a.Str("group", "g"), a.Str("member", a.Words[0])
	req.MemberEpoch, req.RackId = int32(a.Num("epoch", 0)), a.Opt("rack")
	if _, ok := a.Named["topics"]; ok {
		req.SubscribedTopicNames = append([]string{}, a.List("topics")...)
	} else if req.MemberEpoch == 0 {
		req.SubscribedTopicNames = []string{"t"}
	}
	s.c.ShareGroupHeartbeat(ctx(a.Str("client", "c"), 1), req, func(r *protocol.ShareGroupHeartbeatResponse) {
		if r.ErrorCode != protocol.None {
			s.Say("%s beat %s%s", a.Words[0], r.ErrorCode, inBrackets(r.ErrorMessage))
			return
		}
		assigned, interval := "", ""
		if r.Assignment != nil {
			var topics []protocol.ConsumerGroupHeartbeatResponseTopicPartitions
			for _, t := range r.Assignment.TopicPartitions {
				topics = append(topics, protocol.ConsumerGroupHeartbeatResponseTopicPartitions(t))
			}
			assigned = " assigned=" + s.named(&protocol.ConsumerGroupHeartbeatResponseAssignment{TopicPartitions: topics})
		}
		if r.HeartbeatIntervalMs != 5000 {
			interval = fmt.Sprintf(" interval=%d", r.HeartbeatIntervalMs)
		}
		s.Say("%s beat member=%s epoch=%d%s%s", a.Words[0], *r.MemberId, r.MemberEpoch, interval, assigned)
	})
}

func inBrackets(message *string) string {
	if message == nil {
		return ""
	}
	return " (" + *message + ")"
}

func (s *scene) describeShares(a script.Args) {
	s.c.ShareGroupDescribe(ctx("admin", 1), &protocol.ShareGroupDescribeRequest{GroupIds: a.Words}, func(r *protocol.ShareGroupDescribeResponse) {
		for _, g := range r.Groups {
			if g.ErrorCode != protocol.None {
				s.Say("described %s %s%s", g.GroupId, g.ErrorCode, inBrackets(g.ErrorMessage))
				continue
			}
			s.Say("described %s %s epoch=%d assigned=%d by %s", g.GroupId, g.GroupState, g.GroupEpoch, g.AssignmentEpoch, g.AssignorName)
			for _, m := range g.Members {
				var has []string
				for _, t := range m.Assignment.TopicPartitions {
					for _, p := range t.Partitions {
						has = append(has, fmt.Sprintf("%s-%d", t.TopicName, p))
					}
				}
				slices.Sort(has)
				rack := ""
				if m.RackId != nil {
					rack = " rack=" + *m.RackId
				}
				s.Say("  %s epoch=%d %s%s topics=%s%s has=%s", m.MemberId, m.MemberEpoch, m.ClientId, m.ClientHost,
					strings.Join(m.SubscribedTopicNames, ","), rack, strings.Join(has, ","))
			}
		}
	})
}

// shareOffsets describes the offsets of partitions, or of everything.
func (s *scene) shareOffsets(a script.Args) {
	group := protocol.DescribeShareGroupOffsetsRequestGroup{GroupId: a.Str("group", "g")}
	for _, x := range a.Words {
		topic, partition, _ := splitOffset(a, x)
		group.Topics = append(group.Topics, protocol.DescribeShareGroupOffsetsRequestTopic{TopicName: topic, Partitions: []int32{partition}})
	}
	req := &protocol.DescribeShareGroupOffsetsRequest{Groups: []protocol.DescribeShareGroupOffsetsRequestGroup{group}}
	s.c.DescribeShareGroupOffsets(ctx("admin", 1), req, func(r *protocol.DescribeShareGroupOffsetsResponse) {
		for _, g := range r.Groups {
			s.Say("offsets of %s %s%s", g.GroupId, g.ErrorCode, inBrackets(g.ErrorMessage))
			for _, t := range g.Topics {
				for _, p := range t.Partitions {
					s.Say("  %s-%d start=%d epoch=%d lag=%d %s", t.TopicName, p.PartitionIndex, p.StartOffset, p.LeaderEpoch, p.Lag, p.ErrorCode)
				}
			}
		}
	})
}

// alterShareOffsets takes offsets as topic-partition:offset.
func (s *scene) alterShareOffsets(a script.Args) {
	req := &protocol.AlterShareGroupOffsetsRequest{GroupId: a.Str("group", "g")}
	for _, x := range a.Words {
		topic, partition, offset := splitOffset(a, x)
		p := protocol.AlterShareGroupOffsetsRequestPartition{PartitionIndex: partition, StartOffset: offset}
		if n := len(req.Topics); n > 0 && req.Topics[n-1].TopicName == topic {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, p)
			continue
		}
		req.Topics = append(req.Topics, protocol.AlterShareGroupOffsetsRequestTopic{
			TopicName: topic, Partitions: []protocol.AlterShareGroupOffsetsRequestPartition{p},
		})
	}
	s.c.AlterShareGroupOffsets(ctx("admin", 0), req, func(r *protocol.AlterShareGroupOffsetsResponse) {
		s.Say("altered %s%s", r.ErrorCode, inBrackets(r.ErrorMessage))
		for _, t := range r.Responses {
			for _, p := range t.Partitions {
				s.Say("  %s-%d %s%s", t.TopicName, p.PartitionIndex, p.ErrorCode, inBrackets(p.ErrorMessage))
			}
		}
	})
}

func (s *scene) deleteShareOffsets(a script.Args) {
	req := &protocol.DeleteShareGroupOffsetsRequest{GroupId: a.Str("group", "g")}
	for _, topic := range a.Words {
		req.Topics = append(req.Topics, protocol.DeleteShareGroupOffsetsRequestTopic{TopicName: topic})
	}
	s.c.DeleteShareGroupOffsets(ctx("admin", 0), req, func(r *protocol.DeleteShareGroupOffsetsResponse) {
		s.Say("deleted %s%s", r.ErrorCode, inBrackets(r.ErrorMessage))
		for _, t := range r.Responses {
			s.Say("  %s %s%s", t.TopicName, t.ErrorCode, inBrackets(t.ErrorMessage))
		}
	})
}

// describeShareRecord prints a record of a share group; ok is false for other records.
func describeShareRecord(t testing.TB, key, value []byte) (text string, ok bool) {
	k, err := coordrecord.Group.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := coordrecord.Group.ParseValue(k, value)
	if err != nil {
		t.Fatal(err)
	}
	what := "null"
	switch k := k.(type) {
	case *coordrecord.ShareGroupMetadataKey:
		if v != nil {
			what = fmt.Sprint("epoch ", v.(*coordrecord.ShareGroupMetadataValue).Epoch)
		}
		return fmt.Sprintf("share group %s %s", k.GroupId, what), true
	case *coordrecord.ShareGroupMemberMetadataKey:
		if v != nil {
			what = fmt.Sprint(v.(*coordrecord.ShareGroupMemberMetadataValue).SubscribedTopicNames)
		}
		return fmt.Sprintf("share member %s/%s %s", k.GroupId, k.MemberId, what), true
	case *coordrecord.ShareGroupTargetAssignmentMetadataKey:
		if v != nil {
			what = fmt.Sprintf("%+v", *v.(*coordrecord.ShareGroupTargetAssignmentMetadataValue))
		}
		return fmt.Sprintf("share target of %s %s", k.GroupId, what), true
	case *coordrecord.ShareGroupTargetAssignmentMemberKey:
		if v != nil {
			what = fmt.Sprintf("%+v", *v.(*coordrecord.ShareGroupTargetAssignmentMemberValue))
		}
		return fmt.Sprintf("share target of %s/%s %s", k.GroupId, k.MemberId, what), true
	case *coordrecord.ShareGroupCurrentMemberAssignmentKey:
		if v != nil {
			what = fmt.Sprintf("%+v", *v.(*coordrecord.ShareGroupCurrentMemberAssignmentValue))
		}
		return fmt.Sprintf("share assignment of %s/%s %s", k.GroupId, k.MemberId, what), true
	case *coordrecord.ShareGroupStatePartitionMetadataKey:
		if v != nil {
			what = fmt.Sprintf("%+v", *v.(*coordrecord.ShareGroupStatePartitionMetadataValue))
		}
		return fmt.Sprintf("share partitions of %s %s", k.GroupId, what), true
	}
	return "", false
}
