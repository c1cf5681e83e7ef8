package differential

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type (
	newTopic      = protocol.CreateTopicsRequestCreatableTopic
	newAssignment = protocol.CreateTopicsRequestCreatableReplicaAssignment
	newConfig     = protocol.CreateTopicsRequestCreatableTopicConfig
)

// configured are settings of a new topic: key, value, key, value, …; a value of "null" is null.
func configured(settings ...string) []newConfig {
	var out []newConfig
	for i := 0; i < len(settings); i += 2 {
		c := newConfig{Name: settings[i], Value: &settings[i+1]}
		if settings[i+1] == "null" {
			c.Value = nil
		}
		out = append(out, c)
	}
	return out
}

// newTopics are topics that somebody might ask for; their names are completed with the version.
func newTopics() map[string]newTopic {
	replicas := func(ids ...int32) []newAssignment { return list(newAssignment{BrokerIds: ids}) }
	long := strings.Repeat("x", 240)
	out := map[string]newTopic{
		"good": {NumPartitions: 2, ReplicationFactor: 1}, "defaults": {NumPartitions: -1, ReplicationFactor: -1},
		"default partitions": {NumPartitions: -1, ReplicationFactor: 1}, "default replication": {NumPartitions: 1, ReplicationFactor: -1},
		"0 partitions": {NumPartitions: 0, ReplicationFactor: 1}, "-2 partitions": {NumPartitions: -2, ReplicationFactor: 1},
		"0 replicas": {NumPartitions: 1, ReplicationFactor: 0}, "-2 replicas": {NumPartitions: 1, ReplicationFactor: -2}, "2 replicas": {NumPartitions: 1, ReplicationFactor: 2},
		"32767 replicas": {NumPartitions: 1, ReplicationFactor: 32767}, "20000 partitions": {NumPartitions: 20000, ReplicationFactor: 1},
		"0 partitions and 0 replicas": {NumPartitions: 0, ReplicationFactor: 0},
		"assigned":                    {NumPartitions: -1, ReplicationFactor: -1, Assignments: replicas(1)},
		"assigned two":                {NumPartitions: -1, ReplicationFactor: -1, Assignments: append(replicas(1), newAssignment{PartitionIndex: 1, BrokerIds: list[int32](1)})},
		"assigned and counted":        {NumPartitions: 1, ReplicationFactor: 1, Assignments: replicas(1)},
		"assigned and partitions":     {NumPartitions: 1, ReplicationFactor: -1, Assignments: replicas(1)},
		"assigned and replicas":       {NumPartitions: -1, ReplicationFactor: 1, Assignments: replicas(1)},
		"assigned to unknown":         {NumPartitions: -1, ReplicationFactor: -1, Assignments: replicas(7)},
		"assigned to negative":        {NumPartitions: -1, ReplicationFactor: -1, Assignments: replicas(-1)},
		"assigned twice to one":       {NumPartitions: -1, ReplicationFactor: -1, Assignments: replicas(1, 1)},
		"assigned to nobody":          {NumPartitions: -1, ReplicationFactor: -1, Assignments: replicas()},
		"assigned from 1":             {NumPartitions: -1, ReplicationFactor: -1, Assignments: list(newAssignment{PartitionIndex: 1, BrokerIds: list[int32](1)})},
		"assigned with a gap":         {NumPartitions: -1, ReplicationFactor: -1, Assignments: append(replicas(1), newAssignment{PartitionIndex: 2, BrokerIds: list[int32](1)})},
		"assigned partition twice":    {NumPartitions: -1, ReplicationFactor: -1, Assignments: append(replicas(1), newAssignment{BrokerIds: list[int32](1)})},
		"assigned negative partition": {NumPartitions: -1, ReplicationFactor: -1, Assignments: list(newAssignment{PartitionIndex: -1, BrokerIds: list[int32](1)})},
		"assigned unevenly":           {NumPartitions: -1, ReplicationFactor: -1, Assignments: append(replicas(1), newAssignment{PartitionIndex: 1, BrokerIds: list[int32](1, 2)})},
	}
	for name, bad := range map[string]string{"space": "a b", "slash": "a/b", "dot": ".", "dots": "..", "nothing": "", "long": long + "0123456789", "longest": long + "12345678", "non-ASCII": "ä", "underscores": "__metadata__", "cluster metadata": "__cluster_metadata", "colon": "a:b", "quote": `a"b`, "newline": "a\nb"} {
		out["name: "+name] = newTopic{Name: bad, NumPartitions: 1, ReplicationFactor: 1}
	}
	for name, settings := range newTopicSettings() {
		out["settings: "+name] = newTopic{NumPartitions: 1, ReplicationFactor: 1, Configs: configured(settings...)}
	}
	return out
}

