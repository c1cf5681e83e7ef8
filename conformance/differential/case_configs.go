package differential

import (
	"fmt"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Resource types.
const (
	ofTopic, ofBroker, ofLogger, ofMetrics, ofGroup = 2, 4, 8, 16, 32
)

type (
	describeResource = protocol.DescribeConfigsRequestDescribeConfigsResource
	changeResource   = protocol.IncrementalAlterConfigsRequestAlterConfigsResource
	change           = protocol.IncrementalAlterConfigsRequestAlterableConfig
	alterResource    = protocol.AlterConfigsRequestAlterConfigsResource
	alteration       = protocol.AlterConfigsRequestAlterableConfig
)

// configs describes the settings of every kind of resource.
func configs(s *Session) {
	s.topic("configs", 1, "retention.ms", "1234", "cleanup.policy", "compact")
	key := protocol.KeyDescribeConfigs
	kinds := []describeResource{
		{ResourceType: ofTopic, ResourceName: "configs"}, {ResourceType: ofBroker, ResourceName: "1"}, {ResourceType: ofBroker, ResourceName: ""},
		{ResourceType: ofGroup, ResourceName: "some-group"}, {ResourceType: ofMetrics, ResourceName: "some-metrics"},
	}
	for _, r := range kinds {
		name := fmt.Sprintf("%d %q", r.ResourceType, r.ResourceName)
		s.ask("all of "+name, 4, &protocol.DescribeConfigsRequest{Resources: list(r), IncludeSynonyms: true})
		for _, keys := range [][]string{{}, {"retention.ms"}, {"retention.ms", "retention.ms"}, {"no.such.key"}, {"log.retention.ms", "num.io.threads", "consumer.session.timeout.ms", "interval.ms"}} {
			if r.ResourceType == ofBroker && len(keys) == 0 {
				continue // means all, too
			}
			r.ConfigurationKeys = keys
			for _, synonyms := range []bool{false, true} {
				s.each(key, fmt.Sprintf("%v of %s, synonyms %t", keys, name, synonyms), func(int16) protocol.Request {
					return &protocol.DescribeConfigsRequest{Resources: list(r), IncludeSynonyms: synonyms}
				})
			}
		}
	}
	for _, r := range []describeResource{
		{ResourceType: 0}, {ResourceType: 1, ResourceName: "x"}, {ResourceType: 3, ResourceName: "x"}, {ResourceType: 99, ResourceName: "x"}, {ResourceType: -1, ResourceName: "x"},
		{ResourceType: ofTopic, ResourceName: "configs-unknown"}, {ResourceType: ofTopic, ResourceName: "a b"}, {ResourceType: ofTopic},
		{ResourceType: ofBroker, ResourceName: "7"}, {ResourceType: ofBroker, ResourceName: "x"}, {ResourceType: ofBroker, ResourceName: "-1"},
		{ResourceType: ofLogger, ResourceName: "7"}, {ResourceType: ofLogger, ResourceName: "x"}, {ResourceType: ofLogger, ResourceName: ""},
		{ResourceType: ofMetrics, ResourceName: ""}, {ResourceType: ofGroup, ResourceName: ""},
	} {
		r.ConfigurationKeys = list("retention.ms", "interval.ms", "num.io.threads")
		s.each(key, fmt.Sprintf("resource %d %q", r.ResourceType, r.ResourceName), func(int16) protocol.Request {
			return &protocol.DescribeConfigsRequest{Resources: list(r)}
		})
	}
	twice := describeResource{ResourceType: ofTopic, ResourceName: "configs", ConfigurationKeys: list("retention.ms")}
	s.each(key, "resource twice", func(int16) protocol.Request { return &protocol.DescribeConfigsRequest{Resources: list(twice, twice)} })
	s.each(key, "nothing", func(int16) protocol.Request { return &protocol.DescribeConfigsRequest{} })
	for kinds := range int8(6) {
		s.each(protocol.KeyListConfigResources, fmt.Sprint("list resources ", kinds), func(v int16) protocol.Request {
			if v == 0 {
				return nil
			}
			return &protocol.ListConfigResourcesRequest{ResourceTypes: [][]int8{{ofMetrics}, {ofBroker}, {ofLogger}, {ofGroup, ofMetrics}, {99}, {0, ofBroker}}[kinds]}
		})
	}
	s.ask("list metrics", 0, &protocol.ListConfigResourcesRequest{})
}

// incremental changes settings one by one.
func incremental(s *Session) {
	for _, v := range s.versions(protocol.KeyIncrementalAlterConfigs) {
		topic := fmt.Sprint("incremental-", v)
		s.topic(topic, 1, "retention.ms", "1234")
		for _, validate := range []bool{true, false} {
			s.incrementalTopic(v, topic, validate)
			s.incrementalOthers(v, validate)
		}
		s.settled(topic, "retention.ms", "777")
		s.ask(fmt.Sprintf("described afterwards/%d", v), 4, &protocol.DescribeConfigsRequest{Resources: list(
			describeResource{ResourceType: ofTopic, ResourceName: topic, ConfigurationKeys: list("retention.ms", "cleanup.policy", "leader.replication.throttled.replicas", "flush.ms", "segment.ms")},
			describeResource{ResourceType: ofBroker, ResourceName: "1", ConfigurationKeys: list("log.cleaner.threads", "log.retention.ms", "background.threads")},
			describeResource{ResourceType: ofGroup, ResourceName: "group-a", ConfigurationKeys: list("consumer.session.timeout.ms")},
			describeResource{ResourceType: ofMetrics, ResourceName: "metrics-a", ConfigurationKeys: list("interval.ms", "metrics")},
		)})
	}
}

// settled waits until a topic's setting has the value.
func (s *Session) settled(topic, key, value string) {
	settle(func() bool {
		m := s.do(4, &protocol.DescribeConfigsRequest{Resources: list(describeResource{ResourceType: ofTopic, ResourceName: topic, ConfigurationKeys: list(key)})})
		for _, c := range m.(*protocol.DescribeConfigsResponse).Results[0].Configs {
			return c.Value != nil && *c.Value == value
		}
		return false
	})
}

// changes asks for changes of one resource.
func (s *Session) changes(name string, v int16, validate bool, kind int8, resource string, configs ...change) {
	s.ask(fmt.Sprintf("%s, validate %t", name, validate), v, &protocol.IncrementalAlterConfigsRequest{ValidateOnly: validate,
		Resources: list(changeResource{ResourceType: kind, ResourceName: resource, Configs: configs})})
}

// Operations of IncrementalAlterConfigs.
const (
	opSet, opDelete, opAppend, opSubtract = 0, 1, 2, 3
)

func op(operation int8, name, value string) change {
	return change{Name: name, ConfigOperation: operation, Value: &value}
}

func (s *Session) incrementalTopic(v int16, topic string, validate bool) {
	ask := func(name string, configs ...change) { s.changes(name, v, validate, ofTopic, topic, configs...) }
	ask("nothing")
	ask("set", op(opSet, "retention.ms", "555"))
	ask("set null", change{Name: "retention.ms"})
	ask("set empty", op(opSet, "retention.ms", ""))
	ask("set bad", op(opSet, "retention.ms", "x"))
	ask("set unknown", op(opSet, "no.such.key", "1"))
	ask("set broker's", op(opSet, "log.retention.ms", "1"))
	ask("delete", change{Name: "flush.ms", ConfigOperation: opDelete})
	ask("delete with value", op(opDelete, "flush.ms", "5"))
	ask("delete unknown", change{Name: "no.such.key", ConfigOperation: opDelete})
	ask("append", op(opAppend, "cleanup.policy", "compact"))
	ask("append what is there", op(opAppend, "cleanup.policy", "delete"))
	ask("append bad", op(opAppend, "cleanup.policy", "x"))
	ask("append to no list", op(opAppend, "retention.ms", "5"))
	ask("append null", change{Name: "cleanup.policy", ConfigOperation: opAppend})
	ask("append empty", op(opAppend, "cleanup.policy", ""))
	ask("append two", op(opAppend, "leader.replication.throttled.replicas", "0:1,1:1"))
	ask("subtract", op(opSubtract, "leader.replication.throttled.replicas", "1:1"))
	ask("subtract what is not there", op(opSubtract, "leader.replication.throttled.replicas", "5:5"))
	ask("subtract all", op(opSubtract, "cleanup.policy", "compact,delete"))
	ask("subtract from no list", op(opSubtract, "retention.ms", "5"))
	ask("operation 4", op(4, "retention.ms", "5"))
	ask("operation -1", op(-1, "retention.ms", "5"))
	ask("key twice", op(opSet, "retention.ms", "5"), op(opSet, "retention.ms", "6"))
	ask("key twice, set and delete", op(opSet, "retention.ms", "5"), change{Name: "retention.ms", ConfigOperation: opDelete})
	ask("good and bad", op(opSet, "segment.ms", "12345"), op(opSet, "retention.ms", "x"))
	ask("isr 0", op(opSet, "min.insync.replicas", "0"))
	ask("empty key", op(opSet, "", "5"))
	ask("good", op(opSet, "retention.ms", "777"))
}

// incrementalOthers changes what is not a topic.
func (s *Session) incrementalOthers(v int16, validate bool) {
	ask := func(name string, kind int8, resource string, configs ...change) {
		s.changes(name, v, validate, kind, resource, configs...)
	}
	set := op(opSet, "retention.ms", "5")
	ask("unknown topic", ofTopic, "incremental-unknown", set)
	ask("invalid topic", ofTopic, "a b", set)
	ask("empty topic", ofTopic, "", set)
	for _, kind := range []int8{0, 1, 3, 99, -1} {
		ask(fmt.Sprint("resource type ", kind), kind, "x", set)
	}
	for _, resource := range []string{"1", "", "7", "x"} {
		ask(fmt.Sprintf("broker %q: dynamic", resource), ofBroker, resource, op(opSet, "log.cleaner.threads", "2"))
		ask(fmt.Sprintf("broker %q: cluster-wide", resource), ofBroker, resource, op(opSet, "background.threads", "11"))
		ask(fmt.Sprintf("broker %q: read-only", resource), ofBroker, resource, op(opSet, "broker.id", "5"))
		ask(fmt.Sprintf("broker %q: unknown", resource), ofBroker, resource, op(opSet, "no.such.key", "5"))
		ask(fmt.Sprintf("broker %q: bad", resource), ofBroker, resource, op(opSet, "log.cleaner.threads", "x"))
		ask(fmt.Sprintf("broker %q: delete", resource), ofBroker, resource, change{Name: "log.cleaner.threads", ConfigOperation: opDelete})
		ask(fmt.Sprintf("broker %q: listener", resource), ofBroker, resource, op(opSet, "max.connections", "1000"))
		ask(fmt.Sprintf("broker %q: put back", resource), ofBroker, resource, change{Name: "max.connections", ConfigOperation: opDelete}, change{Name: "background.threads", ConfigOperation: opDelete})
	}
	for _, resource := range []string{"group-a", ""} {
		ask(fmt.Sprintf("group %q", resource), ofGroup, resource, op(opSet, "consumer.session.timeout.ms", "50000"))
		ask(fmt.Sprintf("group %q: too small", resource), ofGroup, resource, op(opSet, "consumer.session.timeout.ms", "1"))
		ask(fmt.Sprintf("group %q: unknown", resource), ofGroup, resource, op(opSet, "no.such.key", "1"))
		ask(fmt.Sprintf("group %q: letters", resource), ofGroup, resource, op(opSet, "consumer.heartbeat.interval.ms", "x"))
		ask(fmt.Sprintf("group %q: share", resource), ofGroup, resource, op(opSet, "share.auto.offset.reset", "earliest"))
		ask(fmt.Sprintf("group %q: share bad", resource), ofGroup, resource, op(opSet, "share.auto.offset.reset", "what"))
	}
	for _, resource := range []string{"metrics-a", ""} {
		ask(fmt.Sprintf("metrics %q", resource), ofMetrics, resource, op(opSet, "interval.ms", "1000"), op(opSet, "metrics", "org.apache.kafka."))
		ask(fmt.Sprintf("metrics %q: too small", resource), ofMetrics, resource, op(opSet, "interval.ms", "1"))
		ask(fmt.Sprintf("metrics %q: unknown", resource), ofMetrics, resource, op(opSet, "no.such.key", "1"))
		ask(fmt.Sprintf("metrics %q: match", resource), ofMetrics, resource, op(opSet, "match", "client_id=[a-z]+"))
		ask(fmt.Sprintf("metrics %q: match bad", resource), ofMetrics, resource, op(opSet, "match", "what=["))
	}
	one := changeResource{ResourceType: ofTopic, ResourceName: "incremental-0", Configs: list(op(opSet, "flush.ms", "777"))}
	s.ask(fmt.Sprintf("resource twice, validate %t", validate), v, &protocol.IncrementalAlterConfigsRequest{ValidateOnly: validate, Resources: list(one, one)})
	s.ask(fmt.Sprintf("no resource, validate %t", validate), v, &protocol.IncrementalAlterConfigsRequest{ValidateOnly: validate})
}

// alterConfigs replaces all settings, as clients of old do.
func alterConfigs(s *Session) {
	set := func(name, value string) alteration { return alteration{Name: name, Value: &value} }
	for _, v := range s.versions(protocol.KeyAlterConfigs) {
		topic := fmt.Sprint("alter-", v)
		s.topic(topic, 1, "retention.ms", "1234")
		for _, validate := range []bool{true, false} {
			ask := func(name string, kind int8, resource string, configs ...alteration) {
				s.ask(fmt.Sprintf("%s, validate %t", name, validate), v, &protocol.AlterConfigsRequest{ValidateOnly: validate, Resources: list(alterResource{ResourceType: kind, ResourceName: resource, Configs: configs})})
			}
			ask("set", ofTopic, topic, set("flush.ms", "5000"))
			ask("bad", ofTopic, topic, set("flush.ms", "x"))
			ask("unknown key", ofTopic, topic, set("no.such.key", "x"))
			ask("null", ofTopic, topic, alteration{Name: "flush.ms"})
			ask("key twice", ofTopic, topic, set("flush.ms", "1"), set("flush.ms", "2"))
			ask("unknown topic", ofTopic, "alter-unknown", set("flush.ms", "1"))
			ask("nothing", ofTopic, topic)
			ask("broker", ofBroker, "1", set("log.cleaner.threads", "2"))
			ask("broker nothing", ofBroker, "1")
			ask("broker read-only", ofBroker, "1", set("broker.id", "2"))
			ask("brokers nothing", ofBroker, "")
			ask("logger", ofLogger, "1", set("kafka", "INFO"))
			ask("group", ofGroup, "group-b", set("consumer.session.timeout.ms", "50000"))
			ask("metrics", ofMetrics, "metrics-b", set("interval.ms", "1000"))
			ask("resource type 0", 0, "x", set("a", "b"))
			ask("resource type 99", 99, "x", set("a", "b"))
			ask("good", ofTopic, topic, set("segment.ms", "4444"))
		}
		s.settled(topic, "segment.ms", "4444")
		s.ask(fmt.Sprintf("described afterwards/%d", v), 4, &protocol.DescribeConfigsRequest{Resources: list(
			describeResource{ResourceType: ofTopic, ResourceName: topic, ConfigurationKeys: list("retention.ms", "flush.ms", "segment.ms")})})
	}
	for _, name := range []string{"group-a", "group-b"} {
		s.do(1, &protocol.IncrementalAlterConfigsRequest{Resources: list(changeResource{ResourceType: ofGroup, ResourceName: name, Configs: list(change{Name: "consumer.session.timeout.ms", ConfigOperation: opDelete})})})
	}
}
