package group

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/naru-stream/naru/internal/coordinator/group/consumer"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// beat is a heartbeat of the consumer protocol. With epoch=0 it joins, to topics=t,u or
// regex=…; owns=t-0,t-1 reports what the member owns, owns= that it owns nothing.
func (s *scene) beat(a script.Args) {
	req := &protocol.ConsumerGroupHeartbeatRequest{}
	req.SetDefaults()
	req.GroupId, req.MemberId = a.Str("group", "g"), a.Str("member", a.Words[0])
	req.MemberEpoch = int32(a.Num("epoch", 0))
	req.InstanceId, req.RackId, req.ServerAssignor = a.Opt("instance"), a.Opt("rack"), a.Opt("assignor")
	req.RebalanceTimeoutMs = int32(a.Num("rebalance", -1))
	if _, ok := a.Named["topics"]; ok {
		req.SubscribedTopicNames = append([]string{}, a.List("topics")...)
	}
	req.SubscribedTopicRegex = a.Opt("regex")
	if req.MemberEpoch == 0 && a.Str("bare", "") == "" {
		if _, ok := a.Named["rebalance"]; !ok {
			req.RebalanceTimeoutMs = 30_000
		}
		req.TopicPartitions = []protocol.ConsumerGroupHeartbeatRequestTopicPartitions{}
		if req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil {
			req.SubscribedTopicNames = []string{"t"}
		}
	}
	if _, ok := a.Named["owns"]; ok {
		req.TopicPartitions = []protocol.ConsumerGroupHeartbeatRequestTopicPartitions{}
		for _, x := range a.List("owns") {
			topic, partition, _ := splitOffset(a, x)
			t, _ := s.cluster.Topic(topic)
			req.TopicPartitions = append(req.TopicPartitions, protocol.ConsumerGroupHeartbeatRequestTopicPartitions{
				TopicId: t.ID, Partitions: []int32{partition},
			})
		}
	}
	s.c.ConsumerGroupHeartbeat(ctx(a.Str("client", "c"), int16(a.Num("v", 1))), req, func(r *protocol.ConsumerGroupHeartbeatResponse) {
		if r.ErrorCode != protocol.None {
			message := ""
			if r.ErrorMessage != nil {
				message = " (" + *r.ErrorMessage + ")"
			}
			s.Say("%s beat %s%s", a.Words[0], r.ErrorCode, message)
			return
		}
		assigned := ""
		if r.Assignment != nil {
			assigned = " assigned=" + s.named(r.Assignment)
		}
		interval := ""
		if r.HeartbeatIntervalMs != 5000 {
			interval = fmt.Sprintf(" interval=%d", r.HeartbeatIntervalMs)
		}
		s.Say("%s beat member=%s epoch=%d%s%s", a.Words[0], *r.MemberId, r.MemberEpoch, interval, assigned)
	})
}