// newTopicSettings are settings, good and bad.
func newTopicSettings() map[string][]string {
	return map[string][]string{
		"good": {"retention.ms", "1000", "cleanup.policy", "compact,delete"}, "unknown": {"no.such.key", "1"}, "broker's": {"log.retention.ms", "1"}, "empty key": {"", "1"},
		"null value": {"retention.ms", "null"}, "empty number": {"retention.ms", ""}, "letters": {"retention.ms", "abc"}, "fraction": {"retention.ms", "1.5"}, "spaces": {"retention.ms", " 1000 "},
		"too small": {"retention.ms", "-2"}, "plus": {"retention.ms", "+5"}, "hexadecimal": {"retention.ms", "0x10"}, "too large for int": {"segment.bytes", "3000000000"},
		"segment too small": {"segment.bytes", "1"}, "segment 1 MiB - 1": {"segment.bytes", "1048575"}, "twice": {"retention.ms", "1", "retention.ms", "2"}, "policy unknown": {"cleanup.policy", "what"}, "policy empty": {"cleanup.policy", ""},
		"policy with spaces": {"cleanup.policy", "compact, delete"}, "policy none": {"cleanup.policy", "none"}, "policy twice": {"cleanup.policy", "delete,delete"}, "boolean yes": {"preallocate", "yes"}, "boolean TRUE": {"preallocate", "TRUE"},
		"ratio 2": {"min.cleanable.dirty.ratio", "2"}, "ratio .5": {"min.cleanable.dirty.ratio", ".5"}, "ratio NaN": {"min.cleanable.dirty.ratio", "NaN"}, "codec unknown": {"compression.type", "brotli"}, "codec upper case": {"compression.type", "GZIP"}, "codec none": {"compression.type", "none"},
		"gzip level 10": {"compression.gzip.level", "10"}, "gzip level 0": {"compression.gzip.level", "0"}, "zstd level 100": {"compression.zstd.level", "100"}, "isr 0": {"min.insync.replicas", "0"}, "isr 5": {"min.insync.replicas", "5"},
		"timestamp type": {"message.timestamp.type", "Never"}, "timestamp type lower": {"message.timestamp.type", "logappendtime"}, "difference": {"message.timestamp.difference.max.ms", "5"}, "before negative": {"message.timestamp.before.max.ms", "-1"},
		"format version": {"message.format.version", "3.0-IV1"}, "down-conversion": {"message.downconversion.enable", "true"}, "max message negative": {"max.message.bytes", "-1"}, "max message 0": {"max.message.bytes", "0"},
		"throttled replicas": {"leader.replication.throttled.replicas", "*"}, "throttled replicas wrong": {"leader.replication.throttled.replicas", "x"}, "throttled replicas list": {"leader.replication.throttled.replicas", "0:1,1:1"},
		"min lag above max": {"min.compaction.lag.ms", "100", "max.compaction.lag.ms", "50"}, "local above total": {"local.retention.ms", "5000", "retention.ms", "100"}, "remote storage": {"remote.storage.enable", "true"},
		"index interval": {"index.interval.bytes", "-1"}, "segment.ms 0": {"segment.ms", "0"}, "flush 0": {"flush.messages", "0"}, "file delete": {"file.delete.delay.ms", "-1"}, "jitter": {"segment.jitter.ms", "-1"}, "unclean": {"unclean.leader.election.enable", "maybe"},
	}
}

// createTopics asks for topics of all kinds, first only to be validated.
func createTopics(s *Session) {
	kinds := newTopics()
	for _, v := range s.versions(protocol.KeyCreateTopics) {
		for i, kind := range sortedKeys(kinds) {
			t := kinds[kind]
			if t.Name == "" && kind != "name: nothing" {
				t.Name = fmt.Sprintf("create-%d-%d", i, v)
			}
			if kind == "name: longest" {
				t.Name += fmt.Sprint(v)
			}
			r := &protocol.CreateTopicsRequest{TimeoutMs: 5000, ValidateOnly: true, Topics: list(t)}
			s.askCreate("validated: "+kind, v, r)
			r.ValidateOnly = false
			if kind != "20000 partitions" {
				s.askCreate(kind, v, r)
			}
		}
		s.createTopicsMany(v)
	}
}

// askCreate learns the ids of what was created.
func (s *Session) askCreate(name string, v int16, r *protocol.CreateTopicsRequest) {
	m, err := s.main.ask(r, v)
	if answer, ok := m.(*protocol.CreateTopicsResponse); ok && err == nil {
		for _, t := range answer.Topics {
			if t.TopicId != (protocol.UUID{}) {
				s.know(t.Name, t.TopicId)
			}
			s.labels.keepConfigs(t.Configs)
		}
	}
	s.note(fmt.Sprintf("%s/%d", name, v), m, err)
}

