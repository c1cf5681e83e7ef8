package server

import (
	"slices"

	"github.com/naru-stream/naru/internal/kafka/protocol"
	"github.com/naru-stream/naru/internal/quorum/controller"
	"github.com/naru-stream/naru/internal/quorum/metadata"
)

// metadata tells which brokers there are and who leads which partition. A topic
// that is asked for by name and may be created automatically exists, and has a
// leader, when the answer leaves.
func (b *Broker) metadata(c *call, r *protocol.MetadataRequest) protocol.Message {
	version := c.version()
	if version < 12 && identified(r.Topics) {
		return refuseIdentified(r.Topics)
	}
	all := r.Topics == nil || version == 0 && len(r.Topics) == 0
	response := &protocol.MetadataResponse{}
	response.SetDefaults()
	if !all {
		asked := map[metadataKey]bool{}
		for i := range r.Topics {
			if key := keyOf(&r.Topics[i]); !asked[key] {
				asked[key] = true
				response.Topics = append(response.Topics, b.namedTopic(&r.Topics[i], r.AllowAutoTopicCreation))
			}
		}
	}
	image := b.image()
	if all {
		for t := range image.Topics() {
			response.Topics = append(response.Topics, describeTopic(image, t))
		}
	}
	if r.IncludeTopicAuthorizedOperations {
		for i := range response.Topics {
			if response.Topics[i].ErrorCode == protocol.None {
				response.Topics[i].TopicAuthorizedOperations = topicOperations
			}
		}
	}
	if r.IncludeClusterAuthorizedOperations {
		response.ClusterAuthorizedOperations = clusterOperations
	}
	listener := c.req.Conn().Listener().Name
	for _, node := range image.Brokers() {
		if e, ok := node.Endpoint(listener); ok && !node.Fenced {
			response.Brokers = append(response.Brokers, protocol.MetadataResponseBroker{
				NodeId: node.ID, Host: e.Host, Port: int32(e.Port), Rack: node.Rack,
			})
		}
	}
	response.ClusterId = &b.ClusterID
	// Brokers, not the controller, take the clients' requests; KRaft brokers name
	// any live broker here.
	response.ControllerId = b.NodeID
	return response
}

// metadataKey is what a request asks for with one entry; asking twice is answered
// once.
type metadataKey struct {
	name string
	id   protocol.UUID
}

func keyOf(t *protocol.MetadataRequestTopic) metadataKey {
	if t.Name == nil || !t.TopicId.IsZero() {
		return metadataKey{id: t.TopicId}
	}
	return metadataKey{name: *t.Name}
}

// identified reports whether topics are asked for by id.
func identified(topics []protocol.MetadataRequestTopic) bool {
	return slices.ContainsFunc(topics, func(t protocol.MetadataRequestTopic) bool { return t.Name == nil || !t.TopicId.IsZero() })
}

// refuseIdentified answers versions 10 and 11, which can carry topic ids but must
// not be asked by id: a broker of their time ignored the id (KAFKA-13111).
func refuseIdentified(topics []protocol.MetadataRequestTopic) *protocol.MetadataResponse {
	response := &protocol.MetadataResponse{}
	response.SetDefaults()
	for i := range topics {
		var t protocol.MetadataResponseTopic
		t.SetDefaults()
		t.Name, t.TopicId, t.ErrorCode = topics[i].Name, topics[i].TopicId, protocol.InvalidRequest
		if t.Name == nil {
			t.Name = ptr("") // the version cannot say null
		}
		response.Topics = append(response.Topics, t)
	}
	return response
}

// namedTopic answers for one topic that the request names or identifies.
func (b *Broker) namedTopic(asked *protocol.MetadataRequestTopic, mayCreate bool) protocol.MetadataResponseTopic {
	refuse := func(err error) protocol.MetadataResponseTopic {
		var t protocol.MetadataResponseTopic
		t.SetDefaults()
		t.Name, t.TopicId, t.ErrorCode = asked.Name, asked.TopicId, protocol.CodeOf(err)
		t.IsInternal = asked.Name != nil && isInternal(*asked.Name)
		return t
	}
	image := b.image()
	if asked.Name == nil || !asked.TopicId.IsZero() {
		t := image.TopicByID(asked.TopicId)
		if t == nil {
			return refuse(protocol.UnknownTopicId)
		}
		return describeTopic(image, t)
	}
	name := *asked.Name
	if t := image.Topic(name); t != nil {
		return describeTopic(image, t)
	}
	if !mayCreate || !b.values().Bool("auto.create.topics.enable") {
		if err := controller.CheckTopicName(name); err != nil {
			return refuse(protocol.InvalidTopicException)
		}
		return refuse(protocol.UnknownTopicOrPartition)
	}
	t, err := b.autoCreate(name)
	if err != nil {
		return refuse(err)
	}
	return describeTopic(b.image(), t)
}

// describeTopic is a topic as Metadata answers it.
func describeTopic(image *metadata.Image, t *metadata.Topic) protocol.MetadataResponseTopic {
	var out protocol.MetadataResponseTopic
	out.SetDefaults()
	out.Name, out.TopicId, out.IsInternal = &t.Name, t.ID, isInternal(t.Name)
	out.Partitions = make([]protocol.MetadataResponsePartition, 0, t.PartitionCount())
	for i := range int32(t.PartitionCount()) {
		p, ok := t.Partition(i)
		if !ok {
			continue
		}
		part := protocol.MetadataResponsePartition{
			PartitionIndex: i, LeaderId: p.Leader, LeaderEpoch: p.LeaderEpoch,
			ReplicaNodes: p.Replicas(), IsrNodes: p.ISR(), OfflineReplicas: offline(image, p),
		}
		if leader := image.Broker(p.Leader); leader == nil || leader.Fenced {
			part.ErrorCode, part.LeaderId = protocol.LeaderNotAvailable, -1
		}
		out.Partitions = append(out.Partitions, part)
	}
	return out
}

// offline returns the replicas whose brokers are gone or fenced.
func offline(image *metadata.Image, p metadata.Partition) []int32 {
	var out []int32
	for _, id := range p.Replicas() {
		if node := image.Broker(id); node == nil || node.Fenced {
			out = append(out, id)
		}
	}
	return out
}
