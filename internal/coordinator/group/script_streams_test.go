package group

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/coordinator/group/streams"
	"github.com/naru-stream/naru/internal/kafka/coordrecord"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/script"
)

// stream is a heartbeat of the streams protocol. With epoch=0 it joins with a topology:
// subtopologies apart by ";", each of id:sources>sinks, where a source r*N is a
// repartition topic of N partitions (r* leaves them open), and a source s! a changelog.
// copartition=1 joins all sources of a subtopology. active=0_1 standby=0_0 report what
// the member has; active= that it has nothing.
func (s *scene) stream(a script.Args) {
	req := &protocol.StreamsGroupHeartbeatRequest{}
	req.SetDefaults()
	req.GroupId, req.MemberId, req.MemberEpoch = a.Str("group", "g"), a.Str("member", a.Words[0]), int32(a.Num("epoch", 0))
	req.InstanceId, req.RackId, req.ProcessId = a.Opt("instance"), a.Opt("rack"), a.Opt("process")
	req.RebalanceTimeoutMs = int32(a.Num("rebalance", -1))
	req.ShutdownApplication = a.Str("shutdown", "") != ""
	req.EndpointInformationEpoch = int32(a.Num("endpoints", 0))
	if host, port, ok := strings.Cut(a.Str("endpoint", ""), ":"); ok {
		req.UserEndpoint = &protocol.StreamsGroupHeartbeatRequestEndpoint{Host: host}
		fmt.Sscan(port, &req.UserEndpoint.Port)
	}
	for _, pair := range a.List("tags") {
		key, value, _ := strings.Cut(pair, ":")
		req.ClientTags = append(req.ClientTags, protocol.StreamsGroupHeartbeatRequestKeyValue{Key: key, Value: value})
	}
	if _, ok := a.Named["offsets"]; ok {
		req.TaskOffsets = []protocol.StreamsGroupHeartbeatRequestTaskOffset{}
	}
	_, has := a.Named["active"]
	_, waits := a.Named["standby"]
	if req.MemberEpoch == 0 && a.Str("bare", "") == "" {
		has = true
		if req.RebalanceTimeoutMs == -1 {
			req.RebalanceTimeoutMs = 30_000
		}
		if req.ProcessId == nil {
			req.ProcessId = ptr("p-" + a.Words[0])
		}
		req.Topology = topologyOf(a)
	}
	if has || waits {
		req.ActiveTasks, req.StandbyTasks = tasksOf(a.List("active")), tasksOf(a.List("standby"))
		req.WarmupTasks = tasksOf(a.List("warmup"))
	}
	s.c.StreamsGroupHeartbeat(ctx(a.Str("client", "c"), 0), req, func(r *protocol.StreamsGroupHeartbeatResponse, missing []protocol.CreateTopicsRequestCreatableTopic) {
		s.sayStream(a.Words[0], r, missing)
	})
}

func (s *scene) sayStream(who string, r *protocol.StreamsGroupHeartbeatResponse, missing []protocol.CreateTopicsRequestCreatableTopic) {
	if r.ErrorCode != protocol.None {
		message := ""
		if r.ErrorMessage != nil {
			message = " (" + *r.ErrorMessage + ")"
		}
		s.Say("%s stream %s%s", who, r.ErrorCode, message)
		return
	}
	text := fmt.Sprintf("%s stream epoch=%d", who, r.MemberEpoch)
	if r.HeartbeatIntervalMs != 5000 {
		text += fmt.Sprintf(" interval=%d", r.HeartbeatIntervalMs)
	}
	if r.ActiveTasks != nil {
		text += fmt.Sprintf(" active=%s standby=%s", responseTasks(r.ActiveTasks), responseTasks(r.StandbyTasks))
	}
	s.Say("%s", text)
	for _, status := range r.Status {
		s.Say("  status %d: %s", status.StatusCode, status.StatusDetail)
	}
	for _, t := range missing {
		configs := ""
		for _, c := range t.Configs {
			configs += fmt.Sprintf(" %s=%s", c.Name, *c.Value)
		}
		s.Say("  create %s partitions=%d replicas=%d%s", t.Name, t.NumPartitions, t.ReplicationFactor, configs)
	}
	if r.PartitionsByUserEndpoint != nil || r.EndpointInformationEpoch != 0 {
		s.Say("  endpoints of epoch %d", r.EndpointInformationEpoch)
	}
	for _, e := range r.PartitionsByUserEndpoint {
		s.Say("    %s:%d active %v standby %v", e.UserEndpoint.Host, e.UserEndpoint.Port, e.ActivePartitions, e.StandbyPartitions)
	}
}