// createTopicsMany puts several topics into one request.
func (s *Session) createTopicsMany(v int16) {
	good := func(name string) newTopic {
		return newTopic{Name: fmt.Sprintf("create-many-%s-%d", name, v), NumPartitions: 1, ReplicationFactor: 1}
	}
	ask := func(name string, topics ...newTopic) {
		s.askCreate(name, v, &protocol.CreateTopicsRequest{TimeoutMs: 5000, Topics: topics})
	}
	ask("nothing")
	ask("existing", good("a"))
	ask("existing again", good("a"))
	ask("twice", good("b"), good("b"))
	ask("twice and another", good("c"), good("d"), good("c"))
	ask("good and bad", good("e"), newTopic{Name: "a b", NumPartitions: 1, ReplicationFactor: 1})
	ask("internal", newTopic{Name: "__consumer_offsets", NumPartitions: 1, ReplicationFactor: 1})
	dotted := good("x.y")
	ask("dotted", dotted)
	under := good("x_y")
	ask("colliding with dotted", under)
	s.askCreate("timeout 0", v, &protocol.CreateTopicsRequest{Topics: list(good("f"))})
	s.askCreate("timeout negative", v, &protocol.CreateTopicsRequest{Topics: list(good("g")), TimeoutMs: -1})
	s.askCreate("validated twice", v, &protocol.CreateTopicsRequest{TimeoutMs: 5000, ValidateOnly: true, Topics: list(good("h"), good("h"))})
	s.askCreate("validated existing", v, &protocol.CreateTopicsRequest{TimeoutMs: 5000, ValidateOnly: true, Topics: list(good("a"))})
}

// deleteTopics deletes what exists and what does not.
func deleteTopics(s *Session) {
	type state = protocol.DeleteTopicsRequestDeleteTopicState
	for _, v := range s.versions(protocol.KeyDeleteTopics) {
		n := func(kind string) string { return fmt.Sprintf("deleted-%s-%d", kind, v) }
		s.topic(n("a"), 1)
		s.topic(n("b"), 1)
		s.topic(n("c"), 1)
		ask := func(name string, names ...string) {
			r := &protocol.DeleteTopicsRequest{TimeoutMs: 5000}
			for _, t := range names {
				if v >= 6 {
					r.Topics = append(r.Topics, state{Name: &t})
				} else {
					r.TopicNames = append(r.TopicNames, t)
				}
			}
			s.ask(name, v, r)
		}
		ask("nothing")
		ask("one", n("a"))
		ask("the same again", n("a"))
		ask("unknown", n("unknown"))
		ask("invalid", "a b")
		ask("empty", "")
		ask("twice", n("b"), n("b"))
		ask("good and unknown", n("b"), n("unknown"))
		ask("internal and invalid", "__cluster_metadata", "a/b")
		if v < 6 {
			continue
		}
		byID := func(name string, topics ...state) {
			s.ask(name, v, &protocol.DeleteTopicsRequest{TimeoutMs: 5000, Topics: topics})
		}
		byID("by unknown id", state{TopicId: s.id("deleted-unknown")})
		byID("by id of a deleted topic", state{TopicId: s.id(n("a"))})
		byID("by neither", state{})
		byID("by both", state{Name: ptr(n("c")), TopicId: s.id(n("c"))})
		byID("by id and by name", state{Name: ptr(n("c"))}, state{TopicId: s.id(n("c"))})
		byID("by id twice", state{TopicId: s.id(n("c"))}, state{TopicId: s.id(n("c"))})
		byID("by id", state{TopicId: s.id(n("c"))})
	}
}

// createPartitions adds partitions.
func createPartitions(s *Session) {
	type (
		topic      = protocol.CreatePartitionsRequestCreatePartitionsTopic
		assignment = protocol.CreatePartitionsRequestCreatePartitionsAssignment
	)
	to := func(ids ...int32) assignment { return assignment{BrokerIds: ids} }
	for _, v := range s.versions(protocol.KeyCreatePartitions) {
		name := fmt.Sprint("more-", v)
		s.topic(name, 2)
		ask := func(what string, validate bool, topics ...topic) {
			s.ask(what, v, &protocol.CreatePartitionsRequest{TimeoutMs: 5000, ValidateOnly: validate, Topics: topics})
		}
		for _, validate := range []bool{true, false} {
			p := fmt.Sprintf("validate %t: ", validate)
			for _, count := range []int32{-1, 0, 1, 2, 30000} {
				ask(p+fmt.Sprint("to ", count), validate || count > 100, topic{Name: name, Count: count})
			}
			ask(p+"unknown", validate, topic{Name: "more-unknown", Count: 5})
			ask(p+"invalid", validate, topic{Name: "a b", Count: 5})
			ask(p+"twice", validate, topic{Name: name, Count: 3}, topic{Name: name, Count: 4})
			ask(p+"nothing", validate)
			ask(p+"assigned to unknown", validate, topic{Name: name, Count: 3, Assignments: list(to(9))})
			ask(p+"assigned to nobody", validate, topic{Name: name, Count: 3, Assignments: list(to())})
			ask(p+"assigned twice to one", validate, topic{Name: name, Count: 3, Assignments: list(to(1, 1))})
			ask(p+"too few assignments", validate, topic{Name: name, Count: 4, Assignments: list(to(1))})
			ask(p+"too many assignments", validate, topic{Name: name, Count: 3, Assignments: list(to(1), to(1))})
			ask(p+"empty assignments", validate, topic{Name: name, Count: 3, Assignments: []assignment{}})
			ask(p+"assigned", validate, topic{Name: name, Count: 3, Assignments: list(to(1))})
			ask(p+"good", validate, topic{Name: name, Count: 5})
			ask(p+"good and unknown", validate, topic{Name: name, Count: 6}, topic{Name: "more-unknown", Count: 6})
		}
	}
}