func (s *scene) named(a *protocol.ConsumerGroupHeartbeatResponseAssignment) string {
	var parts []string
	for _, t := range a.TopicPartitions {
		name := "gone"
		if topic, ok := s.cluster.TopicByID(t.TopicId); ok {
			name = topic.Name
		}
		for _, p := range t.Partitions {
			parts = append(parts, fmt.Sprintf("%s-%d", name, p))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func (s *scene) setOverrides(a script.Args) {
	next := *s.cluster
	next.version++
	o := consumer.Overrides{SessionTimeoutMs: int32(a.Num("session", 0)), HeartbeatIntervalMs: int32(a.Num("heartbeat", 0))}
	if _, ok := a.Named["assignment-interval"]; ok {
		ms := int32(a.Num("assignment-interval", 0))
		o.AssignmentIntervalMs = &ms
	}
	next.overrides = map[string]consumer.Overrides{a.Str("group", "g"): o}
	s.cluster = &next
	s.c.setMetadata(&next)
}

func (s *scene) describeConsumers(a script.Args) {
	s.c.ConsumerGroupDescribe(ctx("admin", int16(a.Num("v", 1))), &protocol.ConsumerGroupDescribeRequest{GroupIds: a.Words}, func(r *protocol.ConsumerGroupDescribeResponse) {
		for _, g := range r.Groups {
			if g.ErrorCode != protocol.None {
				message := ""
				if g.ErrorMessage != nil {
					message = " (" + *g.ErrorMessage + ")"
				}
				s.Say("described %s %s%s", g.GroupId, g.ErrorCode, message)
				continue
			}
			s.Say("described %s %s epoch=%d assigned=%d by %s", g.GroupId, g.GroupState, g.GroupEpoch, g.AssignmentEpoch, g.AssignorName)
			for _, m := range g.Members {
				instance, regex := "", ""
				if m.InstanceId != nil {
					instance = "@" + *m.InstanceId
				}
				if *m.SubscribedTopicRegex != "" {
					regex = " regex=" + *m.SubscribedTopicRegex
				}
				s.Say("  %s%s epoch=%d %s%s topics=%s%s type=%d has=%s target=%s", m.MemberId, instance, m.MemberEpoch, m.ClientId, m.ClientHost,
					strings.Join(m.SubscribedTopicNames, ","), regex, m.MemberType, describedPartitions(m.Assignment), describedPartitions(m.TargetAssignment))
			}
		}
	})
}

func embeddedAssignment(a script.Args, partitions []string, userData string) []byte {
	out := coordrecord.ConsumerProtocolAssignment{UserData: []byte(userData)}
	for _, x := range partitions {
		topic, partition, _ := splitOffset(a, x)
		out.AssignedPartitions = append(out.AssignedPartitions, coordrecord.ConsumerProtocolAssignmentTopicPartition{
			Topic: topic, Partitions: []int32{partition},
		})
	}
	return coordrecord.AppendAssignment(nil, &out, 1)
}

func readEmbedded(a script.Args, b []byte) string {
	assignment, version, err := coordrecord.ParseAssignment(b)
	if err != nil {
		a.Fatal(err)
	}
	parts := []string{}
	for _, t := range assignment.AssignedPartitions {
		for _, p := range t.Partitions {
			parts = append(parts, fmt.Sprintf("%s-%d", t.Topic, p))
		}
	}
	return fmt.Sprintf("v%d:%s", version, strings.Join(parts, ","))
}

func describedPartitions(a protocol.ConsumerGroupDescribeResponseAssignment) string {
	var parts []string
	for _, t := range a.TopicPartitions {
		for _, p := range t.Partitions {
			parts = append(parts, fmt.Sprintf("%s-%d", t.TopicName, p))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// describeConsumerRecord prints a record of a consumer group.
func describeConsumerRecord(t testing.TB, key, value []byte) string {
	k, err := coordrecord.Group.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", k), "*coordrecord."), "ConsumerGroup")
	v, _, err := coordrecord.Group.ParseValue(k, value)
	if err != nil {
		t.Fatal(err)
	}
	if v == nil {
		return fmt.Sprintf("%s %+v null", name, deref(k))
	}
	return fmt.Sprintf("%s %+v %+v", name, deref(k), deref(v))
}

func deref(v any) any {
	switch v := v.(type) {
	case *coordrecord.ConsumerGroupMetadataKey:
		return *v
	case *coordrecord.ConsumerGroupMetadataValue:
		return v.Epoch
	case *coordrecord.ConsumerGroupMemberMetadataKey:
		return *v
	case *coordrecord.ConsumerGroupMemberMetadataValue:
		return fmt.Sprint(v.SubscribedTopicNames)
	case *coordrecord.ConsumerGroupTargetAssignmentMetadataKey:
		return *v
	case *coordrecord.ConsumerGroupTargetAssignmentMetadataValue:
		return *v
	case *coordrecord.ConsumerGroupTargetAssignmentMemberKey:
		return *v
	case *coordrecord.ConsumerGroupTargetAssignmentMemberValue:
		return *v
	case *coordrecord.ConsumerGroupCurrentMemberAssignmentKey:
		return *v
	case *coordrecord.ConsumerGroupCurrentMemberAssignmentValue:
		return *v
	case *coordrecord.ConsumerGroupRegularExpressionKey:
		return *v
	case *coordrecord.ConsumerGroupRegularExpressionValue:
		return *v
	}
	return derefStreams(v)
}