func responseTasks(ids []protocol.StreamsGroupHeartbeatResponseTaskIds) string {
	var parts []string
	for _, t := range ids {
		for _, p := range t.Partitions {
			parts = append(parts, fmt.Sprintf("%s_%d", t.SubtopologyId, p))
		}
	}
	return strings.Join(parts, ",")
}

func tasksOf(list []string) []protocol.StreamsGroupHeartbeatRequestTaskIds {
	out := []protocol.StreamsGroupHeartbeatRequestTaskIds{}
	for _, x := range list {
		id, p, _ := strings.Cut(x, "_")
		t := protocol.StreamsGroupHeartbeatRequestTaskIds{SubtopologyId: id, Partitions: []int32{0}}
		fmt.Sscan(p, &t.Partitions[0])
		out = append(out, t)
	}
	return out
}

// topologyOf reads topology=; without it the topology of a word count.
func topologyOf(a script.Args) *protocol.StreamsGroupHeartbeatRequestTopology {
	out := &protocol.StreamsGroupHeartbeatRequestTopology{Epoch: int32(a.Num("topology-epoch", 0))}
	for _, text := range strings.Split(a.Str("topology", "0:t>r;1:r*,s!"), ";") {
		id, rest, _ := strings.Cut(text, ":")
		sources, sinks, _ := strings.Cut(rest, ">")
		sub := protocol.StreamsGroupHeartbeatRequestSubtopology{SubtopologyId: id}
		if sinks != "" {
			sub.RepartitionSinkTopics = strings.Split(sinks, ",")
		}
		group := protocol.StreamsGroupHeartbeatRequestCopartitionGroup{}
		for _, source := range strings.Split(sources, ",") {
			if name, n, ok := strings.Cut(source, "*"); ok {
				info := protocol.StreamsGroupHeartbeatRequestTopicInfo{Name: name}
				fmt.Sscan(n, &info.Partitions)
				group.RepartitionSourceTopics = append(group.RepartitionSourceTopics, int16(len(sub.RepartitionSourceTopics)))
				sub.RepartitionSourceTopics = append(sub.RepartitionSourceTopics, info)
			} else if name, ok := strings.CutSuffix(source, "!"); ok {
				sub.StateChangelogTopics = append(sub.StateChangelogTopics, protocol.StreamsGroupHeartbeatRequestTopicInfo{
					Name: name, ReplicationFactor: int16(a.Num("replicas", 0)), TopicConfigs: []protocol.StreamsGroupHeartbeatRequestKeyValue{{Key: "cleanup.policy", Value: "compact"}},
				})
			} else if source != "" {
				group.SourceTopics = append(group.SourceTopics, int16(len(sub.SourceTopics)))
				sub.SourceTopics = append(sub.SourceTopics, source)
			}
		}
		if a.Str("copartition", "") != "" {
			sub.CopartitionGroups = append(sub.CopartitionGroups, group)
		}
		sub.SourceTopicRegex = a.List("regex")
		out.Subtopologies = append(out.Subtopologies, sub)
	}
	return out
}

func (s *scene) setStreamsOverrides(a script.Args) {
	next := *s.cluster
	next.version++
	o := streams.Overrides{}
	for name, to := range map[string]**int32{
		"session": &o.SessionTimeoutMs, "heartbeat": &o.HeartbeatIntervalMs, "assignment-interval": &o.AssignmentIntervalMs,
		"delay": &o.InitialRebalanceDelayMs, "standbys": &o.StandbyReplicas,
	} {
		if _, ok := a.Named[name]; ok {
			*to = ptr(int32(a.Num(name, 0)))
		}
	}
	next.streams = map[string]streams.Overrides{a.Str("group", "g"): o}
	s.cluster = &next
	s.c.setMetadata(&next)
}

