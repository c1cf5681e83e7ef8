package deadletter

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// Letter is records of one partition that nobody in a group gets any more.
type Letter struct {
	Group string
	// Topic, TopicID and Partition are where the records are.
	Topic     string
	TopicID   protocol.UUID
	Partition int32
	// Records are the records, in order of offset; at least one range.
	Records []Range
	// Done is called once, when the letter is written or given up. It must not block.
	Done func()
}

// Range is a range of offsets, delivered Count times. Reason tells why that was enough;
// it is empty if that is not known.
type Range struct {
	First, Last int64
	Count       int16
	Reason      string
}

// Settings are what a group and the cluster say about dead letters.
type Settings struct {
	// Topic is the group's errors.deadletterqueue.topic.name, empty if it has none.
	Topic string
	// Copy is the group's errors.deadletterqueue.copy.record.enable.
	Copy bool
	// Prefix is errors.deadletterqueue.topic.name.prefix.
	Prefix string
	// AutoCreate is errors.deadletterqueue.auto.create.topics.enable.
	AutoCreate bool
}

// Topic is what there is to know of a dead-letter topic.
type Topic struct {
	Partitions int32
	// Enabled is errors.deadletterqueue.group.enable.
	Enabled bool
	// MaxMessageBytes is max.message.bytes.
	MaxMessageBytes int
}

// Cluster is the topics. Its methods may block; their errors carry Kafka's codes.
type Cluster interface {
	// DeadLetterTopic returns a topic; ok is false if there is none of that name.
	DeadLetterTopic(name string) (t Topic, ok bool)
	// CreateDeadLetterTopic creates a topic that dead letters may be written to.
	CreateDeadLetterTopic(name string) error
	// ReadSource returns whole record batches from the one that holds offset: at least
	// one if there is any, and about maxBytes. The bytes are the caller's.
	ReadSource(topic protocol.UUID, partition int32, offset int64, maxBytes int) ([]byte, error)
	// Produce appends a record batch as a producer with acks=all does.
	Produce(topic string, partition int32, batch []byte) error
}

// topic returns the topic to write to, or why that is not possible.
func (s Settings) topic(c Cluster) (Topic, error) {
	t, exists := c.DeadLetterTopic(s.Topic)
	switch {
	case strings.HasPrefix(s.Topic, "__"):
		return t, fmt.Errorf("%q names an internal topic: set the group's errors.deadletterqueue.topic.name to another", s.Topic)
	case exists && !t.Enabled:
		return t, fmt.Errorf("topic %q is not meant for dead letters: set its errors.deadletterqueue.group.enable=true", s.Topic)
	case !exists && !s.AutoCreate:
		return t, fmt.Errorf("topic %q does not exist: create it with errors.deadletterqueue.group.enable=true, or set the brokers' errors.deadletterqueue.auto.create.topics.enable=true", s.Topic)
	case !strings.HasPrefix(s.Topic, s.Prefix):
		return t, fmt.Errorf("topic %q does not begin with %q, which the brokers' errors.deadletterqueue.topic.name.prefix asks for", s.Topic, s.Prefix)
	case exists:
		return t, nil
	}
	if err := c.CreateDeadLetterTopic(s.Topic); err != nil {
		return t, err
	}
	if t, exists = c.DeadLetterTopic(s.Topic); !exists {
		return t, fmt.Errorf("topic %q was created and is not there yet: %w", s.Topic, protocol.LeaderNotAvailable)
	}
	return t, nil
}
