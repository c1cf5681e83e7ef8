package differential

import (
	"fmt"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

type metadataTopic = protocol.MetadataRequestTopic

// metadata asks about topics that exist, do not, and cannot.
func metadata(s *Session) {
	s.topic("metadata", 3)
	s.topic("metadata.dotted", 1)
	key := protocol.KeyMetadata
	ask := func(name string, names ...string) {
		s.each(key, name, func(v int16) protocol.Request {
			r := def(func(r *protocol.MetadataRequest) { r.AllowAutoTopicCreation = v < 4 })
			for _, n := range names {
				r.Topics = append(r.Topics, metadataTopic{Name: &n})
			}
			return &r
		})
	}
	long := strings.Repeat("x", 250)
	ask("known", "metadata")
	ask("known twice", "metadata", "metadata")
	ask("internal", "__consumer_offsets")
	ask("invalid names", "a b", "a/b", ".", "..", "", long, "metadata")
	s.each(key, "unknown, not created", func(v int16) protocol.Request {
		if v < 4 {
			return nil
		}
		return &protocol.MetadataRequest{Topics: list(metadataTopic{Name: ptr("metadata-unknown")}, metadataTopic{Name: ptr("metadata")})}
	})
	s.each(key, "no topics", func(v int16) protocol.Request {
		if v == 0 {
			return nil // means all
		}
		return &protocol.MetadataRequest{Topics: []metadataTopic{}}
	})
	for _, both := range []bool{false, true} {
		s.each(key, fmt.Sprint("authorized operations, of the cluster too: ", both), func(v int16) protocol.Request {
			if v < 8 {
				return nil
			}
			return &protocol.MetadataRequest{Topics: list(metadataTopic{Name: ptr("metadata")}), IncludeTopicAuthorizedOperations: true, IncludeClusterAuthorizedOperations: both && v <= 10}
		})
	}
	s.each(key, "by id", func(v int16) protocol.Request {
		if v < 10 {
			return nil
		}
		return &protocol.MetadataRequest{Topics: list(metadataTopic{TopicId: s.id("metadata")}, metadataTopic{TopicId: s.id("metadata-unknown")})}
	})
	s.each(key, "by zero id and null name", func(v int16) protocol.Request {
		if v < 10 {
			return nil
		}
		return &protocol.MetadataRequest{Topics: list(metadataTopic{})}
	})
	s.each(key, "by id and name", func(v int16) protocol.Request {
		if v < 10 {
			return nil
		}
		return &protocol.MetadataRequest{Topics: list(metadataTopic{TopicId: s.id("metadata"), Name: ptr("metadata")})}
	})
	s.each(key, "one by id, one by name", func(v int16) protocol.Request {
		if v < 10 {
			return nil
		}
		return &protocol.MetadataRequest{Topics: list(metadataTopic{TopicId: s.id("metadata")}, metadataTopic{Name: ptr("metadata.dotted")})}
	})
	s.autoCreation()
}

// autoCreation has topics made by asking about them.
func (s *Session) autoCreation() {
	for _, v := range s.versions(protocol.KeyMetadata) {
		name := fmt.Sprint("metadata-auto-", v)
		r := def(func(r *protocol.MetadataRequest) { r.Topics = list(metadataTopic{Name: &name}) })
		s.ask("created automatically", v, &r)
		settle(func() bool {
			m := s.do(9, &protocol.MetadataRequest{Topics: list(metadataTopic{Name: &name})}).(*protocol.MetadataResponse)
			return m.Topics[0].ErrorCode == protocol.None
		})
		m := s.do(12, &protocol.MetadataRequest{Topics: list(metadataTopic{Name: &name})}).(*protocol.MetadataResponse)
		s.know(name, m.Topics[0].TopicId)
		s.ask("then", v, &r)
		collides := def(func(r *protocol.MetadataRequest) { r.Topics = list(metadataTopic{Name: ptr("metadata_dotted")}) })
		s.ask("name that collides", v, &collides)
	}
}

// allTopics asks for all topics, which comes before any other scenario makes some.
func allTopics(s *Session) {
	s.each(protocol.KeyMetadata, "all", func(v int16) protocol.Request {
		if v == 0 {
			return &protocol.MetadataRequest{AllowAutoTopicCreation: true, Topics: []metadataTopic{}}
		}
		return &protocol.MetadataRequest{AllowAutoTopicCreation: true}
	})
	s.each(protocol.KeyDescribeCluster, "cluster", func(v int16) protocol.Request {
		return &protocol.DescribeClusterRequest{EndpointType: 1, IncludeClusterAuthorizedOperations: true}
	})
	for _, kind := range []int8{0, 2, 3, -1} {
		s.each(protocol.KeyDescribeCluster, fmt.Sprint("endpoint type ", kind), func(v int16) protocol.Request {
			return &protocol.DescribeClusterRequest{EndpointType: kind}
		})
	}
	s.each(protocol.KeyDescribeCluster, "fenced brokers", func(v int16) protocol.Request {
		return &protocol.DescribeClusterRequest{EndpointType: 1, IncludeFencedBrokers: true}
	})
	for _, id := range []int32{-1, 7, 2147483647} {
		s.each(protocol.KeyUnregisterBroker, fmt.Sprint("unregister broker ", id), func(v int16) protocol.Request { return &protocol.UnregisterBrokerRequest{BrokerId: id} })
	}
	quorum := func(topic string, partitions ...int32) func(int16) protocol.Request {
		return func(int16) protocol.Request {
			t := protocol.DescribeQuorumRequestTopicData{TopicName: topic}
			for _, p := range partitions {
				t.Partitions = append(t.Partitions, protocol.DescribeQuorumRequestPartitionData{PartitionIndex: p})
			}
			return &protocol.DescribeQuorumRequest{Topics: list(t)}
		}
	}
	s.each(protocol.KeyDescribeQuorum, "quorum", quorum("__cluster_metadata", 0))
	s.each(protocol.KeyDescribeQuorum, "quorum, partition 1", quorum("__cluster_metadata", 1))
	s.each(protocol.KeyDescribeQuorum, "quorum, two partitions", quorum("__cluster_metadata", 0, 1))
	s.each(protocol.KeyDescribeQuorum, "quorum, no partition", quorum("__cluster_metadata"))
	s.each(protocol.KeyDescribeQuorum, "quorum, another topic", quorum("what", 0))
	s.each(protocol.KeyDescribeQuorum, "quorum, nothing", func(int16) protocol.Request { return &protocol.DescribeQuorumRequest{} })
}

// topicPartitions pages through partitions.
func topicPartitions(s *Session) {
	s.topic("pages-a", 3)
	s.topic("pages-b", 4)
	type topic = protocol.DescribeTopicPartitionsRequestTopicRequest
	type cursor = protocol.DescribeTopicPartitionsRequestCursor
	ask := func(name string, limit int32, c *cursor, topics ...string) {
		r := &protocol.DescribeTopicPartitionsRequest{ResponsePartitionLimit: limit, Cursor: c}
		for _, t := range topics {
			r.Topics = append(r.Topics, topic{Name: t})
		}
		s.ask(name, 0, r)
	}
	ask("both", 2000, nil, "pages-a", "pages-b")
	ask("twice", 2000, nil, "pages-a", "pages-a")
	ask("wrong order", 2000, nil, "pages-b", "pages-a")
	ask("unknown", 2000, nil, "pages-a", "pages-aa", "pages-b")
	ask("invalid", 2000, nil, "a b", "", "pages-a")
	ask("internal", 5, nil, "__consumer_offsets")
	for _, limit := range []int32{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1 << 30} {
		ask(fmt.Sprint("limit ", limit), limit, nil, "pages-a", "pages-b")
		ask(fmt.Sprint("limit ", limit, " with an unknown topic"), limit, nil, "pages-a", "pages-aa", "pages-b")
	}
	for _, c := range []cursor{{TopicName: "pages-a", PartitionIndex: 0}, {TopicName: "pages-a", PartitionIndex: 2}, {TopicName: "pages-a", PartitionIndex: 3}, {TopicName: "pages-a", PartitionIndex: 99}, {TopicName: "pages-a", PartitionIndex: -1}, {TopicName: "pages-aa", PartitionIndex: 0}, {TopicName: "pages-b", PartitionIndex: 1}, {TopicName: "pages-c", PartitionIndex: 0}, {TopicName: "", PartitionIndex: 0}, {TopicName: "pages-aa", PartitionIndex: 2}} {
		ask(fmt.Sprintf("cursor %s %d", c.TopicName, c.PartitionIndex), 2, &c, "pages-a", "pages-b")
		ask(fmt.Sprintf("cursor %s %d, many", c.TopicName, c.PartitionIndex), 100, &c, "pages-a", "pages-b")
	}
	ask("cursor to a topic not asked for", 100, &cursor{TopicName: "pages-b", PartitionIndex: 1}, "pages-a")
}

// logDirs describes where logs lie.
func logDirs(s *Session) {
	s.topic("dirs", 2)
	s.fill("dirs", 0)
	type topic = protocol.DescribeLogDirsRequestDescribableLogDirTopic
	key := protocol.KeyDescribeLogDirs
	ask := func(name string, topics []topic) {
		s.each(key, name, func(int16) protocol.Request { return &protocol.DescribeLogDirsRequest{Topics: topics} })
	}
	ask("one topic", list(topic{Topic: "dirs", Partitions: list[int32](0, 1)}))
	ask("one partition", list(topic{Topic: "dirs", Partitions: list[int32](1)}))
	ask("unknown partition", list(topic{Topic: "dirs", Partitions: list[int32](9, 0)}))
	ask("unknown topic", list(topic{Topic: "dirs-unknown", Partitions: list[int32](0)}))
	ask("no partition", list(topic{Topic: "dirs", Partitions: nil}))
	ask("no topic", []topic{})
	ask("topic twice", list(topic{Topic: "dirs", Partitions: list[int32](0)}, topic{Topic: "dirs", Partitions: list[int32](1)}))
}
