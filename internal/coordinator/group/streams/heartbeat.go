package streams

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/naru-stream/naru/internal/coordinator/group/classic"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/assignor"
	"github.com/naru-stream/naru/internal/coordinator/group/streams/topology"
	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Status codes of StreamsGroupHeartbeat, beside those of package topology.
const (
	staleTopology       int8 = 0
	shutdownApplication int8 = 4
	assignmentDelayed   int8 = 5
)

// maxMemberBytes bounds the record that says who a member is.
const maxMemberBytes = 64 << 10

// refusal is why a request is not served.
type refusal struct {
	code    protocol.ErrorCode
	message string
}

func refuse(code protocol.ErrorCode, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// Heartbeat handles a StreamsGroupHeartbeat request. A group that had no member before
// has one afterwards, or nothing has changed.
func (g *Group) Heartbeat(env classic.Env, call *HeartbeatCall) {
	var no *refusal
	switch call.Request.MemberEpoch {
	case leaveEpoch, leaveStaticEpoch:
		no = g.leave(env, call)
	default:
		no = g.beat(env, call)
	}
	if no != nil {
		call.Response.SetDefaults()
		call.Response.ErrorCode, call.Response.ErrorMessage = no.code, &no.message
		call.Missing = nil
	}
	env.Out.Answer(call)
}

// Accepts tells whether the heartbeat makes its sender a member of this new group.
func (g *Group) Accepts(call *HeartbeatCall) bool {
	_, no := g.plan(call)
	return no == nil
}

func (g *Group) leave(env classic.Env, call *HeartbeatCall) *refusal {
	req := call.Request
	m := g.members[req.MemberId]
	if req.ShutdownApplication {
		g.askShutdown(req.MemberId)
	}
	if m == nil {
		return unknownMember(req)
	}
	res := &call.Response
	res.MemberId, res.MemberEpoch, res.Status = m.id, req.MemberEpoch, []protocol.StreamsGroupHeartbeatResponseStatus{}
	g.fence(env, m)
	return nil
}

func unknownMember(req *protocol.StreamsGroupHeartbeatRequest) *refusal {
	return refuse(protocol.UnknownMemberId, "Member %s is not a member of group %s.", req.MemberId, req.GroupId)
}

// askShutdown notes who was the first to ask for the end of the application.
func (g *Group) askShutdown(memberID string) {
	if _, ok := g.members[memberID]; ok && g.shutdown == "" {
		g.shutdown = memberID
	}
}

// plan is what a heartbeat is about to change. Nothing has been changed yet.
type plan struct {
	known      *member // nil: the member is new
	epoch      int32   // of the member before
	member     *member
	topology   *topology.Topology
	stale      bool // the member's topology is older than the group's
	hash       int64
	configured *topology.Configured
	validated  int32
}

// plan finds out what a heartbeat changes, or why it must not.
func (g *Group) plan(call *HeartbeatCall) (*plan, *refusal) {
	req, p := call.Request, &plan{topology: g.topology}
	joins := req.MemberEpoch == joinEpoch
	if joins && len(g.members) >= g.around.Config.MaxSize {
		return nil, refuse(protocol.GroupMaxSizeReached, "The streams group has reached its maximum capacity of %d members.", g.around.Config.MaxSize)
	}
	p.known = g.members[req.MemberId]
	switch {
	case p.known != nil:
		if no := p.known.checkEpoch(req); no != nil {
			return nil, no
		}
		p.member, p.epoch = p.known.updated(call), p.known.epoch
	case joins:
		p.member = newMember(req.MemberId).updated(call)
	default:
		return nil, unknownMember(req)
	}
	if p.known != nil && p.member.sameMetadata(p.known) {
		p.member = p.known
	} else if n := memberBytes(p.member); n > maxMemberBytes {
		return nil, refuse(protocol.InvalidRequest, "What the member says of itself takes %d bytes, %d are allowed.", n, maxMemberBytes)
	}
	if no := g.planTopology(call, p); no != nil {
		return nil, no
	}
	return p, checkReported(reportedBy(req), p.configured)
}

// planTopology finds the topology of the group and holds it against the topics that
// there are, if that has not been done for them.
func (g *Group) planTopology(call *HeartbeatCall, p *plan) *refusal {
	sent := call.Topology
	switch {
	case sent == nil && g.topology == nil:
		return refuse(protocol.UnknownServerError, "The topology is null and the group topology is also null.")
	case g.topology == nil:
		p.topology = sent
	case sent != nil && sent.Epoch() >= g.topology.Epoch() && !sent.Equal(g.topology):
		return refuse(protocol.InvalidRequest, "Topology updates are not supported yet.")
	}
	p.stale = g.topology != nil && p.member.topologyEpoch < g.topology.Epoch()
	p.hash, p.configured = g.metadataHash, g.configured
	if g.configured == nil || g.checked != g.around.Metadata.Version() {
		p.hash = g.hash(p.topology)
		if g.configured == nil || p.hash != g.metadataHash {
			configured, err := p.topology.Configure(g.partitions)
			if err != nil {
				return refuse(protocol.StreamsInvalidTopology, "%v", err)
			}
			p.configured = configured
		}
	}
	p.validated = -1
	if p.configured.Problem == nil {
		p.validated = p.topology.Epoch()
	}
	return nil
}

func (g *Group) partitions(topic string) (int32, bool) {
	t, ok := g.around.Metadata.Topic(topic)
	return t.Partitions, ok
}

// hash stands for the topics that the topology needs: which there are, with how many
// partitions. 0: none.
func (g *Group) hash(t *topology.Topology) int64 {
	sum, found := fnv.New64a(), false
	for _, name := range t.Required() {
		if topic, ok := g.around.Metadata.Topic(name); ok {
			found = true
			_, _ = sum.Write([]byte(name)) // documented never to fail
			_, _ = sum.Write(topic.ID[:])
			var n [4]byte
			binary.BigEndian.PutUint32(n[:], uint32(topic.Partitions))
			_, _ = sum.Write(n[:])
		}
	}
	if !found {
		return 0
	}
	return int64(sum.Sum64())
}

// checkReported checks that there are the tasks that a member says it has.
func checkReported(r reported, c *topology.Configured) *refusal {
	var no *refusal
	if c.Problem != nil {
		return nil
	}
	r.find(func(_ int, t assignor.Task) bool {
		s := c.Find(t.Subtopology)
		switch {
		case s == nil:
			no = refuse(protocol.InvalidRequest, "Subtopology %s does not exist in the topology.", t.Subtopology)
		case t.Partition < 0 || t.Partition >= s.Tasks:
			no = refuse(protocol.InvalidRequest, "Task %d for subtopology %s is invalid. Number of tasks for this subtopology: %d",
				t.Partition, t.Subtopology, s.Tasks)
		}
		return no != nil
	})
	return no
}

// beat is the heartbeat of a member that joins or stays.
func (g *Group) beat(env classic.Env, call *HeartbeatCall) *refusal {
	req, res := call.Request, &call.Response
	p, no := g.plan(call)
	if no != nil {
		return no
	}
	first, isNew := len(g.members) == 0, g.epoch == firstEpoch
	res.Status = []protocol.StreamsGroupHeartbeatResponseStatus{}
	if p.stale {
		say(res, staleTopology, "The member's topology epoch %d is behind the group's topology epoch %d.", p.member.topologyEpoch, g.topology.Epoch())
	}
	g.carryOut(env, p)
	if delayMs := own(g.overrides().InitialRebalanceDelayMs, g.around.Config.InitialRebalanceDelayMs); first && delayMs > 0 && !g.delayed {
		g.delayed = true
		env.Out.Schedule(g.timerKey(TimerDelay, ""), env.NowMs+int64(delayMs))
	}
	target, no := g.nextTarget(env, p.member, res)
	if no != nil {
		return no
	}
	m := g.reconcile(env, p.member, target, reportedBy(req))
	g.renewSession(env, m.id)
	if req.ShutdownApplication {
		g.askShutdown(m.id)
	}
	res.MemberId, res.MemberEpoch = m.id, m.epoch
	res.HeartbeatIntervalMs = own(g.overrides().HeartbeatIntervalMs, g.around.Config.HeartbeatIntervalMs)
	changed := req.MemberEpoch == joinEpoch || !m.assigned.equal(p.member.assigned)
	if changed || req.MemberEpoch != p.epoch || g.assignmentEpoch == g.epoch && reportedBy(req).differs(m.assigned) {
		tellTasks(res, m)
	}
	if changed && m.endpoint != nil {
		g.endpointEpoch++
	}
	g.tellEndpoints(res, m, req.EndpointInformationEpoch, isNew)
	if problem := g.configured.Problem; problem != nil {
		say(res, problem.Status, "%s", problem.Detail)
		call.Missing = g.configured.Missing
	}
	if g.shutdown != "" {
		say(res, shutdownApplication, "Streams group member %s encountered a fatal error and requested a shutdown for the entire application.", g.shutdown)
	}
	return nil
}

func say(res *protocol.StreamsGroupHeartbeatResponse, status int8, format string, args ...any) {
	res.Status = append(res.Status, protocol.StreamsGroupHeartbeatResponseStatus{StatusCode: status, StatusDetail: fmt.Sprintf(format, args...)})
}

// carryOut does what a heartbeat changes before tasks are looked at.
func (g *Group) carryOut(env classic.Env, p *plan) {
	changed := p.member != p.known
	if changed {
		p.member.keep()
		g.put(p.member)
		g.writeMember(env, p.member)
	}
	if g.topology == nil {
		g.topology = p.topology
		g.writeTopology(env)
	}
	standbys := g.wantedStandbys()
	changed = changed || p.hash != g.metadataHash || p.validated != g.validatedEpoch || len(g.configs) != 1 || g.configs[standbyReplicas] != standbys
	g.metadataHash, g.configured, g.checked = p.hash, p.configured, g.around.Metadata.Version()
	if changed {
		g.validatedEpoch, g.configs = p.validated, map[string]string{standbyReplicas: standbys}
		g.bump(env)
	}
}

// tellTasks puts what the member has into the answer: when that has changed, and when the
// member does not know, because an answer was lost; while new tasks are still to be given
// out that can wait. Kafka 4.3 leaves the member then without its tasks, or with those that
// it should give up.
func tellTasks(res *protocol.StreamsGroupHeartbeatResponse, m *member) {
	for kind, to := range []*[]protocol.StreamsGroupHeartbeatResponseTaskIds{&res.ActiveTasks, &res.StandbyTasks, &res.WarmupTasks} {
		*to = []protocol.StreamsGroupHeartbeatResponseTaskIds{}
		eachSubtopology(sortedTasks(m.assigned[kind]), func(subtopology string, partitions []int32) {
			*to = append(*to, protocol.StreamsGroupHeartbeatResponseTaskIds{SubtopologyId: subtopology, Partitions: partitions})
		})
	}
}

// tellEndpoints puts into the answer what is served where, unless the member knows.
// What a group told before it had records does not count.
func (g *Group) tellEndpoints(res *protocol.StreamsGroupHeartbeatResponse, m *member, known int32, isNew bool) {
	if g.endpointEpoch != known {
		res.PartitionsByUserEndpoint = []protocol.StreamsGroupHeartbeatResponseEndpointToPartitions{}
		for _, id := range g.memberIDs() {
			if id != m.id {
				g.tellEndpoint(res, g.members[id])
			}
		}
		g.tellEndpoint(res, m)
	}
	if isNew {
		g.endpointEpoch = 0
	}
	res.EndpointInformationEpoch = g.endpointEpoch
}

func (g *Group) tellEndpoint(res *protocol.StreamsGroupHeartbeatResponse, m *member) {
	if m.endpoint != nil {
		res.PartitionsByUserEndpoint = append(res.PartitionsByUserEndpoint, protocol.StreamsGroupHeartbeatResponseEndpointToPartitions{
			UserEndpoint:      protocol.StreamsGroupHeartbeatResponseEndpoint(*m.endpoint),
			ActivePartitions:  g.partitionsOf(m.assigned[active]),
			StandbyPartitions: g.partitionsOf(m.assigned[standby]),
		})
	}
}

// partitionsOf lists the partitions that tasks read.
func (g *Group) partitionsOf(tasks held) []protocol.StreamsGroupHeartbeatResponseTopicPartition {
	out := []protocol.StreamsGroupHeartbeatResponseTopicPartition{}
	eachSubtopology(sortedTasks(tasks), func(id string, partitions []int32) {
		s := g.configured.Find(id)
		if s == nil {
			return
		}
		read := s.SourceTopics
		for _, t := range s.RepartitionSourceTopics {
			read = append(read[:len(read):len(read)], t.Name)
		}
		for _, name := range read {
			n, _ := g.partitions(name)
			topic := protocol.StreamsGroupHeartbeatResponseTopicPartition{Topic: name, Partitions: []int32{}}
			for _, p := range partitions {
				if p < n {
					topic.Partitions = append(topic.Partitions, p)
				}
			}
			out = append(out, topic)
		}
	})
	return out
}
