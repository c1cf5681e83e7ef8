package server

import (
	"fmt"
	"strconv"

	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// autoCreate makes the topic that a client named but nobody created, with the
// broker's defaults, or with what an internal topic needs. It returns when this
// broker serves the topic.
func (b *Broker) autoCreate(name string) (*metadata.Topic, error) {
	if isInternal(name) {
		return b.ensureInternalTopic(name)
	}
	return b.createTopic(protocol.CreateTopicsRequestCreatableTopic{Name: name, NumPartitions: -1, ReplicationFactor: -1})
}

// ensureInternalTopic returns the topic that a coordinator keeps its state in, and
// creates it the first time. Its replication factor is what the settings ask for,
// or as many brokers as there are: Kafka refuses to work on fewer than three
// brokers until that setting is changed, which nobody wants on one node.
func (b *Broker) ensureInternalTopic(name string) (*metadata.Topic, error) {
	if t := b.image().Topic(name); t != nil {
		return t, nil
	}
	return b.createTopic(internalTopic(name, b.values(), b.liveBrokers()))
}

// internalTopic is what an internal topic is created with.
func internalTopic(name string, v config.Values, liveBrokers int) protocol.CreateTopicsRequestCreatableTopic {
	prefix := map[string]string{
		offsetsTopic:      "offsets.topic.",
		transactionsTopic: "transaction.state.log.",
		shareStateTopic:   "share.coordinator.state.topic.",
	}[name]
	topic := protocol.CreateTopicsRequestCreatableTopic{
		Name:              name,
		NumPartitions:     v.Int32(prefix + "num.partitions"),
		ReplicationFactor: int16(min(int(v.Int16(prefix+"replication.factor")), liveBrokers)), //nolint:gosec // the smaller is an int16
	}
	set := func(key, value string) {
		topic.Configs = append(topic.Configs, protocol.CreateTopicsRequestCreatableTopicConfig{Name: key, Value: &value})
	}
	if name != shareStateTopic {
		set("cleanup.policy", "compact")
	}
	set("segment.bytes", strconv.Itoa(int(v.Int32(prefix+"segment.bytes"))))
	switch name {
	case offsetsTopic:
		set("compression.type", "producer")
	case shareStateTopic:
		// An update of share state needs the snapshot before it, so nothing is compacted:
		// the coordinator deletes what is not needed any more.
		set("cleanup.policy", "delete")
		set("retention.ms", "-1")
		set("compression.type", "producer")
		set("min.insync.replicas", strconv.Itoa(min(int(v.Int32("share.coordinator.state.topic.min.isr")), int(topic.ReplicationFactor))))
	case transactionsTopic:
		set("compression.type", "uncompressed")
		set("unclean.leader.election.enable", "false")
		set("min.insync.replicas", strconv.Itoa(min(int(v.Int32("transaction.state.log.min.isr")), int(topic.ReplicationFactor))))
	}
	return topic
}

func (b *Broker) liveBrokers() int {
	n := 0
	for _, node := range b.image().Brokers() {
		if !node.Fenced {
			n++
		}
	}
	return max(n, 1)
}

// createTopic creates one topic and waits until this broker serves it. That
// somebody else created it first is no error.
func (b *Broker) createTopic(topic protocol.CreateTopicsRequestCreatableTopic) (*metadata.Topic, error) {
	request := &protocol.CreateTopicsRequest{}
	request.SetDefaults()
	request.Topics = append(request.Topics, topic)
	m, err := b.submit(request, 7)
	if err != nil {
		return nil, err
	}
	result := m.(*protocol.CreateTopicsResponse).Topics[0]
	if result.ErrorCode != protocol.None && result.ErrorCode != protocol.TopicAlreadyExists {
		text := ""
		if result.ErrorMessage != nil {
			text = *result.ErrorMessage
		}
		return nil, fmt.Errorf("creating topic %s: %s: %w", topic.Name, text, result.ErrorCode)
	}
	if t := b.image().Topic(topic.Name); t != nil {
		return t, nil
	}
	return nil, protocol.LeaderNotAvailable
}