func (s *scene) describeStreams(a script.Args) {
	s.c.StreamsGroupDescribe(ctx("admin", 0), &protocol.StreamsGroupDescribeRequest{GroupIds: a.Words}, func(r *protocol.StreamsGroupDescribeResponse) {
		for _, g := range r.Groups {
			if g.ErrorCode != protocol.None {
				s.Say("described %s %s (%s)", g.GroupId, g.ErrorCode, *g.ErrorMessage)
				continue
			}
			s.Say("described %s %s epoch=%d assigned=%d topology=%d", g.GroupId, g.GroupState, g.GroupEpoch, g.AssignmentEpoch, g.Topology.Epoch)
			if a.Str("topology", "") != "" {
				for _, sub := range g.Topology.Subtopologies {
					s.Say("  subtopology %s sources=%v sinks=%v repartition=%v changelog=%v", sub.SubtopologyId, sub.SourceTopics,
						sub.RepartitionSinkTopics, sub.RepartitionSourceTopics, sub.StateChangelogTopics)
				}
			}
			for _, m := range g.Members {
				endpoint := ""
				if m.UserEndpoint != nil {
					endpoint = fmt.Sprintf(" at %s:%d", m.UserEndpoint.Host, m.UserEndpoint.Port)
				}
				s.Say("  %s epoch=%d %s%s process=%s topology=%d%s tags=%v has=%s target=%s", m.MemberId, m.MemberEpoch, m.ClientId, m.ClientHost,
					m.ProcessId, m.TopologyEpoch, endpoint, m.ClientTags, describedTasks(m.Assignment), describedTasks(m.TargetAssignment))
			}
		}
	})
}

func describedTasks(a protocol.StreamsGroupDescribeResponseAssignment) string {
	text := func(ids []protocol.StreamsGroupDescribeResponseTaskIds) string {
		out := []protocol.StreamsGroupHeartbeatResponseTaskIds{}
		for _, t := range ids {
			out = append(out, protocol.StreamsGroupHeartbeatResponseTaskIds(t))
		}
		return responseTasks(out)
	}
	return text(a.ActiveTasks) + "|" + text(a.StandbyTasks)
}

// derefStreams shows a key or value of a record of a streams group.
func derefStreams(v any) any {
	switch v := v.(type) {
	case *coordrecord.StreamsGroupMetadataKey:
		return *v
	case *coordrecord.StreamsGroupMetadataValue:
		return fmt.Sprintf("epoch=%d validated=%d configs=%v", v.Epoch, v.ValidatedTopologyEpoch, v.LastAssignmentConfigs)
	case *coordrecord.StreamsGroupMemberMetadataKey:
		return *v
	case *coordrecord.StreamsGroupMemberMetadataValue:
		return fmt.Sprintf("client=%s%s process=%s topology=%d rebalance=%d tags=%v", v.ClientId, v.ClientHost, v.ProcessId, v.TopologyEpoch, v.RebalanceTimeoutMs, v.ClientTags)
	case *coordrecord.StreamsGroupTargetAssignmentMetadataKey:
		return *v
	case *coordrecord.StreamsGroupTargetAssignmentMetadataValue:
		return *v
	case *coordrecord.StreamsGroupTargetAssignmentMemberKey:
		return *v
	case *coordrecord.StreamsGroupTargetAssignmentMemberValue:
		return *v
	case *coordrecord.StreamsGroupCurrentMemberAssignmentKey:
		return *v
	case *coordrecord.StreamsGroupCurrentMemberAssignmentValue:
		return *v
	case *coordrecord.StreamsGroupTopologyKey:
		return *v
	case *coordrecord.StreamsGroupTopologyValue:
		return *v
	}
	return v
}
