package server

import (
	"fmt"

	"github.com/naru-stream/naru/internal/broker/deadletter"
	"github.com/naru-stream/naru/internal/broker/replica"
	"github.com/naru-stream/naru/internal/broker/storage/validate"
	"github.com/naru-stream/naru/internal/kafka/config"
	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// newDeadLetters returns the writer of share groups' dead letters.
func (b *Broker) newDeadLetters() *deadletter.Writer {
	return deadletter.NewWriter(deadletter.Config{
		Cluster:  deadLetterTopics{b},
		Settings: func(group string) deadletter.Settings { return b.shareSettings(group).DeadLetters },
		Timer:    b.Timer, NowMs: nowMs, Log: b.log,
	})
}

// deadLetterTopics are the topics as dead letters see them.
type deadLetterTopics struct{ *Broker }

// DeadLetterTopic implements deadletter.Cluster.
func (b deadLetterTopics) DeadLetterTopic(name string) (deadletter.Topic, bool) {
	image := b.image()
	t := image.Topic(name)
	if t == nil {
		return deadletter.Topic{}, false
	}
	// Should a setting not be allowed, the default stands in.
	cfg, _ := config.ResolveTopic(image.Config(metadata.TopicResource(name)).Map(), b.values())
	return deadletter.Topic{
		Partitions: int32(t.PartitionCount()), Enabled: cfg.ErrorsDeadletterqueueGroupEnable, MaxMessageBytes: int(cfg.MaxMessageBytes),
	}, true
}

// CreateDeadLetterTopic implements deadletter.Cluster.
func (b deadLetterTopics) CreateDeadLetterTopic(name string) error {
	topic := protocol.CreateTopicsRequestCreatableTopic{Name: name, NumPartitions: -1, ReplicationFactor: -1}
	for _, set := range [][2]string{{"errors.deadletterqueue.group.enable", "true"}, {"message.timestamp.type", "CreateTime"}} {
		topic.Configs = append(topic.Configs, protocol.CreateTopicsRequestCreatableTopicConfig{Name: set[0], Value: &set[1]})
	}
	_, err := b.createTopic(topic)
	return err
}

// ReadSource implements deadletter.Cluster.
func (b deadLetterTopics) ReadSource(topic protocol.UUID, partition int32, offset int64, maxBytes int) ([]byte, error) {
	p, err := b.sharePartition(topic, partition)
	if err != nil {
		return nil, err
	}
	var found replica.ReadResult
	err = p.Read(replica.ReadRequest{Offset: offset, MaxBytes: int32(maxBytes), AtLeastOne: true, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}, &found)
	if err != nil || found.Size() == 0 {
		return nil, err
	}
	defer found.Release()
	out := make([]byte, found.Size())
	return out, found.ReadAt(out, 0)
}

// newestProduce is the version of Produce as which dead letters count.
const newestProduce = 13

// Produce implements deadletter.Cluster.
func (b deadLetterTopics) Produce(topic string, partition int32, batch []byte) error {
	p, err := b.partitionFor(topic, protocol.UUID{}, partition, false)
	if err != nil {
		return err
	}
	var validator validate.Validator
	if batch, err = p.Validate(&validator, batch, newestProduce, nowMs()); err != nil {
		return fmt.Errorf("dead letters for topic %s: %w", topic, err)
	}
	done := make(chan struct{})
	a := &replica.Append{Acks: -1, Done: func(*replica.Append) { close(done) }}
	a.Log.Batches = batch
	p.Append(a)
	<-done
	return a.Err
}
